// CallManager: 3xx that are followed here (RFC 3261 §8.1.3.4), where the leg's policy says so.
#include <algorithm>

#include "base/limits.hpp"
#include "call/call_manager.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

struct RankedContact {
  std::string uri;
  double q = 1;
};

/// Contacts that a request can go to, best first; those of one q stay in their order.
std::vector<std::string> contacts_by_q(const sip::Message& response) {
  std::vector<RankedContact> ranked;
  for (std::string_view value : response.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) continue;
    Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(contact->uri);
    if (!uri || !uri->is_sip()) continue;
    // RFC 3261 §19.1.5: what a Request-URI must not bear. Headers of the URI are not taken over:
    // they would let the redirecting side write anything into the caller's request.
    uri->headers.clear();
    uri->params.remove("method");
    double q = 1;
    if (std::optional<std::string_view> text = contact->params.get("q"))
      q = std::strtod(std::string(*text).c_str(), nullptr);
    ranked.push_back({uri->to_string(), q});
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedContact& a, const RankedContact& b) { return a.q > b.q; });
  std::vector<std::string> uris;
  for (RankedContact& contact : ranked) uris.push_back(std::move(contact.uri));
  return uris;
}

bool same_uri(const std::string& a, const std::string& b) {
  Result<sip::Uri, sip::Fault> left = sip::Uri::parse(a), right = sip::Uri::parse(b);
  return left && right && sip::equivalent(*left, *right);
}

}  // namespace

/// @return true: another place has been asked, or waits for its address. False: the failure stands;
///   `response` is 482 then if the Contacts only lead in a circle.
bool CallManager::follow_redirect(Call& call, Branch& branch, sip::Message& response) {
  int status = response.status();
  bool followed = status == 300 || status == 301 || status == 302;
  if (!followed || call.state != CallState::setup || branch.state != BranchState::calling ||
      !core_.router.policy_of(branch.flow[1]).follow_redirects) {
    return false;
  }
  if (branch.tried.empty()) branch.tried.emplace_back(branch.sent.request_uri());
  std::vector<std::string> contacts = contacts_by_q(response);
  std::size_t known = contacts.size();
  std::erase_if(contacts, [&](const std::string& uri) {
    return std::any_of(branch.tried.begin(), branch.tried.end(),
                       [&](const std::string& tried) { return same_uri(tried, uri); });
  });
  if (contacts.empty() && known > 0 && branch.redirects.empty()) {
    ++core_.counters.loops;
    response.set_status(482, "Redirected in a circle");
    response.remove(HeaderId::contact);
    return false;
  }
  // The answer of this place is where it is to be found: its other hosts have nothing to add.
  branch.places = Failover();
  branch.redirects.insert(branch.redirects.begin(), contacts.begin(), contacts.end());
  return try_next_contact(call, branch);
}

bool CallManager::try_next_contact(Call& call, Branch& branch) {
  if (call.state != CallState::setup || branch.state != BranchState::calling) return false;
  while (!branch.redirects.empty() && branch.tried.size() < limits::kAttemptsPerRequest) {
    std::string uri = std::move(branch.redirects.front());
    branch.redirects.pop_front();
    branch.tried.push_back(uri);
    initial_.erase(branch.client);
    silent_.clear(branch.client);
    branch.client = 0;
    if (send_to_contact(call, branch, uri, false)) return true;
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
