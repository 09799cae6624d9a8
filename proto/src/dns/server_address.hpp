#pragma once
#include <optional>
#include <string_view>

#include "base/address.hpp"

namespace isthmus::dns {

/// Where a server of the DNS listens: "192.0.2.53", with a port if it is not 53. Nothing for other
/// text, and for an address or a port at which none can be.
std::optional<Endpoint> parse_server_address(std::string_view text);

}  // namespace isthmus::dns
