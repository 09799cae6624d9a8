#pragma once
#include "ops/config_keys.hpp"
#include "ops/routing_config.hpp"

namespace isthmus::ops {

class CheckSink;

void visit_route(KeyVisitor& visitor, RouteConfig& route);
void visit_number(KeyVisitor& visitor, NumberConfig& number);
void visit_push(KeyVisitor& visitor, PushConfig& push);

/// Contradictions within and between routes, and names that nothing bears.
void check_routing(const GatewayConfig& config, CheckSink& sink);

}  // namespace isthmus::ops
