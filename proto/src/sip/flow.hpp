#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.hpp"

namespace isthmus::sip {

enum class Transport : std::uint8_t { udp, tcp, tls, link };

/// Where a SIP message came from or goes to: a session's link, or an address over a transport. A
/// response goes back on the flow of its request (RFC 5626 words, RFC 3581 for UDP).
///
/// Over TCP and TLS there are two kinds. An address that we connect to, or have connected to, has
/// connection 0: whichever connection leads there serves it, and one is opened when there is none.
/// A connection that the other side opened has a number of its own: its remote port is of no use
/// to anybody else, and the flow ends with it.
struct Flow {
  Transport transport = Transport::udp;
  Endpoint remote;            ///< not for link
  std::uint64_t session = 0;  ///< link: session id
  /// Index of the listener by which it came in; 0 also when we choose: then the first listener of
  /// its transport and address family stands for us.
  std::uint32_t local = 0;
  std::uint32_t connection = 0;  ///< TCP, TLS: number of an accepted connection, else 0
  /// TLS: a number for whom we take the other end to be, and for what we show it of ourselves.
  /// Requests of one never go by a connection of another, though both lead to one address. 0: what
  /// is known of the address.
  std::uint32_t identity = 0;

  /// Timers of reliable transports (RFC 3261 §17): everything but UDP.
  bool reliable() const { return transport != Transport::udp; }
  bool is_link() const { return transport == Transport::link; }
  bool is_stream() const { return transport == Transport::tcp || transport == Transport::tls; }
  static Flow link(std::uint64_t session) { return {Transport::link, {}, session, 0, 0}; }
  static Flow udp(Endpoint remote, std::uint32_t local = 0) {
    return {Transport::udp, remote, 0, local, 0};
  }
  /// Toward an address that is connected to on demand.
  static Flow to(Transport transport, Endpoint remote, std::uint32_t identity = 0) {
    return {transport, remote, 0, 0, 0, identity};
  }
  std::string to_string() const;  ///< "udp 192.0.2.1:5060" or "link 17"
  auto operator<=>(const Flow&) const = default;
};

struct FlowHash {
  std::size_t operator()(const Flow& flow) const;
};

std::string_view to_text(Transport transport);  ///< "UDP", "TCP", "TLS", "link"

}  // namespace isthmus::sip
