#include "provider/gateway_router.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::provider {

using call::Route;
using call::RouteRejection;
using call::RouteTarget;
using call::RouteTargets;
using sip::Method;

namespace {

constexpr unsigned kRetryUnreachable_s =
    30;  // a device that lost its link is usually back within this

/// RFC 3261 §8.2.2.1, §16.3: a Request-URI that says nothing to anybody here. tel: is a number,
/// urn: a service (urn:service:sos, RFC 5031) that a provider knows.
bool is_routable(const sip::Uri& uri) {
  return uri.is_sip() || uri.scheme == "tel" || uri.scheme == "urn";
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return iequals(entry, text); });
}

}  // namespace

std::string GatewayRouter::owner_of(const sip::Flow& flow) const {
  if (flow.is_link()) {
    auto session = sessions_.find(flow.session);
    return session == sessions_.end() ? std::string() : session->second.user;
  }
  const Provider* provider = provider_at(flow.remote);
  return provider ? provider->name : flow.remote.to_string();
}

call::LegPolicy GatewayRouter::policy_of(const sip::Flow& flow) const {
  if (flow.is_link()) return link_policy_;
  const Provider* provider = provider_at(flow.remote);
  return provider ? provider->policy : call::LegPolicy{};
}

void GatewayRouter::dress(sip::Message& message, const sip::Flow& to, const sip::Flow*) const {
  if (!message.is_request()) return;
  const Provider* provider = to.is_link() ? nullptr : provider_at(to.remote);
  if (provider && !provider->user_agent.empty()) {
    message.set(sip::HeaderId::user_agent, provider->user_agent);
  }
}

const Provider* GatewayRouter::provider_at(const Endpoint& endpoint) const {
  for (const Provider& provider : providers_) {
    for (const Endpoint& address : provider.addresses) {
      if (address == endpoint) return &provider;
    }
  }
  for (const Provider& provider : providers_) {
    for (const Endpoint& address : provider.addresses) {
      if (address.address == endpoint.address) return &provider;
    }
  }
  return nullptr;
}

const Provider* GatewayRouter::provider_named(std::string_view name) const {
  for (const Provider& provider : providers_) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

bool GatewayRouter::may_use(const sip::Flow& flow, std::string_view user) const {
  auto session = sessions_.find(flow.session);
  if (!flow.is_link() || session == sessions_.end()) return false;
  const std::vector<std::string>& aors = session->second.aors;
  return std::any_of(aors.begin(), aors.end(),
                     [&](const std::string& aor) { return aor == "*" || iequals(aor, user); });
}

bool GatewayRouter::is_own_host(const sip::Uri& uri) const {
  if (iequals(uri.host, config_.domain)) return true;
  std::string with_port = uri.host + ":" + std::to_string(uri.port ? uri.port : 5060);
  return contains(config_.own_hosts, with_port) ||
         (uri.port == 0 && contains(config_.own_hosts, uri.host));
}

Route GatewayRouter::route(const sip::Message& request, const sip::Flow& from, Instant now) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(request.request_uri());
  if (uri && !is_routable(*uri)) return RouteRejection{416, {}};
  return from.is_link() ? route_from_link(request, from, now) : route_from_network(request, now);
}

Route GatewayRouter::route_from_link(const sip::Message& request, const sip::Flow& from,
                                     Instant now) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(request.request_uri());
  if (!uri) return RouteRejection{400, uri.error().reason()};
  Result<sip::NameAddr, sip::Fault> caller = request.from();
  Result<sip::Uri, sip::Fault> caller_uri =
      caller ? sip::Uri::parse(caller->uri) : sip::Uri::parse("");
  // Nobody speaks for another user of our own domain, by whichever of our names. Addresses of other
  // domains are their registrar's to judge.
  if (caller_uri && is_own_host(*caller_uri) && !may_use(from, caller_uri->decoded_user())) {
    return RouteRejection{403, "From is not an address of this session"};
  }
  bool own = is_own_host(*uri);
  if (own && request.method() == Method::register_) return call::RouteToRegistrar{};
  for (const RouteRule& rule : config_.routes) {
    bool matches_all = rule.domain.empty() && rule.user_prefix.empty();
    if (own && matches_all) continue;  // a default route is for other domains
    if (!rule.domain.empty() && !iequals(rule.domain, uri->host)) continue;
    if (uri->user.compare(0, rule.user_prefix.size(), rule.user_prefix) != 0) continue;
    if (rule.to == "local") return route_local(request, uri->decoded_user(), now);
    if (const Provider* provider = provider_named(rule.to)) return to_provider(*provider);
  }
  if (own) return route_local(request, uri->decoded_user(), now);
  for (const Provider& provider : providers_) {
    if (contains(provider.domains, uri->host)) return to_provider(provider);
  }
  if (providers_.empty()) return RouteRejection{404, "No provider serves this domain"};
  return to_provider(providers_.front());
}

Route GatewayRouter::to_provider(const Provider& provider) const {
  if (provider.addresses.empty()) {
    return RouteRejection{503, "The provider's address is not known: " + provider.name, 5};
  }
  return RouteTargets{{RouteTarget{sip::Flow::to(provider.transport, provider.addresses.front()), {}}}};
}

Route GatewayRouter::route_from_network(const sip::Message& request, Instant now) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(request.request_uri());
  if (!uri) return RouteRejection{400, uri.error().reason()};
  if (request.method() == Method::register_)
    return RouteRejection{405, "Providers do not register here"};
  if (const call::Binding* binding = bindings_.find(uri->user)) {
    if (!binding->reachable)
      return RouteRejection{480, "The device's link is down", kRetryUnreachable_s};
    return RouteTargets{{RouteTarget{binding->flow, binding->contact_uri}}};
  }
  return route_local(request, uri->decoded_user(), now);
}

Route GatewayRouter::route_local(const sip::Message& request, const std::string& user,
                                 Instant now) {
  if (!user.empty()) {
    if (user == config_.echo_user) return call::RouteToService{call::MediaService::echo};
    if (user == config_.tone_user) return call::RouteToService{call::MediaService::tone};
    if (registrar_) {
      RouteTargets targets;
      for (const Contact& contact : registrar_->lookup(user, now)) {
        targets.targets.push_back({contact.flow, contact.uri});
      }
      if (!targets.targets.empty()) return targets;
    }
    bool known = (registrar_ && registrar_->knows(user)) ||
                 std::any_of(sessions_.begin(), sessions_.end(),
                             [&](const auto& entry) { return contains(entry.second.aors, user); });
    if (known) return RouteRejection{480, "The user has no registered device", kRetryUnreachable_s};
    return RouteRejection{404, "No such user"};
  }
  // The gateway itself is asked: OPTIONS as a sign of life.
  if (request.method() == Method::options) return call::RouteToService{call::MediaService::echo};
  return RouteRejection{404, "No user in the Request-URI"};
}

}  // namespace isthmus::provider
