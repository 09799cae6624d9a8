#include "dns/server_address.hpp"

namespace isthmus::dns {

std::optional<Endpoint> parse_server_address(std::string_view text) {
  constexpr std::uint16_t kPort = 53;
  auto server = Endpoint::parse(text);
  if (!server) {
    if (const auto address = IpAddress::parse(text)) server = Endpoint{*address, kPort};
  }
  if (!server || server->port == 0 || server->address.is_unspecified()) return std::nullopt;
  return server;
}

}  // namespace isthmus::dns
