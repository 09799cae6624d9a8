#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace isthmus::net {

/// Which kinds of link a client tries.
enum class LinkKinds : std::uint8_t {
  websocket,  ///< wss://
  udp,        ///< udp://
  either,     ///< isthmus://: UDP first, WebSocket a little later; the first that works is taken
};

/// A host as it stands before ":port": addresses of IPv6 in brackets (RFC 3986 §3.2.2).
std::string bracketed(const std::string& host);

/// Where SRV records say that a URL's gateway is: not who it is, which the URL's name says.
struct LocatedAt {
  std::string host;
  std::uint16_t udp_port = 0, tcp_port = 0;  ///< 0: not by this
  bool operator==(const LocatedAt&) const = default;
};

/// Where a gateway listens: "wss://host[:port][/path]", or another scheme of LinkKinds.
struct GatewayUrl {
  LinkKinds kinds = LinkKinds::websocket;
  std::string host;  ///< a name, or an address without brackets
  std::uint16_t port = 443;
  bool port_given = false;             ///< it stands in the URL
  std::string target = "/isthmus/v1";  ///< path and query, for WebSocket

  std::optional<LocatedAt> located;  ///< nothing: at the host and port above

  /// Whose addresses lead to it, and the port there. The name that its certificate must bear is
  /// `host` in any case.
  const std::string& dial_host() const { return located ? located->host : host; }
  std::uint16_t udp_port() const { return located ? located->udp_port : port; }
  std::uint16_t tcp_port() const { return located ? located->tcp_port : port; }
  /// For people: the authority and, where that is not the same, where it was found.
  std::string whereabouts() const;
  std::string authority()
      const;  ///< "host" or "host:port", IPv6 in brackets, as the Host header takes it
  std::string to_string() const;
};

enum class UrlError : std::uint8_t {
  not_wss,   ///< a scheme of none of LinkKinds, or none
  bad_host,  ///< empty, over 253 bytes, or with characters that no host has; user names are not
             ///< taken
  bad_port,
  bad_path,  ///< white space, control characters, a fragment, or over 1,024 bytes
};
const char* to_text(UrlError error);

Result<GatewayUrl, UrlError> parse_gateway_url(std::string_view text);

}  // namespace isthmus::net
