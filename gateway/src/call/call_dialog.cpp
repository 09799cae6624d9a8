// CallManager: requests inside a dialog, and its end.
#include <algorithm>

#include "base/limits.hpp"
#include "call/body_parts.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

bool refreshes_target(Method method) {
  return method == Method::invite || method == Method::update || method == Method::subscribe ||
         method == Method::notify || method == Method::refer;
}

/// A refresh of the target counts once it is agreed to: by a 2xx, or by a reliable provisional
/// response (RFC 3261 §12.2, RFC 6141 §4).
bool confirms_target(const sip::Message& response) {
  if (response.status() >= 200) return response.status() < 300;
  return response.number(HeaderId::rseq).value_or(0) != 0 &&
         response.lists(HeaderId::require, "100rel");
}

/// Whether a request that came on `flow` may belong to a leg that uses `leg`.
bool same_party(const sip::Flow& flow, const sip::Flow& leg) {
  if (flow.is_link() != leg.is_link()) return false;
  return flow.is_link() ? flow.session == leg.session : flow.remote.address == leg.remote.address;
}

}  // namespace

/// For peers that do not send to our Contact, but repeat the first Request-URI (SIPp's own
/// scenarios, some old phones): the dialog by Call-ID and tags, from the leg's own address only.
CallManager::DialogRef CallManager::find_by_tags(const sip::Flow& flow,
                                                 const sip::Message& request) {
  auto [first, last] = by_call_id_.equal_range(std::string(request.call_id()));
  std::string from_tag = request.from_tag(), to_tag = request.to_tag();
  for (auto entry = first; entry != last; ++entry) {
    Call& call = *entry->second;
    for (auto& branch : call.branches) {
      for (auto& dialog : branch->dialogs) {
        const auto& [caller, callee] = dialog->identity.names;
        bool by_caller = request.call_id() == caller.call_id && from_tag == caller.tag[0] &&
                         to_tag == caller.tag[1];
        bool by_callee = request.call_id() == callee.call_id && to_tag == callee.tag[0] &&
                         from_tag == callee.tag[1];
        if (by_caller && same_party(flow, branch->flow[0])) {
          return {&call, branch.get(), dialog.get(), Side::caller};
        }
        if (by_callee && same_party(flow, branch->flow[1])) {
          return {&call, branch.get(), dialog.get(), Side::callee};
        }
      }
    }
  }
  return {};
}

CallManager::DialogRef CallManager::find_dialog(const sip::Flow& flow,
                                                const sip::Message& request) {
  auto token = tokens_.find(request_user(request));
  if (token == tokens_.end()) return find_by_tags(flow, request);
  const TokenUse& use = token->second;
  const sip::Flow& expected = use.branch->flow[index_of(use.side)];
  // One session's tokens are of no use to another session, nor to the network.
  if (expected.is_link() != flow.is_link() || (flow.is_link() && expected.session != flow.session))
    return {};
  std::size_t leg = index_of(use.side);
  if (request.call_id() != use.branch->identity.names[leg].call_id) return {};
  std::string caller_tag = request.from_tag(), callee_tag = request.to_tag();
  if (use.side == Side::callee) std::swap(caller_tag, callee_tag);
  // A dialog is its Call-ID and both tags (RFC 3261 §12.2.2).
  if (caller_tag != use.branch->identity.names[leg].tag[0]) return {};
  for (auto& dialog : use.branch->dialogs) {
    if (dialog->identity.names[leg].tag[1] == callee_tag)
      return {use.call, use.branch, dialog.get(), use.side};
  }
  // A request of the callee may overtake the response that would have made its dialog (NOTIFY, RFC
  // 6665 §4.4.1). Once a call is answered, its dialog is known; a subscription may have forks until
  // Timer N ends (§4.1.2.4), here from its 2xx on.
  bool may_come = use.call->state == CallState::setup ||
                  (!use.call->invite && use.call->state == CallState::answered &&
                   core_.now < *use.call->answered + core_.config.timers.timeout());
  if (use.side == Side::callee && may_come && !callee_tag.empty()) {
    sip::Message stand_in = sip::Message::response_to(use.call->request, 200, {}, callee_tag);
    DialogPair& dialog = dialog_of(*use.call, *use.branch, stand_in);
    dialog.party[1] = std::string(request.get(HeaderId::from).value_or(""));
    if (auto contact = request.contact()) dialog.remote_target[1] = contact->uri;
    dialog.route_set[1] = record_route(request, false);
    return {use.call, use.branch, &dialog, use.side};
  }
  return {};
}

