// CallManager: from the first request to its final response.
#include <algorithm>

#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

void CallManager::start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
                        const RouteTargets& route) {
  bool invite = request.method() == sip::Method::invite;
  if (std::optional<seconds> least = invite && core_.router.policy_of(flow).session_expires
                                         ? too_small(request, core_.router.policy_of(flow))
                                         : std::nullopt) {
    refuse_interval(server, request, *least);
    return;
  }
  if (!core_.take_place(server, request, flow)) return;
  auto owned = std::make_unique<Call>();
  Call& call = *owned;
  call.id = next_id_++;
  call.server = server;
  call.caller = flow;
  call.invite = invite;
  call.request = std::move(request);
  call.started = core_.now;
  call.owner = {core_.router.owner_of(flow), core_.router.owner_of(route.targets.front().flow)};
  calls_.emplace(call.id, std::move(owned));
  index(std::string(call.request.call_id()), call);
  index(flow, call);
  servers_.emplace(server, call.id);
  if (call.invite) ++core_.counters.calls_started;

  std::optional<MediaFault> fault;
  for (const RouteTarget& target : route.targets) {
    if (call.branches.size() >= limits::kForksPerCall) break;
    if (std::optional<MediaFault> refused = add_branch(call, target, route.failover_on))
      fault = refused;
  }
  if (call.branches.empty()) {
    fail_setup(call, fault ? fault->status : 500, fault ? fault->reason : "No target",
               fault && fault->status == 503 ? 2 : 0);
    return;
  }
  report(call, false);
}

void CallManager::index(const std::string& call_id, Call& call) {
  if (std::find(call.call_ids.begin(), call.call_ids.end(), call_id) != call.call_ids.end()) return;
  call.call_ids.push_back(call_id);
  by_call_id_.emplace(call_id, &call);
}

void CallManager::index(const sip::Flow& flow, Call& call) {
  if (!flow.is_link() || !by_session_.emplace(flow.session, call.id).second) return;
  call.sessions.push_back(flow.session);
}

std::optional<MediaFault> CallManager::add_branch(Call& call, const RouteTarget& target,
                                                  const std::vector<int>& failover_on) {
  auto owned = std::make_unique<Branch>();
  Branch& branch = *owned;
  branch.flow = {call.caller, target.flow};
  branch.token = {core_.new_token(), core_.new_token()};
  branch.places = Failover(target, failover_on);
  if (std::optional<MediaFault> fault = send_branch(call, branch, target)) return fault;
  for (Side side : {Side::caller, Side::callee}) {
    tokens_.emplace(branch.token[index_of(side)], TokenUse{&call, &branch, side});
  }
  call.branches.push_back(std::move(owned));
  return std::nullopt;
}

/// Answers a 401 or 407 of a place that we hold credentials for: the request goes there once more.
bool CallManager::answer_challenge(Call& call, Branch& branch, const sip::Message& response) {
  int status = response.status();
  if ((status != 401 && status != 407) || !branch.credentials || call.state != CallState::setup ||
      branch.state != BranchState::calling || branch.challenges == limits::kDigestAttempts) {
    return false;
  }
  std::optional<sip::Message> again =
      core_.credentials.answer(branch.sent, response, branch.flow[1], &branch.flow[0]);
  auto cseq = call.request.cseq();
  if (!again || !cseq) return false;
  std::uint32_t number = branch.identity.numbers[1].carry_again(cseq->number, again->method());
  set_cseq(*again, number);
  sip::TransactionId client = core_.send_again(*again, branch.flow[1]);
  if (client == 0) return false;
  ++branch.challenges;
  initial_.erase(branch.client);
  branch.client = client;
  branch.sent = std::move(*again);
  initial_.emplace(client, InitialUse{&call, &branch});
  return true;
}

