#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace isthmus::net {

/// An HTTP proxy that opens tunnels by CONNECT (RFC 9110 §9.3.6).
struct ProxyUrl {
  std::string host;  ///< a name, or an address without brackets
  std::uint16_t port = 80;
  std::string user, password;  ///< sent by Basic authentication (RFC 7617) when `user` is not empty

  std::string authority() const;  ///< "host:port", for messages: never the password
};

enum class ProxyUrlError : std::uint8_t {
  not_http,  ///< https, socks or another scheme, which is not spoken here
  bad_host,
  bad_port,
  bad_user,  ///< a broken percent sign, a control character, or a colon in the user
  bad_path,  ///< something behind the port
};
const char* to_text(ProxyUrlError error);

/// "http://[user[:password]@]host[:port][/]", user and password percent-encoded (RFC 3986 §3.2.1);
/// the scheme may be left out, as it is in many environments.
Result<ProxyUrl, ProxyUrlError> parse_proxy_url(std::string_view text);

/// Does a NO_PROXY list exempt this host? Entries are separated by commas or blanks: "*"; a name,
/// which stands for itself and all below it (a dot or "*." before it changes nothing); an address;
/// a network in CIDR notation; each of the first three may end in ":port".
/// @param host  a name, or an address without brackets
bool is_exempt(std::string_view no_proxy, std::string_view host, std::uint16_t port);

/// Which proxy leads to a gateway: the one that was asked for, or what the environment says
/// (https_proxy or HTTPS_PROXY, no_proxy or NO_PROXY; lower case first, as others do).
class ProxyChoice {
 public:
  /// @param wanted  a proxy's URL; empty: as the environment says; "none": no proxy
  /// @return what is wrong, in words, without the URL: a password may be in it
  static Result<ProxyChoice, std::string> make(std::string_view wanted);

  std::optional<ProxyUrl> toward(std::string_view host, std::uint16_t port) const;

 private:
  std::optional<ProxyUrl> proxy_;
  std::string exempt_;
};

/// The request that asks a proxy for a tunnel, up to its empty line.
/// @param target  "host:port", IPv6 in brackets
std::string connect_request(const ProxyUrl& proxy, std::string_view target,
                            std::string_view software);

}  // namespace isthmus::net
