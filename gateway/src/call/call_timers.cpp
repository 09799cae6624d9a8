// CallManager: session timers that the bridge keeps on a leg of its own (RFC 4028), where a leg's
// policy says so. Without one, session timers are between the end points and pass.
//
//   running ──refresh by either side, 2xx──▶ running
//      ├── half the interval, we refresh: UPDATE, else re-INVITE with the last description
//      ├── 408, 481 or no answer to our refresh ──▶ hung up
//      └── interval less min(32 s, a third) without a refresh ──▶ hung up
#include <algorithm>

#include "base/limits.hpp"
#include "call/body_parts.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"
#include "call/description_change.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

constexpr Duration kRefreshAgain = seconds(10);  // after a failure that says nothing of the peer
constexpr unsigned kOffersAgain = 5;  // after glare; who never takes one does not mean glare
constexpr const char* kLapsed = "Session timer expired";

bool refreshes_session(Method method) {
  return method == Method::invite || method == Method::update;
}

/// Takes over what an answer to our request grants.
void take_grant(SessionTimer& timer, const sip::Message& response, Instant now) {
  if (std::optional<SessionExpires> granted = SessionExpires::of(response)) {
    timer.grant(granted->interval, granted->uac_refreshes.value_or(true), now);
  } else {
    timer.restart(now);
  }
}

/// The Min-SE of a request: never less than before (RFC 4028 §7.3).
seconds least_of(SessionTimer& timer, const LegPolicy& policy) {
  timer.least = std::max(timer.least, std::min(policy.min_session_expires, timer.interval));
  return timer.least;
}

/// Takes over what a request of the peer asks for.
void take_request(SessionTimer& timer, const sip::Message& request, const LegPolicy& policy,
                  Instant now) {
  bool supported = request.lists(HeaderId::supported, "timer");
  if (std::optional<SessionExpires> asked = SessionExpires::of(request)) {
    seconds most = policy.session_expires.value_or(asked->interval);
    seconds least(request.number(HeaderId::min_se).value_or(90));  // RFC 4028 §5
    timer.interval = std::max(std::min(asked->interval, most), least);
    timer.we_refresh = !(supported && asked->uac_refreshes == true);
  } else if (policy.session_expires && !timer.runs()) {
    timer.interval = *policy.session_expires;
    timer.we_refresh = true;
  }
  timer.restart(now);
}

}  // namespace

/// The INVITE of a branch on its way out. Once the bridge keeps a timer on one leg, both are apart.
void CallManager::prepare_timers(const Call& call, Branch& branch, sip::Message& out) {
  branch.timers.reset();
  if (!call.invite) return;
  LegPolicy caller = core_.router.policy_of(branch.flow[0]);
  LegPolicy callee = core_.router.policy_of(branch.flow[1]);
  if (!caller.session_expires && !callee.session_expires) return;
  branch.timers = std::make_unique<TimedLegs>();
  (*branch.timers)[0].knows_update = call.request.lists(HeaderId::allow, "UPDATE");
  take_off_timer(out);
  if (!callee.session_expires) return;
  SessionTimer& timer = (*branch.timers)[1].timer;
  timer.interval = *callee.session_expires;
  ask_for_timer(out, timer.interval, least_of(timer, callee), std::nullopt);
}

/// 422 to an INVITE that only asked for too short an interval on a leg that passes timers through
/// is the end points' business; here it is to a timer of ours (RFC 4028 §7.3).
bool CallManager::raise_interval(Call& call, Branch& branch, const sip::Message& response) {
  std::optional<std::uint32_t> least = response.number(HeaderId::min_se);
  auto cseq = call.request.cseq();
  if (response.status() != 422 || !branch.timers || !least || !cseq ||
      call.state != CallState::setup || branch.state != BranchState::calling ||
      branch.challenges == limits::kDigestAttempts) {
    return false;
  }
  SessionTimer& timer = (*branch.timers)[1].timer;
  if (!timer.runs() || seconds(*least) <= timer.interval) return false;
  timer.interval = timer.least = seconds(*least);
  sip::Message again = branch.sent;
  ask_for_timer(again, timer.interval, timer.interval, std::nullopt);
  set_cseq(again, branch.identity.numbers[1].carry_again(cseq->number, Method::invite));
  for (auto& dialog : branch.dialogs)
    dialog->identity.numbers[1].carry_again(cseq->number, Method::invite);
  sip::TransactionId client = core_.send_again(again, branch.flow[1]);
  if (client == 0) return false;
  ++branch.challenges;
  initial_.erase(branch.client);
  branch.client = client;
  branch.sent = std::move(again);
  initial_.emplace(client, InitialUse{&call, &branch});
  return true;
}