void CallManager::on_initial_response(Call& call, Branch& branch, sip::Message& response) {
  int status = response.status();
  if (!branch.heard) silent_.clear(branch.client);
  branch.heard = true;
  if (status >= 200) {
    core_.router.on_outcome(branch.flow[1], outcome_of(HopFailure::response, status),
                            retry_after_of(response), core_.now);
  }
  if (status == 100 || answer_challenge(call, branch, response) ||
      raise_interval(call, branch, response)) {
    return;
  }
  if (branch.credentials && status < 300)
    core_.credentials.accept(branch.sent, response, branch.flow[1], &branch.flow[0]);
  if (status < 200) {
    if (call.state == CallState::setup && branch.state == BranchState::calling)
      on_provisional(call, branch, response);
  } else if (status >= 300) {
    const sip::Flow place = branch.flow[1];
    sip::Message told =
        response;  // in the words of the place that said it, before another is asked
    turn_to_caller(call, branch, told);
    if (follow_redirect(call, branch, response) ||
        (status < 600 && try_next_contact(call, branch)) ||
        try_next_place(call, branch, HopFailure::response, status)) {
      keep_failure(branch, std::move(told), &place);
    } else {
      on_refused(call, branch, std::move(response));
    }
  } else if (call.winner == &branch) {
    on_repeated_answer(branch, response);
  } else if (call.state == CallState::setup && branch.state == BranchState::calling) {
    on_answered(call, branch, response);
  } else {
    hang_up_answer(branch, response, "Answered elsewhere or cancelled");
    branch.state = BranchState::lost;
    finish_if_nobody_left(call);
  }
}

DialogPair& CallManager::dialog_of(Call& call, Branch& branch, const sip::Message& response) {
  std::string tag = response.to_tag();
  for (auto& dialog : branch.dialogs) {
    if (dialog->callee_tag == tag) return *dialog;
  }
  auto owned = std::make_unique<DialogPair>();
  DialogPair& dialog = *owned;
  dialog.callee_tag = tag;
  dialog.identity = branch.identity;
  dialog.identity.names[1].tag[1] = tag;
  dialog.identity.names[0].tag[1] = core_.tag_told(branch.identity, branch.flow[0], tag);
  dialog.party = {std::string(call.request.get(HeaderId::from).value_or("")),
                  std::string(response.get(HeaderId::to).value_or(""))};
  dialog.shown_from = changed_from(call.request, branch.sent);
  if (auto contact = call.request.contact()) dialog.remote_target[0] = contact->uri;
  dialog.address[0] = party_uri(call.request, HeaderId::from);
  dialog.address[1] = std::string(branch.sent.request_uri());
  dialog.route_set = {record_route(call.request, false), record_route(response, true)};
  if (branch.credentials || branch.identity.hides[1])
    dialog.identity.keep_credentials(branch.sent, Side::callee);
  if (branch.dialogs.size() >= limits::kForksPerCall) forget_an_early_dialog(call, branch);
  branch.dialogs.push_back(std::move(owned));
  look_ahead(call, branch, dialog, Side::caller);
  return dialog;
}

/// The oldest one, with the requests that wait in it. The answered dialog is never forgotten.
void CallManager::forget_an_early_dialog(Call& call, Branch& branch) {
  auto oldest = std::find_if(branch.dialogs.begin(), branch.dialogs.end(),
                             [](const auto& dialog) { return !dialog->confirmed; });
  if (oldest != branch.dialogs.end()) forget_dialog(call, branch, **oldest);
}

void CallManager::forget_dialog(Call& call, Branch& branch, const DialogPair& dialog) {
  in_dialog_.erase_of(call.id, [&](sip::TransactionId client, const DialogUse& use) {
    if (use.dialog != &dialog) return false;
    answer_waiting(use);
    silent_.clear(client);
    if (!use.finished) --call.transactions;
    return true;
  });
  if (branch.media) branch.media->forget(dialog.callee_tag);
  std::erase_if(branch.dialogs, [&](const auto& entry) { return entry.get() == &dialog; });
}