bool CallManager::on_dialog_request(sip::TransactionId server, const sip::Flow& flow,
                                    sip::Message& request, bool waited) {
  DialogRef ref = find_dialog(flow, request);
  if (!ref.call) return false;
  Method method = request.method();
  if (ref.call->usages_only && method != Method::notify && method != Method::subscribe &&
      method != Method::refer) {
    core_.reject(server, request, 481, {});
    return true;
  }
  if (method == Method::invite && !ref.call->invite) {
    core_.reject(server, request, 488, "No call was set up in this dialog");
    return true;
  }
  ref.dialog->usages.on_request(request, ref.from, ref.dialog->identity, core_.now);
  if (method == Method::notify)  // whatever lapses, not before the answer
    ref.dialog->until = std::max(ref.dialog->until, core_.now + core_.config.timers.timeout());
  forward(ref, server, flow, request, waited);
  return true;
}

/// The other side agreed to a request of that side. Of several that were under way at once the
/// newest decides.
void CallManager::take_target(DialogPair& dialog, Side from, const sip::Message& request) {
  auto cseq = request.cseq();
  auto contact = request.contact();
  if (!refreshes_target(request.method()) || !cseq || !contact) return;
  std::uint32_t& newest = dialog.target_cseq[index_of(from)];
  if (cseq->number < newest) return;
  newest = cseq->number;
  dialog.remote_target[index_of(from)] = contact->uri;
}

void CallManager::forward(const DialogRef& ref, sip::TransactionId server, const sip::Flow& flow,
                          sip::Message& request, bool waited) {
  Side to = other(ref.from);
  bool bye = request.method() == Method::bye;
  if (answer_refresh(ref, server, request) || take_digit(ref, server, request) ||
      refuse_glare(ref, server, request))
    return;
  if (!bye && ref.call->transactions >= limits::kRequestsPerCall) {
    ++core_.counters.rejected_over_limit;
    core_.reject(server, request, 503, "Too many requests wait in this call", 1);
    return;
  }
  std::vector<sip::Flow> hops;
  if (!find_hops(ref, server, flow, request, waited, hops)) return;
  sip::Flow hop = hops.front();
  if (bye && ref.dialog->confirmed) {
    // Who hangs up before its ACK sends none any more (RFC 3261 §15.1.1 forbids it, phones do it).
    acknowledge_for_peer(*ref.branch, *ref.dialog, to);
    if (ref.dialog->unacknowledged[index_of(ref.from)].server != 0)
      forget(*ref.call, ref.dialog->unacknowledged[index_of(ref.from)]);
  }
  if (request.method() == Method::prack) on_prack(*ref.dialog, ref.from, request);
  sip::Message out = request;
  make_outgoing_request(out);
  address_to(*ref.dialog, to, out);
  // What ends a call is no secret.
  if (!bye && !core_.may_leave(out, hop)) return core_.reject_sips(server, request);
  core_.put_contact(out, ref.branch->token[index_of(to)], hop, asks_for_tls(out));
  ref.dialog->identity.carry_request(out, ref.from);
  carry_timer(*ref.branch, to, out);
  const std::string& tag = ref.dialog->callee_tag;
  bool offer = is_offer(ref, out);
  if (std::optional<MediaFault> fault = carry_body(*ref.branch, tag, ref.from, out, offer)) {
    ++core_.counters.bad_sdp;
    if (offer && ref.branch->media) ref.branch->media->rollback(ref.from, tag);
    core_.reject(server, request, fault->status, fault->reason);
    return;
  }
  Crossing crossing = crossing_of(*ref.branch, *ref.dialog, ref.from, hop);
  Result<sip::NameAddr, sip::Fault> contact = request.contact();
  if (contact && refreshes_target(request.method())) crossing.contact = contact->uri;
  core_.translate(out, crossing);
  if (request.method() == Method::invite && ref.dialog->identity.hides[index_of(to)])
    ref.dialog->identity.keep_credentials(out, to);
  std::optional<sip::Message> sent;
  InDialogPlaces places{hop, {hops.begin() + 1, hops.end()}, std::nullopt, false};
  if (!places.more.empty()) places.sent = out;
  sip::TransactionId client =
      core_.send(std::move(out), hop, &ref.branch->flow[index_of(ref.from)], &sent);
  if (client == 0) {
    if (offer && ref.branch->media) ref.branch->media->rollback(ref.from, tag);
    core_.reject(server, request, 503, "Too many transactions", 5);
    return;
  }
  if (sent && request.method() == Method::invite) ref.dialog->identity.keep_credentials(*sent, to);
  // In an early dialog a BYE ends that dialog only; the INVITE still gets its own final response
  // (RFC 3261 §15), and in one without INVITE usage nothing (RFC 5057 §4.1).
  bool ends = bye && ref.dialog->confirmed && ref.call->invite;
  if (ends) {
    ref.call->state = CallState::ending;
    ref.call->end_reason = ref.from == Side::caller ? "BYE from caller" : "BYE from callee";
  }
  if (request.method() == Method::invite) ref.dialog->answered_in_prack = false;
  if (request.method() == Method::prack && !offer && has_description(request))
    ref.dialog->answered_in_prack = true;
  ++ref.call->transactions;
  DialogUse use{ref.call, ref.branch,         ref.dialog, ref.from,
                server,   std::move(request), offer,      ends};
  use.sent = std::move(sent);
  use.hop = hop;
  use.places = std::move(places);
  be_patient(client, in_dialog_.add(client, ref.call->id, std::move(use)));
}

