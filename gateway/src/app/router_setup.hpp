#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ops/config.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::app {

/// The gateway's name on links (RFC 7118 §5).
inline constexpr std::string_view kLinkHost = "gateway.invalid";

/// What the gateway's router does by this configuration: used by the gateway and by `route
/// explain`, so that both decide alike. The configuration was checked.
provider::GatewayRouter::Config router_config(const ops::GatewayConfig& config);

/// "host" and "host:port" that mean this gateway, as far as the configuration says it: a running
/// one knows its sockets.
std::vector<std::string> configured_hosts(const ops::GatewayConfig& config);

/// Who stands behind a session of that user.
provider::SessionIdentity identity_of(const ops::GatewayConfig& config, std::string user,
                                      std::vector<std::string> aors, const IpAddress& address);

/// A provider as configured, without addresses but a literal one of its target.
provider::Provider provider_of(const ops::GatewayConfig& gateway,
                               const ops::ProviderConfig& config);

}  // namespace isthmus::app