/// The 2xx that answers the call, still in the callee's words.
void CallManager::begin_timers(const Call& call, Branch& branch, sip::Message& response) {
  if (!branch.timers) return;
  auto& [caller, callee] = *branch.timers;
  callee.knows_update = response.lists(HeaderId::allow, "UPDATE");
  if (callee.timer.runs()) {
    // Without an answer to it the callee knows no timers: we refresh, and find it gone or there.
    callee.timer.we_refresh = true;
    take_grant(callee.timer, response, core_.now);
  }
  take_off_timer(response);
  LegPolicy policy = core_.router.policy_of(branch.flow[0]);
  bool supported = call.request.lists(HeaderId::supported, "timer");
  if (!policy.session_expires && !(supported && SessionExpires::of(call.request))) return;
  take_request(caller.timer, call.request, policy, core_.now);
  grant_timer(response, caller.timer, supported);
}

void CallManager::arm_timers(const Call& call) {
  session_timers_.clear(call.id);
  if (!call.winner || !call.winner->timers) return;
  std::optional<Instant> next;
  for (const TimedLeg& leg : *call.winner->timers) {
    if (leg.timer.runs() && (!next || leg.timer.next() < *next)) next = leg.timer.next();
    if (!leg.untold.empty() && (!next || leg.tell_at < *next)) next = leg.tell_at;
  }
  if (next) session_timers_.set(call.id, *next);
}

void CallManager::refuse_interval(sip::TransactionId server, const sip::Message& request,
                                  seconds least) {
  sip::Message refusal = sip::Message::response_to(request, 422, {}, core_.random.token(12));
  refusal.add(HeaderId::min_se, std::to_string(least.count()));
  refusal.add(HeaderId::server, core_.config.software);
  core_.respond(server, std::move(refusal));
}

/// A refresh inside a dialog, where its leg's timer is ours: one that carries nothing else is
/// answered here. @return true: answered.
bool CallManager::answer_refresh(const DialogRef& ref, sip::TransactionId server,
                                 const sip::Message& request) {
  if (!ref.branch->timers || !refreshes_session(request.method())) return false;
  SessionTimer& timer = (*ref.branch->timers)[index_of(ref.from)].timer;
  const sip::Flow& flow = ref.branch->flow[index_of(ref.from)];
  LegPolicy policy = core_.router.policy_of(flow);
  if (std::optional<seconds> least = too_small(request, policy)) {
    refuse_interval(server, request, *least);
    return true;
  }
  if (request.method() != Method::update || !request.body().empty() || !timer.runs() ||
      !SessionExpires::of(request)) {
    return false;
  }
  take_target(*ref.dialog, ref.from, request);
  look_ahead(*ref.call, *ref.branch, *ref.dialog, ref.from);
  take_request(timer, request, policy, core_.now);
  arm_timers(*ref.call);
  sip::Message ok = sip::Message::response_to(request, 200);
  std::string contact = core_.contact_uri(ref.branch->token[index_of(ref.from)], flow,
                                          is_sips(request.request_uri()));
  ok.add(HeaderId::contact, "<" + contact + ">");
  ok.add(HeaderId::server, core_.config.software);
  grant_timer(ok, timer, request.lists(HeaderId::supported, "timer"));
  core_.respond(server, std::move(ok));
  return true;
}

/// A re-INVITE or UPDATE that crosses refreshes the timers of both legs, each in its own terms.
void CallManager::carry_timer(Branch& branch, Side to, sip::Message& request) {
  if (!branch.timers || !refreshes_session(request.method())) return;
  take_off_timer(request);
  SessionTimer& timer = (*branch.timers)[index_of(to)].timer;
  if (!timer.runs()) return;
  LegPolicy policy = core_.router.policy_of(branch.flow[index_of(to)]);
  ask_for_timer(request, timer.interval, least_of(timer, policy), timer.we_refresh);
}

