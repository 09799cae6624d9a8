#include "net/gateway_url.hpp"

#include <algorithm>
#include <optional>

#include "base/address.hpp"
#include "base/text.hpp"

namespace isthmus::net {

namespace {

constexpr std::size_t kHostBytes = 253;  // RFC 1035 §3.1 in text form
constexpr std::size_t kTargetBytes = 1024;

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

bool is_name(std::string_view host) {
  return !host.empty() && host.size() <= kHostBytes && std::ranges::all_of(host, is_host_character);
}

std::string_view scheme_of(LinkKinds kinds) {
  switch (kinds) {
    case LinkKinds::websocket:
      return "wss://";
    case LinkKinds::udp:
      return "udp://";
    case LinkKinds::either:
      return "isthmus://";
  }
  return "?";
}

bool is_target(std::string_view target) {
  return target.size() <= kTargetBytes &&
         std::ranges::all_of(target, [](char c) { return c > ' ' && c < '\x7f' && c != '#'; });
}

}  // namespace

std::string bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

std::string GatewayUrl::authority() const {
  std::string text = bracketed(host);
  if (port != 443) text += ":" + std::to_string(port);
  return text;
}

std::string GatewayUrl::whereabouts() const {
  if (!located) return authority();
  std::string ports =
      std::to_string(located->udp_port != 0 ? located->udp_port : located->tcp_port);
  if (located->udp_port != 0 && located->tcp_port != 0 && located->udp_port != located->tcp_port) {
    ports += "/" + std::to_string(located->tcp_port);
  }
  return authority() + " (" + located->host + ":" + ports + ")";
}

std::string GatewayUrl::to_string() const {
  return std::string(scheme_of(kinds)) + authority() +
         (kinds == LinkKinds::udp ? std::string() : target);
}

const char* to_text(UrlError error) {
  switch (error) {
    case UrlError::not_wss:
      return "a gateway's URL begins with wss://, udp:// or isthmus://";
    case UrlError::bad_host:
      return "the URL's host is not a name or an address";
    case UrlError::bad_port:
      return "the URL's port is not a number from 1 to 65535";
    case UrlError::bad_path:
      return "the URL's path has characters that no path has";
  }
  return "?";
}

Result<GatewayUrl, UrlError> parse_gateway_url(std::string_view text) {
  std::optional<LinkKinds> kinds;
  for (const LinkKinds one : {LinkKinds::websocket, LinkKinds::udp, LinkKinds::either}) {
    const std::string_view scheme = scheme_of(one);
    if (text.size() < scheme.size() || !iequals(text.substr(0, scheme.size()), scheme)) continue;
    kinds = one;
    text.remove_prefix(scheme.size());
    break;
  }
  if (!kinds) return UrlError::not_wss;
  const std::size_t authority_end = std::min(text.find_first_of("/?#"), text.size());
  std::string_view authority = text.substr(0, authority_end);
  const std::string_view target = text.substr(authority_end);

  GatewayUrl url;
  url.kinds = *kinds;
  std::size_t host_end = 0;
  if (authority.starts_with('[')) {
    host_end = authority.find(']');
    if (host_end == std::string_view::npos) return UrlError::bad_host;
    const std::string_view inside = authority.substr(1, host_end - 1);
    const auto address = IpAddress::parse(inside);
    if (!address || address->is_v4()) return UrlError::bad_host;
    url.host = inside;
    ++host_end;
  } else {
    host_end = std::min(authority.find(':'), authority.size());
    if (!is_name(authority.substr(0, host_end))) return UrlError::bad_host;
    url.host = authority.substr(0, host_end);
  }
  authority.remove_prefix(host_end);
  if (!authority.empty()) {
    if (authority.front() != ':') return UrlError::bad_host;
    const auto port = parse_number<std::uint16_t>(authority.substr(1));
    if (!port || *port == 0) return UrlError::bad_port;
    url.port = *port;
    url.port_given = true;
  }
  if (!is_target(target)) return UrlError::bad_path;
  if (target.starts_with('?')) {
    url.target += target;
  } else if (target.size() > 1) {
    url.target = target;
  }
  return url;
}

}  // namespace isthmus::net
