// GatewayRouter: the hosts of providers and of other next hops (RFC 3263).
#include <algorithm>
#include <functional>

#include "base/limits.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::provider {

using call::Route;
using call::RouteRejection;
using call::RouteTarget;
using call::RouteTargets;

namespace {

/// @param hosts  best first; not empty
template <class Hosts, class FlowOf>
RouteTarget target_at(const Hosts& hosts, FlowOf flow_of) {
  RouteTarget target{std::invoke(flow_of, hosts.front()), {}};
  const std::size_t count = std::min(hosts.size(), limits::kAttemptsPerRequest);
  for (std::size_t i = 1; i < count; ++i)
    target.alternatives.push_back({std::invoke(flow_of, hosts[i]), {}});
  return target;
}

}  // namespace

void GatewayRouter::set_addresses(std::string_view name, std::vector<Endpoint> addresses) {
  const auto provider = std::ranges::find(providers_, name, &Provider::name);
  if (provider != providers_.end()) provider->addresses = std::move(addresses);
}

/// The hosts that requests to a provider may go to now, best first.
std::vector<sip::Flow> GatewayRouter::flows_to(std::string_view provider, Instant now) const {
  std::vector<sip::Flow> flows;
  if (!targets_) return flows;
  for (const Candidate& candidate : targets_->choose(provider, now).live) {
    flows.push_back(candidate.flow());
  }
  return flows;
}

/// The best host, with the others as its alternatives. When all are dead, the caller is told so at
/// once, and may try another provider: waiting for a timeout would tell nothing new.
Route GatewayRouter::to_provider(const Provider& provider, const RouteSubject& subject,
                                 Instant now) const {
  if (subject.uri.is_secure() && targets_) {
    std::string lookup;
    const std::vector<sip::Flow> secure = targets_->secure_hosts(provider.name, now, lookup);
    if (!lookup.empty()) return call::RoutePending{lookup};
    if (!secure.empty()) {
      RouteTarget target = target_at(secure, std::identity());
      if (auto refusal = use_account(provider, subject, target)) return *refusal;
      return RouteTargets{{std::move(target)}};
    }
  }
  TargetBook::Choice choice;
  if (targets_ && targets_->has_provider(provider.name)) {
    choice = targets_->choose(provider.name, now);
  } else if (!provider.addresses.empty()) {
    choice.live.push_back({provider.transport, provider.addresses.front(), {}});
  }
  if (choice.live.empty()) {
    std::string why = choice.located ? "No host of the provider answers: "
                                     : "The provider's address is not known: ";
    return RouteRejection{503, why + provider.name, choice.retry_after_s};
  }
  RouteTarget target = target_at(choice.live, &Candidate::flow);
  if (auto refusal = use_account(provider, subject, target)) return *refusal;
  return RouteTargets{{std::move(target)}};
}

std::vector<sip::Flow> GatewayRouter::locate(std::string_view uri, const sip::Flow& near,
                                             Instant now, std::string& lookup) {
  return targets_ ? targets_->locate(uri, near, now, lookup) : std::vector<sip::Flow>();
}

bool GatewayRouter::is_host_of(std::string_view name, const Endpoint& endpoint) const {
  const Provider* provider = provider_named(name);
  if (!provider) return false;
  const std::vector<Endpoint>& all = provider->addresses;
  return std::find(all.begin(), all.end(), endpoint) != all.end() ||
         provider_at(endpoint) == provider;
}

void GatewayRouter::on_moved(const sip::Flow& from, const sip::Flow& to, call::HopOutcome why) {
  const Provider* left = from.is_link() ? nullptr : provider_of(from);
  if (!left) return;  // devices, and hosts that only a message named
  const Provider* next = to.is_link() ? nullptr : provider_of(to);
  failovers_.note(left->name, next == left, why);
}

void GatewayRouter::on_outcome(const sip::Flow& to, call::HopOutcome outcome,
                               unsigned retry_after_s, Instant now) {
  if (targets_) targets_->on_outcome(to, outcome, retry_after_s, now);
}

}  // namespace isthmus::provider