/// Puts the callee's response into the caller's words.
void CallManager::turn_to_caller(const Call& call, const Branch& branch,
                                 sip::Message& response) const {
  make_outgoing_response(response, call.request);
  const DialogIdentity& identity = branch.identity;
  identity.carry_response(response, call.request,
                          core_.tag_told(identity, branch.flow[0], response.to_tag()));
  std::string at = identity.hides[0] ? responder_uri(response) : std::string();
  core_.translate(response,
                  {branch.flow[1], branch.flow[0], identity.hides[0], at, branch.media != nullptr});
}

/// Makes the callee's response the caller's. False: its description could not be carried.
bool CallManager::carry_to_caller(Call& call, Branch& branch, const DialogPair* dialog,
                                  sip::Message& response) {
  // What follows a late offer that was answered in a PRACK only says it again.
  bool offer = !branch.initial_offer && !(dialog && dialog->answered_in_prack);
  std::string_view tag = dialog ? std::string_view(dialog->callee_tag) : std::string_view();
  if (carry_body(branch, tag, Side::callee, response, offer)) return false;
  turn_to_caller(call, branch, response);
  const sip::Flow& caller = branch.flow[0];
  // §12.1.1: whoever takes a call says where it is reached, even if an RFC 2543 callee did not.
  if (call.invite && response.status() >= 200 && !response.has(HeaderId::contact))
    response.add(HeaderId::contact, "<sip:invalid>");
  core_.put_contact(response, branch.token[0], caller, asks_secure_contact(call.request));
  return true;
}

void CallManager::on_provisional(Call& call, Branch& branch, sip::Message& response) {
  DialogPair* dialog = nullptr;
  if (!response.to_tag().empty()) {
    dialog = &dialog_of(call, branch, response);
    if (auto contact = response.contact()) {
      dialog->remote_target[1] = contact->uri;
      dialog->route_set[1] = record_route(response, true);
      look_ahead(call, branch, *dialog, Side::callee);
    }
    if (repeat_provisional(dialog->reliable, call.server, branch.flow[0], branch.flow[1], response))
      return;
  }
  if (!carry_to_caller(call, branch, dialog, response)) {
    ++core_.counters.bad_sdp;
    return;  // early media that cannot be carried is no reason to fail a call that may still be
             // answered
  }
  if (dialog && dialog->reliable.rseq != 0 &&
      response.number(HeaderId::rseq) == dialog->reliable.rseq) {
    dialog->reliable.carried = response;
    repeat_until_prack(call, *dialog, Side::caller, call.server, response);
  }
  core_.respond(call.server, response, &branch.flow[1]);
}

void CallManager::on_answered(Call& call, Branch& branch, sip::Message& response) {
  DialogPair& dialog = dialog_of(call, branch, response);
  dialog.route_set[1] = record_route(response, true);  // the 2xx decides (RFC 3261 §13.2.2.4)
  if (auto contact = response.contact()) dialog.remote_target[1] = contact->uri;
  dialog.confirmed = true;
  look_ahead(call, branch, dialog, Side::callee);
  sip::Message original = response;
  begin_timers(call, branch, response);
  if (!carry_to_caller(call, branch, &dialog, response)) {
    ++core_.counters.bad_sdp;
    hang_up_answer(branch, original, "Session description not understood");
    branch.state = BranchState::lost;
    cancel_branches(call, nullptr, "Call failed");
    fail_setup(call, 502, "The answer's session description is malformed");
    return;
  }
  branch.state = BranchState::won;
  call.winner = &branch;
  call.state = CallState::answered;
  call.answered = core_.now;
  call.final_status = response.status();
  call.owner[1] = core_.router.owner_of(branch.flow[1]);
  if (call.invite) ++core_.counters.calls_answered;
  cancel_branches(call, &branch, "Call completed elsewhere");
  if (branch.media) {
    branch.media->settle(dialog.callee_tag);
    branch.media->end_offer(Side::caller);
  }
  core_.respond(call.server, response, &branch.flow[1]);
  if (call.invite)
    wait_for_ack(call, dialog, Side::caller, call.server, branch.flow[0], response, branch.flow[1]);
  if (!call.invite) begin_subscription(call, dialog, response);
  arm_timers(call);
  report(call, false);
}