void CallManager::carry_timer_answer(const DialogUse& use, sip::Message& response) {
  Branch& branch = *use.branch;
  if (!branch.timers || !refreshes_session(use.request.method()) || response.status() < 200 ||
      response.status() >= 300) {
    return;
  }
  SessionTimer& far = (*branch.timers)[index_of(other(use.from))].timer;
  SessionTimer& near = (*branch.timers)[index_of(use.from)].timer;
  if (far.runs()) take_grant(far, response, core_.now);
  take_off_timer(response);
  if (near.runs()) {
    LegPolicy policy = core_.router.policy_of(branch.flow[index_of(use.from)]);
    take_request(near, use.request, policy, core_.now);
    grant_timer(response, near, use.request.lists(HeaderId::supported, "timer"));
  }
  arm_timers(*use.call);
}

void CallManager::on_session_timer(CallId id) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  Call& call = *found->second;
  if (call.state != CallState::answered || call.usages_only || !call.winner ||
      !call.winner->timers) {
    return;
  }
  for (Side side : {Side::caller, Side::callee}) {
    TimedLeg& leg = (*call.winner->timers)[index_of(side)];
    SessionTimer& timer = leg.timer;
    if (!leg.untold.empty() && leg.tell_at <= core_.now) tell_change(call, side);
    if (!timer.runs()) continue;
    if (timer.lapses_at <= core_.now) {
      hang_up(call, std::nullopt, 408, kLapsed);
      return;
    }
    if (!timer.we_refresh || timer.refresh_at > core_.now) continue;
    timer.refresh_at = core_.now + kRefreshAgain;
    refresh(call, side);
  }
  arm_timers(call);
}

/// The dialog that a request of ours can go into now; one INVITE at a time (RFC 3261 §14.1).
DialogPair* CallManager::idle_dialog(const Call& call, Branch& branch, bool for_invite) {
  auto confirmed = std::find_if(branch.dialogs.begin(), branch.dialogs.end(),
                                [](const auto& entry) { return entry->confirmed; });
  if (confirmed == branch.dialogs.end()) return nullptr;
  if (!for_invite) return confirmed->get();
  const bool asked = in_dialog_.any_of(call.id, [](const DialogUse& use) {
    return !use.finished && use.request.method() == Method::invite;
  });
  const bool asks = refreshes_.any_of(
      call.id, [](const Refresh& pending) { return pending.invite && pending.ack.empty(); });
  if (asked || asks) return nullptr;
  return branch.media->pending_offer() ? nullptr : confirmed->get();
}

void CallManager::refresh(Call& call, Side to) {
  Branch& branch = *call.winner;
  TimedLeg& leg = (*branch.timers)[index_of(to)];
  bool invite = !leg.knows_update;
  DialogPair* dialog = idle_dialog(call, branch, invite);
  if (!dialog || (invite && leg.described.empty())) return;
  if (invite) branch.media->begin_offer(other(to));
  if (!send_refresh(call, *dialog, to, invite, false, leg.described) && invite)
    branch.media->end_offer(other(to));
}

/// @param description  what an INVITE offers
bool CallManager::send_refresh(Call& call, DialogPair& dialog, Side to, bool invite, bool tells,
                               const std::string& description) {
  Branch& branch = *call.winner;
  TimedLeg& leg = (*branch.timers)[index_of(to)];
  sip::Message request = own_request(dialog, to, invite ? "INVITE" : "UPDATE");
  sip::Flow hop = next_hop(branch, dialog, to);
  std::string contact = core_.contact_uri(branch.token[index_of(to)], hop, asks_for_tls(request));
  request.add(HeaderId::contact, "<" + contact + ">");
  if (leg.timer.runs()) {
    LegPolicy policy = core_.router.policy_of(branch.flow[index_of(to)]);
    ask_for_timer(request, leg.timer.interval, least_of(leg.timer, policy),
                  tells ? leg.timer.we_refresh : true);
  }
  if (invite) {
    bool hides = dialog.identity.hides[index_of(to)];
    request.set_body(hides ? hide_description(description, true) : description, "application/sdp");
  }
  Refresh pending{call.id, &dialog, to, invite, request, hop, branch.flow[index_of(other(to))]};
  pending.tells = tells;
  if (tells) {
    pending.told = leg.untold;
    pending.offered = description;
  }
  sip::TransactionId client =
      core_.send(std::move(request), hop, nullptr, &pending.challenged, &pending.on_behalf);
  if (client == 0) return false;
  refreshes_.add(client, call.id, std::move(pending));
  return true;
}

