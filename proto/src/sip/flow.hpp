#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.hpp"

namespace isthmus::sip {

enum class Transport : std::uint8_t { udp, tcp, tls, link };

/// Where a SIP message came from or goes to: a session's link, or an address over a transport. A
/// response goes back on the flow of its request (RFC 5626 words, RFC 3581 for UDP).
struct Flow {
  Transport transport = Transport::udp;
  Endpoint remote;            ///< not for link
  std::uint64_t session = 0;  ///< link: session id
  std::uint32_t local = 0;    ///< index of the local listener it belongs to

  /// Timers of reliable transports (RFC 3261 §17): everything but UDP.
  bool reliable() const { return transport != Transport::udp; }
  bool is_link() const { return transport == Transport::link; }
  static Flow link(std::uint64_t session) { return {Transport::link, {}, session, 0}; }
  static Flow udp(Endpoint remote, std::uint32_t local = 0) {
    return {Transport::udp, remote, 0, local};
  }
  std::string to_string() const;  ///< "udp 192.0.2.1:5060" or "link 17"
  auto operator<=>(const Flow&) const = default;
};

struct FlowHash {
  std::size_t operator()(const Flow& flow) const;
};

std::string_view to_text(Transport transport);  ///< "UDP", "TCP", "TLS", "link"

}  // namespace isthmus::sip