/// A retransmitted 2xx: the ACK was lost, or has not come yet (RFC 6026 §8.5).
void CallManager::on_repeated_answer(Branch& branch, sip::Message& response) {
  std::string tag = response.to_tag();
  for (auto& dialog : branch.dialogs) {
    if (dialog->callee_tag != tag || !dialog->confirmed) continue;
    auto cseq = response.cseq();
    DialogPair::Ack& ack = dialog->last_ack[index_of(Side::callee)];
    if (cseq && !ack.sent.empty() && ack.cseq == cseq->number) core_.repeat_ack(ack.sent);
    // Without an ACK yet: the 2xx is repeated to the caller by our own clock.
    return;
  }
  hang_up_answer(branch, response, "Answered elsewhere");  // a second 2xx of a fork upstream
}

void CallManager::on_refused(Call& call, Branch& branch, sip::Message response, bool ours) {
  if (branch.state == BranchState::won) return;
  branch.state = BranchState::lost;
  branch.media.reset();
  if (call.state == CallState::setup && response.status() >= 600) {
    cancel_branches(call, &branch, "Declined everywhere");  // RFC 3261 §16.7 step 5
  }
  turn_to_caller(call, branch, response);
  keep_failure(branch, std::move(response), ours ? nullptr : &branch.flow[1]);
  finish_if_nobody_left(call);
}

/// What an earlier place said is worth more than the silence of a later one.
void CallManager::keep_failure(Branch& branch, sip::Message response, const sip::Flow* from) {
  if (branch.failure && branch.failed_at && !from) return;
  branch.failure = std::move(response);
  branch.failed_at.reset();
  if (from) branch.failed_at = *from;
}

/// Rank by RFC 3261 §16.7 step 6: 6xx first, then the lowest class; within a class, what a caller
/// can act on.
static int rank(int status) {
  if (status >= 600) return 0;
  if (status == 401 || status == 407 || status == 415 || status == 420 || status == 484)
    return status / 100 * 10 - 1;
  return status == 503 ? 59 : status / 100 * 10;
}

void CallManager::finish_if_nobody_left(Call& call) {
  const sip::Message* best = nullptr;
  const sip::Flow* best_from = nullptr;
  for (const auto& branch : call.branches) {
    if (branch->state == BranchState::calling || branch->state == BranchState::cancelled) return;
    if (branch->failure && (!best || rank(branch->failure->status()) < rank(best->status()))) {
      best = &*branch->failure;
      best_from = branch->failed_at ? &*branch->failed_at : nullptr;
    }
  }
  if (call.winner) return;  // the end of a losing branch, maybe while a BYE is under way
  if (call.state == CallState::ending) {
    end(call, call.end_reason);
    return;
  }
  if (!best) {
    fail_setup(call, 500, "No target answered");
    return;
  }
  call.final_status = best->status();
  if (call.invite) ++core_.counters.calls_failed;
  core_.respond(call.server, *best, best_from);
  end(call, "refused with " + std::to_string(call.final_status));
}

void CallManager::fail_setup(Call& call, int status, std::string_view reason,
                             unsigned retry_after_s) {
  call.final_status = status;
  if (call.invite) ++core_.counters.calls_failed;
  core_.reject(call.server, call.request, status, reason, retry_after_s);
  call.state = CallState::ending;
  call.end_reason = reason;
  for (const auto& branch : call.branches) {
    if (branch->state == BranchState::calling || branch->state == BranchState::cancelled) return;
  }
  end(call, reason);
}

void CallManager::cancel_branches(Call& call, const Branch* except, std::string_view reason) {
  if (!call.invite) return;  // only INVITE can be cancelled (RFC 3261 §9.1)
  for (auto& branch : call.branches) {
    if (branch.get() == except || branch->state != BranchState::calling) continue;
    cancel_branch(*branch, {{"Reason", reason_value(200, reason)}});
  }
}

