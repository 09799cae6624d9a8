#pragma once
#include "call/router.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// Leaves of the places for a request to a SIPS URI those that a secure hop leads to, perhaps none
/// (RFC 3261 §26.2.2).
void keep_secure(RouteTargets& route, const sip::Message& request, const Router& router);

}  // namespace isthmus::call