Crossing CallManager::crossing_of(const Branch& branch, const DialogPair& dialog, Side from,
                                  const sip::Flow& to) const {
  return {branch.flow[index_of(from)], to, dialog.identity.hides[index_of(other(from))],
          dialog.remote_target[index_of(from)], branch.media != nullptr};
}

void CallManager::address_to(const DialogPair& dialog, Side to, sip::Message& request) const {
  const std::string& contact = dialog.remote_target[index_of(to)];
  const std::string& target = contact.empty() ? dialog.address[index_of(to)] : contact;
  std::vector<std::string> route = dialog.route_set[index_of(to)];
  std::string request_uri = target;
  if (!route.empty()) {
    Result<sip::NameAddr, sip::Fault> first = sip::NameAddr::parse(route.front());
    Result<sip::Uri, sip::Fault> uri = first ? sip::Uri::parse(first->uri) : sip::Uri::parse("");
    if (uri && !uri->params.has("lr")) {  // strict router (RFC 3261 §12.2.1.1)
      request_uri = first->uri;
      route.erase(route.begin());
      route.push_back("<" + target + ">");
    }
    for (const std::string& value : route) request.add(HeaderId::route, value);
  }
  if (!request_uri.empty()) request.set_request_uri(request_uri);
  if (dialog.shown_from.empty()) return;
  if (to == Side::callee) {
    request.set(HeaderId::from, dialog.shown_from);
  } else {
    request.set(HeaderId::to, dialog.party[0]);
  }
}

bool CallManager::on_ack(const sip::Flow& flow, sip::Message& ack, bool waited) {
  DialogRef ref = find_dialog(flow, ack);
  if (!ref.call) return false;
  Side to = other(ref.from);
  std::vector<sip::Flow> hops;
  if (!find_hops(ref, 0, flow, ack, waited, hops)) return true;
  // A late offer is over with its ACK, answered or not.
  if (on_acknowledged(*ref.call, *ref.dialog, ref.from, ack) && ref.branch->media &&
      !has_description(ack)) {
    ref.branch->media->end_offer(to, ref.dialog->callee_tag);
  }
  make_outgoing_request(ack);
  ref.dialog->identity.carry_ack(ack, ref.from);
  address_to(*ref.dialog, to, ack);
  const sip::Flow& hop = hops.front();
  if (ack.has(HeaderId::contact)) {
    core_.put_contact(ack, ref.branch->token[index_of(to)], hop, asks_for_tls(ack));
  }
  const bool malformed =
      carry_body(*ref.branch, ref.dialog->callee_tag, ref.from, ack, false).has_value();
  if (malformed) {  // the 2xx is acknowledged all the same, so that it is not repeated
    ++core_.counters.bad_sdp;
    ack.set_body({});
  }
  core_.translate(ack, crossing_of(*ref.branch, *ref.dialog, ref.from, hop));
  auto cseq = ack.cseq();
  DialogPair::Ack& kept = ref.dialog->last_ack[index_of(to)];
  kept.cseq = cseq ? cseq->number : 0;
  kept.sent = core_.send_ack(std::move(ack), hop, &flow);
  if (malformed) hang_up(*ref.call, std::nullopt, 488, "The answer in ACK is malformed");
  return true;
}