/// Takes a 2xx that nobody wants: ACK, then BYE (RFC 3261 §13.2.2.4).
void CallManager::hang_up_answer(Branch& branch, const sip::Message& response,
                                 std::string_view reason) {
  if (branch.sent.method() != sip::Method::invite) return;
  std::string tag = response.to_tag();
  for (Branch::Unwanted& known : branch.unwanted) {
    if (known.tag == tag) return core_.repeat_ack(known.ack);
  }
  SentAck ack = acknowledge_and_end(branch.flow[1], &branch.flow[0], branch.sent, response, reason);
  if (branch.unwanted.size() < limits::kForksPerCall)
    branch.unwanted.push_back({std::move(tag), std::move(ack)});
}

/// @return the ACK, to repeat.
SentAck CallManager::acknowledge_and_end(const sip::Flow& flow, const sip::Flow* on_behalf,
                                         const sip::Message& invite, const sip::Message& response,
                                         std::string_view reason) {
  sip::Dialog dialog = sip::Dialog::as_uac(invite, response);
  sip::Flow hop = core_.next_hop(flow, dialog.remote_target, dialog.route_set);
  auto cseq = response.cseq();
  sip::Message ack_message = dialog.request("ACK", cseq ? cseq->number : 1);
  for (HeaderId header : {HeaderId::authorization, HeaderId::proxy_authorization}) {
    for (std::string_view value : invite.fields(header)) ack_message.add(header, value);
  }
  SentAck ack = core_.send_ack(std::move(ack_message), hop);
  sip::Message bye = dialog.request("BYE");
  bye.add(HeaderId::reason, reason_value(200, reason));
  core_.send_bye(std::move(bye), hop, on_behalf);
  return ack;
}

void CallManager::on_late_answer(const sip::Flow& flow, const sip::Message& response) {
  if (response.status() < 200 || response.status() >= 300 ||
      response.method() != sip::Method::invite) {
    return;
  }
  // What was sent is forgotten; what ACK and BYE need of it stands in the response. Without a
  // Contact that can be read, they go where it came from.
  auto contact = response.contact();
  std::string target = "sip:" + (flow.is_link() ? "invalid.invalid" : flow.remote.to_string());
  sip::Message invite = sip::Message::request("INVITE", contact ? contact->uri : target);
  for (HeaderId id : {HeaderId::from, HeaderId::call_id, HeaderId::cseq}) {
    invite.add(id, response.get(id).value_or(""));
  }
  acknowledge_and_end(flow, nullptr, invite, response, "The call is over");
}

bool CallManager::on_cancel(sip::TransactionId server, const sip::Message& cancel) {
  std::string_view why = cancel.get(HeaderId::reason).value_or("");
  std::vector<std::pair<std::string, std::string>> extra;
  if (!why.empty()) extra.emplace_back("Reason", std::string(why));
  Call* call = call_of_server(server);
  if (!call) {  // of a re-INVITE: whoever was asked answers it
    const auto asked = in_dialog_.find_if(
        [&](const DialogUse& use) { return use.server == server && !use.finished; });
    if (asked) core_.layer.cancel(*asked, std::move(extra), core_.now, core_.events);
    return asked.has_value();
  }
  if (call->state != CallState::setup) return false;
  call->final_status = 487;
  ++core_.counters.calls_failed;
  // The caller is answered at once; a 2xx that crosses the CANCEL is acknowledged and hung up here.
  core_.reject(call->server, call->request, 487, "Request Terminated");
  call->state = CallState::ending;
  call->end_reason = "cancelled by caller";
  for (auto& branch : call->branches) {
    if (branch->state != BranchState::calling) continue;
    cancel_branch(*branch, extra);
  }
  finish_if_nobody_left(*call);
  return true;
}

}  // namespace isthmus::call