/// A leg answered our refresh with another description than it gave before: it moved, or sends
/// other codecs, or none. The relay follows it by itself; the other leg is offered what it can
/// tell apart.
/// @param carried  the answer in the other leg's terms
void CallManager::note_change(Call& call, Side of, std::string_view answer,
                              const std::string& carried) {
  const TimedLeg& leg = (*call.winner->timers)[index_of(of)];
  TimedLeg& peer = (*call.winner->timers)[index_of(other(of))];
  if (!is_news(peer.described, leg.described, carried)) return;
  peer.untold = std::string(answer);
  peer.refusals = 0;
  peer.tell_at = core_.now;
}

/// Offers that side what it has not been told; again after a while, if something is under way.
void CallManager::tell_change(Call& call, Side to) {
  Branch& branch = *call.winner;
  TimedLeg& leg = (*branch.timers)[index_of(to)];
  // RFC 3261 §14.1: who does not own the Call-ID waits less, so that both do not collide again.
  leg.tell_at = core_.now + milliseconds(10 * (1 + core_.random.u32() % 200));
  DialogPair* dialog = idle_dialog(call, branch, true);
  if (!dialog) return;
  auto offer = branch.media->translate(other(to), leg.untold, true, dialog->callee_tag);
  if (!offer) {
    ++core_.counters.bad_sdp;
    branch.media->rollback(other(to), dialog->callee_tag);
    leg.untold.clear();
  } else if (send_refresh(call, *dialog, to, true, true, *offer)) {
    leg.untold.clear();
  } else {
    branch.media->rollback(other(to), dialog->callee_tag);
  }
}

/// A request of our own inside a dialog.
sip::Message CallManager::own_request(DialogPair& dialog, Side to, std::string_view method) const {
  return own_request(dialog, to, method, dialog.identity.numbers[index_of(to)].next_own());
}