void CallManager::on_dialog_response(sip::TransactionId client, DialogUse& use,
                                     sip::Message& response) {
  if (!use.places.heard) silent_.clear(client);
  use.places.heard = true;
  if (response.status() == 100) return;
  bool invite = use.request.method() == Method::invite;
  Side answering = other(use.from);
  if (use.finished) {
    // A retransmitted 2xx of a re-INVITE whose ACK was lost, or has not come yet.
    auto cseq = response.cseq();
    DialogPair::Ack& ack = use.dialog->last_ack[index_of(answering)];
    if (cseq && !ack.sent.empty() && ack.cseq == cseq->number) core_.repeat_ack(ack.sent);
    return;  // without an ACK yet, the 2xx is repeated by our own clock
  }
  int status = response.status();
  if (!use.finished && answer_challenge(client, use, response)) return;
  if (status == 503 && try_next_hop(client, HopFailure::response, retry_after_of(response))) return;
  const sip::Flow& back = use.branch->flow[index_of(use.from)];
  if (use.sent && status < 300) core_.credentials.accept(*use.sent, response, use.hop, &back);
  if (confirms_target(response) && refreshes_target(use.request.method())) {
    if (auto contact = response.contact())
      use.dialog->remote_target[index_of(answering)] = contact->uri;
  }
  const sip::Flow& far = use.branch->flow[index_of(answering)];
  if (status < 200 && repeat_provisional(use.reliable, use.server, back, far, response)) return;
  const std::string& tag = use.dialog->callee_tag;
  MediaSession* media = use.branch->media.get();
  if (status >= 300 && media && (use.had_offer || use.offered_back))
    media->rollback(use.had_offer ? use.from : answering, tag);
  // An answer, or the offer that an INVITE without one asked for; nothing else asks.
  bool offer = invite && !use.had_offer && !use.dialog->answered_in_prack;
  use.offered_back = use.offered_back || (offer && has_description(response));
  std::optional<MediaFault> fault;  // what a refusal describes is no answer
  if (status < 300) fault = carry_body(*use.branch, tag, answering, response, offer);
  if (fault) {
    ++core_.counters.bad_sdp;
    if (status >= 200) refuse_answer(client, use, response, fault->reason);
    return;
  }
  if (status >= 200 && status < 300 && use.had_offer && media) media->end_offer(use.from, tag);
  if (confirms_target(response)) take_target(*use.dialog, use.from, use.request);
  if (confirms_target(response) && refreshes_target(use.request.method())) {
    for (Side side : {Side::caller, Side::callee})
      look_ahead(*use.call, *use.branch, *use.dialog, side);
  }
  carry_timer_answer(use, response);
  make_outgoing_response(response, use.request);
  use.dialog->identity.carry_response(response, use.request);
  core_.translate(response, crossing_of(*use.branch, *use.dialog, answering, back));
  if (status < 300) {
    core_.put_contact(response, use.branch->token[index_of(use.from)], back,
                      is_sips(use.request.request_uri()));
  }
  if (use.reliable.rseq != 0 && response.number(HeaderId::rseq) == use.reliable.rseq) {
    use.reliable.carried = response;
    repeat_until_prack(*use.call, *use.dialog, use.from, use.server, response);
  }
  core_.respond(use.server, response, &far);
  if (status < 200) return;
  if (invite && status < 300) {
    if (!use.finished) --use.call->transactions;
    use.finished = true;
    use.kept_until = core_.now + core_.config.timers.timeout();
    wait_for_ack(*use.call, *use.dialog, use.from, use.server, back, response, far);
    return;
  }
  after_final(client, use, &response);
}

