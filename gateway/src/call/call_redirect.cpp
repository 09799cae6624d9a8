// CallManager: 3xx that are followed here (RFC 3261 §8.1.3.4), where the leg's policy says so.
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

/// @return true: another place has been asked, or waits for its address. False: the failure stands;
///   `response` is 482 then if the Contacts only lead in a circle.
bool CallManager::follow_redirect(Call& call, Branch& branch, sip::Message& response) {
  if (call.state != CallState::setup || branch.state != BranchState::calling ||
      !Redirection::follows(response, core_.router.policy_of(branch.flow[1]))) {
    return false;
  }
  if (!branch.redirection.take(response, branch.sent.request_uri(), core_.router)) {
    ++core_.counters.loops;
    response.set_status(482, "Redirected in a circle");
    response.remove(HeaderId::contact);
    return false;
  }
  // The answer of this place is where it is to be found: its other hosts have nothing to add.
  branch.places = Failover();
  return try_next_contact(call, branch);
}

bool CallManager::try_next_contact(Call& call, Branch& branch) {
  if (call.state != CallState::setup || branch.state != BranchState::calling) return false;
  while (std::optional<std::string> uri = branch.redirection.next()) {
    initial_.erase(branch.client);
    silent_.clear(branch.client);
    branch.client = 0;
    if (send_to_contact(call, branch, *uri, false)) return true;
  }
  return false;
}

/// @param waited  for a lookup already.
bool CallManager::send_to_contact(Call& call, Branch& branch, const std::string& uri, bool waited) {
  std::string lookup;
  std::vector<sip::Flow> flows = core_.router.locate(uri, branch.flow[1], core_.now, lookup);
  if (flows.empty() && !lookup.empty() && !waited) {
    // While it waits, the branch is calling without a transaction.
    return core_.ask(lookup, [this, id = call.id, token = branch.token[1], uri](bool) {
      auto use = tokens_.find(token);
      if (use == tokens_.end() || use->second.call->id != id) return;
      Call& waiting = *use->second.call;
      Branch& itself = *use->second.branch;
      if (itself.state != BranchState::calling || itself.client != 0) return;
      if (send_to_contact(waiting, itself, uri, true) || try_next_contact(waiting, itself)) return;
      on_hop_failed(waiting, itself, HopFailure::unreachable);
    });
  }
  // A name that leads nowhere is the provider's own: it is asked for that user.
  if (flows.empty()) flows = {branch.flow[1]};
  RouteTarget target{flows.front(), uri};
  for (std::size_t i = 1; i < flows.size(); ++i) target.alternatives.push_back({flows[i], uri});
  branch.places = Failover(target, {});
  if (send_branch(call, branch, target)) return false;
  call.owner[1] = core_.router.owner_of(branch.flow[1]);
  return true;
}

/// Cancels the branch, or forgets it if it only waits for an address.
void CallManager::cancel_branch(Branch& branch,
                                std::vector<std::pair<std::string, std::string>> extra) {
  branch.media.reset();
  if (branch.client == 0) {
    branch.state = BranchState::lost;
    return;
  }
  branch.state = BranchState::cancelled;
  core_.layer.cancel(branch.client, std::move(extra), core_.now, core_.events);
}

}  // namespace isthmus::call
