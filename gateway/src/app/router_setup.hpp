#pragma once
#include <string>
#include <vector>

#include "ops/config.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::app {

/// What the gateway's router does by this configuration: used by the gateway and by `route
/// explain`, so that both decide alike. The configuration was checked.
provider::GatewayRouter::Config router_config(const ops::GatewayConfig& config);

/// A provider as configured, without addresses but a literal one of its target.
provider::Provider provider_of(const ops::ProviderConfig& config);

}  // namespace isthmus::app