/// Answers a 401 or 407 of a place that we hold credentials for: the request goes there once more.
bool CallManager::answer_challenge(sip::TransactionId client, DialogUse& use,
                                   const sip::Message& response) {
  int status = response.status();
  if ((status != 401 && status != 407) || !use.sent || use.challenges == limits::kDigestAttempts)
    return false;
  std::optional<sip::Message> again =
      core_.credentials.answer(*use.sent, response, use.hop, &use.branch->flow[index_of(use.from)]);
  auto cseq = use.request.cseq();
  if (!again || !cseq) return false;
  Side to = other(use.from);
  DialogIdentity& identity = use.dialog->identity;
  set_cseq(*again, identity.numbers[index_of(to)].carry_again(cseq->number, again->method()));
  sip::TransactionId next = core_.send_again(*again, use.hop);
  if (next == 0) return false;
  if (again->method() == Method::invite) identity.keep_credentials(*again, to);
  use.sent = std::move(again);
  ++use.challenges;
  in_dialog_.move(client, next);
  return true;
}

void CallManager::on_dialog_failed(DialogUse& use, sip::ClientFailure why) {
  if (use.request.method() == Method::bye) {
    core_.reject(use.server, use.request, 200,
                 {});  // the dialog is over for this leg, whatever became of the other
    return;
  }
  if (use.had_offer && use.branch->media)
    use.branch->media->rollback(use.from, use.dialog->callee_tag);
  bool timeout = why == sip::ClientFailure::timeout;
  core_.reject(use.server, use.request, timeout ? 408 : 503,
               timeout ? "Request Timeout" : "Peer unreachable");
}

void CallManager::after_final(sip::TransactionId client, DialogUse& use,
                              const sip::Message* response) {
  Call& call = *use.call;
  if (response)
    use.dialog->usages.on_response(use.request, use.from, use.dialog->identity, *response,
                                   core_.now);
  bool challenged = response && (response->status() == 401 || response->status() == 407);
  bool ended = use.ends && !challenged;
  if (use.ends && challenged) {  // a BYE with credentials follows, or the call lapses
    call.state = CallState::answered;
    call.expires = core_.now + core_.config.timers.timeout();
  }
  if (!call.invite && response)
    note_subscription(call, *use.dialog, use.from, use.request, *response);
  --call.transactions;
  silent_.clear(client);
  in_dialog_.erase(client);
  if (call.usages_only && call.transactions == 0) {
    bool left = std::any_of(
        call.winner->dialogs.begin(), call.winner->dialogs.end(),
        [&](const auto& dialog) { return dialog->usages.last_until(core_.now).has_value(); });
    if (!left) end(call, call.end_reason);
  } else if (ended) {
    end_invite_usage(call);
  } else if (!call.invite) {
    drop_subscriptions(call);
  }
}

void CallManager::send_bye(Branch& branch, DialogPair& dialog, Side to, int cause,
                           std::string_view reason) {
  sip::Message bye = own_request(dialog, to, "BYE");
  bye.add(HeaderId::reason, reason_value(cause, reason));
  core_.send_bye(std::move(bye), next_hop(branch, dialog, to), &branch.flow[index_of(other(to))]);
}

/// Ends a call from our side: BYE to both legs of an answered call but for `except`; cancels one in
/// set-up.
void CallManager::hang_up(Call& call, std::optional<Side> except, int cause,
                          std::string_view reason) {
  if (call.usages_only) {
    end(call, reason);
    return;
  }
  if (call.state == CallState::ending) return;  // a BYE or CANCELs are under way, and bounded
  if (call.state == CallState::setup) {
    call.final_status = except == Side::caller ? 487 : cause;
    ++core_.counters.calls_failed;
    if (except != Side::caller) core_.reject(call.server, call.request, cause, reason);
    call.state = CallState::ending;
    call.end_reason = reason;
    cancel_branches(call, nullptr, reason);
    finish_if_nobody_left(call);
    return;
  }
  if (call.winner && call.invite) {
    for (auto& dialog : call.winner->dialogs) {
      if (!dialog->confirmed) continue;
      for (Side side : {Side::caller, Side::callee}) {
        if (except == side) continue;
        acknowledge_for_peer(*call.winner, *dialog, side);
        send_bye(*call.winner, *dialog, side, cause, reason);
      }
    }
  }
  end(call, reason);
}

}  // namespace isthmus::call
