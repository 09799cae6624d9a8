#include "provider/connector_router.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::provider {

using call::RouteRejection;
using call::RouteTarget;
using call::RouteTargets;

namespace {

constexpr unsigned kRetryLink_s = 5;  // the link is re-dialled within this

/// Whether the phone said that it listens at an address of its own, beside the connection that it
/// opened: then another one can be opened to it (RFC 3261 §18.1.1).
bool listens(const call::Binding& binding) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(binding.contact_uri);
  std::optional<IpAddress> host = uri ? IpAddress::parse(uri->host) : std::nullopt;
  return host && *host == binding.flow.remote.address && uri->port != binding.flow.remote.port;
}

}  // namespace

std::string ConnectorRouter::owner_of(const sip::Flow& flow) const {
  return flow.is_link() ? "gateway" : flow.remote.address.to_string();
}

call::LegPolicy ConnectorRouter::policy_of(const sip::Flow&) const {
  call::LegPolicy policy;
  policy.datagram_bytes = datagram_bytes_;
  return policy;
}

bool ConnectorRouter::is_own_host(const sip::Uri& uri) const {
  std::string with_port = uri.host + ":" + std::to_string(uri.port ? uri.port : 5060);
  return std::any_of(own_hosts_.begin(), own_hosts_.end(), [&](const std::string& host) {
    return iequals(host, with_port) || (uri.port == 0 && iequals(host, uri.host));
  });
}

call::Route ConnectorRouter::route(const sip::Message& request, const sip::Flow& from, Instant) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(request.request_uri());
  if (!uri) return RouteRejection{400, uri.error().reason()};
  if (from.is_link()) {
    const call::Binding* binding = bindings_.find(uri->user);
    if (!binding) return RouteRejection{404, "No phone is registered with this contact"};
    // The registrar tries the phone's other flow, if it has one (RFC 5626 §5.3, §7).
    if (!binding->reachable && !listens(*binding)) {
      return RouteRejection{430, "The phone's connection is closed"};
    }
    return RouteTargets{{RouteTarget{binding->flow, binding->contact_uri}}};
  }
  if (!session_) return RouteRejection{503, "The link to the gateway is down", kRetryLink_s};
  RouteTarget target{sip::Flow::link(*session_), {}};
  if (is_own_host(*uri)) {
    uri->host = sip_domain_;
    uri->port = 0;
    uri->params.remove("transport");
    target.request_uri = uri->to_string();
  }
  return RouteTargets{{target}};
}

}  // namespace isthmus::provider