sip::Message CallManager::own_request(const DialogPair& dialog, Side to, std::string_view method,
                                      std::uint32_t cseq) const {
  Side from = other(to);
  const DialogIdentity& identity = dialog.identity;
  sip::Message request = sip::Message::request(method, "sip:invalid.invalid");
  request.add(HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  request.add(HeaderId::from, identity.party_on(to, from, dialog.party[index_of(from)]));
  request.add(HeaderId::to, identity.party_on(to, to, dialog.party[index_of(to)]));
  request.add(HeaderId::call_id, identity.names[index_of(to)].call_id);
  request.add(HeaderId::cseq, std::to_string(cseq) + " " + std::string(method));
  address_to(dialog, to, request);
  return request;
}

bool CallManager::on_refresh_response(sip::TransactionId client, const sip::Message& response) {
  Refresh* found = refreshes_.find(client);
  if (!found) return false;
  Refresh& refresh = *found;
  int status = response.status();
  if (status < 200) return true;
  if (!refresh.ack.empty()) {  // a 2xx again: our ACK was lost
    core_.repeat_ack(refresh.ack);
    return true;
  }
  Call& call = *calls_.at(refresh.call);
  if (call.usages_only) {  // the BYE was faster
    refreshes_.erase(client);
    return true;
  }
  Branch& branch = *call.winner;
  TimedLeg& leg = (*branch.timers)[index_of(refresh.to)];
  if (status < 300) {
    if (leg.timer.runs()) {
      take_grant(leg.timer, response, core_.now);
      leg.timer.we_refresh = leg.timer.we_refresh || !SessionExpires::of(response);
    }
    if (refresh.invite) {
      acknowledge_refresh(call, refresh, response);
    } else {
      refreshes_.erase(client);
    }
    arm_timers(call);
    return true;
  }
  Refresh over = std::move(refresh);
  refreshes_.erase(client);
  if (status == 401 || status == 407) {
    if (answer_refresh_challenge(over, response)) return true;
  }
  if (over.tells) {
    branch.media->rollback(other(over.to));
    if (status == 491 && leg.untold.empty() && leg.refusals++ < kOffersAgain) {  // RFC 3261 §14.1
      leg.untold = over.told;
      leg.tell_at = core_.now + milliseconds(10 * (1 + core_.random.u32() % 200));
    }
  } else if (over.invite) {
    branch.media->end_offer(other(over.to));
  }
  if (status == 408 || status == 481) {
    hang_up(call, std::nullopt, 408, kLapsed);
    return true;
  }
  std::optional<std::uint32_t> least = response.number(HeaderId::min_se);
  bool longer = status == 422 && least && seconds(*least) > leg.timer.interval;
  if (longer) leg.timer.interval = leg.timer.least = seconds(*least);
  bool by_invite = !over.invite && (status == 405 || status == 501);
  if (by_invite) leg.knows_update = false;
  if (over.tells) {  // it goes on as it was told before, as after any offer that is refused
    arm_timers(call);
    return true;
  }
  leg.timer.refresh_at = core_.now + (longer || by_invite ? Duration::zero() : kRefreshAgain);
  arm_timers(call);
  return true;
}

void CallManager::acknowledge_refresh(Call& call, Refresh& refresh, const sip::Message& response) {
  Branch& branch = *call.winner;
  DialogPair& dialog = *refresh.dialog;
  if (auto contact = response.contact()) {
    dialog.remote_target[index_of(refresh.to)] = contact->uri;
    look_ahead(call, branch, dialog, refresh.to);
  }
  if (std::optional<std::string_view> answer = description_in(response)) {
    auto taken = branch.media->translate(refresh.to, *answer, false, dialog.callee_tag);
    if (!taken) {
      ++core_.counters.bad_sdp;  // media flows as before
    } else if (refresh.tells) {  // told no further: two that never agree would have no end
      (*branch.timers)[index_of(refresh.to)].described = refresh.offered;
      (*branch.timers)[index_of(other(refresh.to))].described = *taken;
    } else {
      note_change(call, refresh.to, *answer, *taken);
    }
  }
  branch.media->end_offer(other(refresh.to));
  sip::Message ack = sip::Message::request("ACK", "sip:invalid.invalid");
  ack.add(HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  for (HeaderId id : {HeaderId::from, HeaderId::to, HeaderId::call_id})
    ack.add(id, refresh.sent.get(id).value_or(""));
  auto cseq = response.cseq();
  ack.add(HeaderId::cseq, std::to_string(cseq ? cseq->number : 1) + " ACK");
  for (HeaderId id : {HeaderId::authorization, HeaderId::proxy_authorization}) {
    for (std::string_view value : refresh.sent.fields(id)) ack.add(id, value);
  }
  address_to(dialog, refresh.to, ack);
  refresh.hop = next_hop(branch, dialog, refresh.to);
  refresh.kept_until = core_.now + core_.config.timers.timeout();
  refresh.ack = core_.send_ack(std::move(ack), refresh.hop);
}

bool CallManager::answer_refresh_challenge(Refresh& refresh, const sip::Message& response) {
  if (!refresh.challenged || refresh.challenges == limits::kDigestAttempts) return false;
  std::optional<sip::Message> again =
      core_.credentials.answer(*refresh.challenged, response, refresh.hop, &refresh.on_behalf);
  if (!again) return false;
  set_cseq(*again, refresh.dialog->identity.numbers[index_of(refresh.to)].next_own());
  refresh.sent = *again;
  refresh.challenged = *again;
  ++refresh.challenges;
  sip::TransactionId client = core_.send_again(std::move(*again), refresh.hop);
  if (client == 0) return false;
  const CallId call = refresh.call;
  refreshes_.add(client, call, std::move(refresh));
  return true;
}

bool CallManager::on_refresh_failed(sip::TransactionId client) {
  const Refresh* found = refreshes_.find(client);
  if (!found) return false;
  CallId id = found->call;
  bool answered = !found->ack.empty();
  refreshes_.erase(client);
  auto call = calls_.find(id);
  if (!answered && call != calls_.end() && !call->second->usages_only)
    hang_up(*call->second, std::nullopt, 408, kLapsed);
  return true;
}

}  // namespace isthmus::call
