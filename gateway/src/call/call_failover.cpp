// CallManager: sending the first request of a branch, and sending it elsewhere when a place fails.
#include "base/limits.hpp"
#include "call/body_parts.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

/// Sends the call's request to a place: the branch's first, or one of its alternatives.
std::optional<MediaFault> CallManager::send_branch(Call& call, Branch& branch,
                                                   const RouteTarget& target) {
  branch.flow[1] = target.flow;
  index(target.flow, call);
  branch.heard = false;
  sip::Message out = call.request;
  make_outgoing_request(out);
  if (!target.request_uri.empty()) out.set_request_uri(target.request_uri);
  put_headers(target, out);
  if (!core_.may_leave(out, target.flow)) return MediaFault{480, "SIPS Not Allowed"};
  // §8.1.1.8: whoever opens a dialog says where it is reached, even if an RFC 2543 caller did not.
  if (call.invite && !out.has(HeaderId::contact)) out.add(HeaderId::contact, "<sip:invalid>");
  core_.put_contact(out, branch.token[1], target.flow, asks_for_tls(out));
  branch.identity = core_.name_legs(call.request, call.caller, target.flow);
  branch.challenges = 0;
  branch.identity.carry_request(out, Side::caller);
  if (call.invite && !(branch.media && branch.media->move_callee(target.flow))) {
    branch.media.reset();  // gives its ports back before others are taken
    branch.media = std::make_unique<MediaSession>(core_.media, call.caller, target.flow);
  }
  if (branch.media) branch.media->convert_digits(forms_of(branch), call.id);
  prepare_timers(call, branch, out);
  branch.initial_offer = has_description(out);
  if (std::optional<MediaFault> fault = carry_body(branch, {}, Side::caller, out, true))
    return fault;

  Result<sip::NameAddr, sip::Fault> contact = call.request.contact();
  std::string at = contact ? contact->uri : std::string();
  core_.translate(
      out, {call.caller, target.flow, branch.identity.hides[1], at, branch.media != nullptr});

  branch.sent = out;
  std::optional<sip::Message> sent;
  branch.client = core_.send(std::move(out), target.flow, &call.caller, &sent);
  if (branch.client == 0) return MediaFault{503, "Too many transactions"};
  branch.credentials = sent.has_value();
  if (sent) branch.sent = std::move(*sent);
  index(branch.identity.names[1].call_id, call);
  initial_.emplace(branch.client, InitialUse{&call, &branch});
  Duration limit = patience(core_.router.policy_of(target.flow), call.invite);
  if (!branch.places.exhausted() && limit > Duration::zero())
    silent_.set(branch.client, core_.now + limit);
  return std::nullopt;
}

/// RFC 3263 §4.3, for a request that made no dialog yet: what an end point has said is not unsaid
/// by asking another.
/// @return false: the failure stands.
bool CallManager::try_next_place(Call& call, Branch& branch, HopFailure failure, int status) {
  if (call.state != CallState::setup || branch.state != BranchState::calling ||
      !branch.dialogs.empty())
    return false;
  while (std::optional<RouteTarget> next = branch.places.next(failure, status)) {
    initial_.erase(branch.client);
    silent_.clear(branch.client);
    branch.client = 0;
    const sip::Flow left = branch.flow[1];
    if (!send_branch(call, branch, *next)) {
      core_.router.on_moved(left, branch.flow[1], outcome_of(failure, status));
      call.owner[1] = core_.router.owner_of(branch.flow[1]);
      return true;
    }
    failure = HopFailure::unreachable;
  }
  return false;
}

void CallManager::on_hop_failed(Call& call, Branch& branch, HopFailure failure) {
  if (branch.state == BranchState::won) return;
  // A place that rang, or answers no CANCEL, is not a dead one.
  if (!branch.heard) {
    core_.router.on_outcome(branch.flow[1], outcome_of(failure, 0), 0, core_.now);
    if (try_next_place(call, branch, failure, 0) || try_next_contact(call, branch)) return;
  }
  sip::Message response = answer_for(failure, call.request, core_.random.token(12));
  response.add(HeaderId::server, core_.config.software);
  on_refused(call, branch, std::move(response), true);
}

/// The place has not said a word: it is left, and told so should it wake up (RFC 3261 §9.1: the
/// CANCEL waits for a provisional response; a 2xx is acknowledged and hung up).
void CallManager::on_silence(sip::TransactionId client) {
  auto found = initial_.find(client);
  if (found == initial_.end()) {
    if (in_dialog_.find(client)) try_next_hop(client, HopFailure::timeout);
    return;
  }
  InitialUse use = found->second;
  if (use.call->invite) {
    core_.layer.cancel(client, {{"Reason", reason_value(408, "No answer in time")}}, core_.now,
                       core_.events);
  }
  on_hop_failed(*use.call, *use.branch, HopFailure::timeout);
}

}  // namespace isthmus::call
