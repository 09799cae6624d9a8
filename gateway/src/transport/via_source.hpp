#pragma once
#include <optional>
#include <string_view>

#include "base/address.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"

namespace isthmus::transport {

/// Notes on the top Via of a request where it came from: received (RFC 3261 §18.2.1) and, if the
/// sender asks for it, rport (RFC 3581 §4).
/// @return whether rport was asked for
bool mark_source(sip::Message& request, const Endpoint& source);

/// Where a message goes whose connection is gone: a response to `received` and the port of the
/// sent-by of its top Via (RFC 3261 §18.2.2), a request to its Request-URI when that names the very
/// address that the connection came from, so that no message reaches anybody else.
std::optional<Endpoint> address_behind(std::string_view message, const sip::Flow& flow);

}  // namespace isthmus::transport
