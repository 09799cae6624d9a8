#include "net/proxy.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/base64.hpp"
#include "base/bytes.hpp"
#include "base/network.hpp"
#include "base/text.hpp"
#include "net/gateway_url.hpp"

namespace isthmus::net {

namespace {

/// @return nothing for a broken escape and for control characters, which would end the header line
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return std::nullopt;
    out += c;
  }
  return out;
}

std::string environment(const char* lower, const char* upper) {
  for (const char* name : {lower, upper}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

/// Takes ":port" off an entry that ends so. @return false when the port is another
bool takes_port(std::string_view& entry, std::uint16_t port) {
  const std::size_t colon = entry.rfind(':');
  if (colon == std::string_view::npos) return true;
  const bool address6 = entry.find(':') != colon && !entry.starts_with('[');
  const bool inside_brackets = entry.find(']', colon) != std::string_view::npos;
  if (address6 || inside_brackets) return true;
  if (parse_number<std::uint16_t>(entry.substr(colon + 1)) != port) return false;
  entry = entry.substr(0, colon);
  return true;
}

bool entry_covers(std::string_view entry, std::string_view host,
                  const std::optional<IpAddress>& address, std::uint16_t port) {
  if (entry == "*") return true;
  if (!takes_port(entry, port)) return false;
  if (address) {
    if (const auto same = IpAddress::parse(entry)) return *same == *address;
    const auto network = Network::parse(entry);
    return network && network->contains(*address);
  }
  if (entry.starts_with("*.")) entry.remove_prefix(1);
  if (entry.starts_with('.')) entry.remove_prefix(1);
  if (entry.empty() || entry.size() > host.size()) return false;
  const std::size_t before = host.size() - entry.size();
  return iequals(host.substr(before), entry) && (before == 0 || host[before - 1] == '.');
}

}  // namespace

std::string ProxyUrl::authority() const {
  return bracketed(host) + ":" + std::to_string(port);
}

const char* to_text(ProxyUrlError error) {
  switch (error) {
    case ProxyUrlError::not_http:
      return "the proxy is not one of http://; HTTPS and SOCKS toward a proxy are not spoken";
    case ProxyUrlError::bad_host:
      return "the proxy's host is not a name or an address";
    case ProxyUrlError::bad_port:
      return "the proxy's port is not a number from 1 to 65535";
    case ProxyUrlError::bad_user:
      return "the proxy's user or password is not percent-encoded as a URL asks";
    case ProxyUrlError::bad_path:
      return "the proxy's URL goes on behind its port";
  }
  return "?";
}

Result<ProxyUrl, ProxyUrlError> parse_proxy_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  text = trim(text);
  if (text.find("://") != std::string_view::npos) {
    if (!iequals(text.substr(0, kScheme.size()), kScheme)) return ProxyUrlError::not_http;
    text.remove_prefix(kScheme.size());
  }
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.find_first_of("/?#") != std::string_view::npos) return ProxyUrlError::bad_path;

  ProxyUrl url;
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    const std::string_view both = text.substr(0, at);
    const std::size_t colon = std::min(both.find(':'), both.size());
    const auto user = decoded(both.substr(0, colon));
    const auto password = decoded(colon < both.size() ? both.substr(colon + 1) : "");
    // RFC 7617 §2: a user with a colon cannot be told from its password.
    if (!user || !password || user->empty() || user->find(':') != std::string::npos) {
      return ProxyUrlError::bad_user;
    }
    url.user = *user;
    url.password = *password;
    text.remove_prefix(at + 1);
  }
  // What is left is as in a gateway's URL, but for the port that is meant when none is said.
  const std::size_t host_end = text.starts_with('[') ? text.find(']') : 0;
  const bool port_given = text.find(':', std::min(host_end, text.size())) != std::string_view::npos;
  const auto rest = parse_gateway_url("wss://" + std::string(text));
  if (!rest) {
    return rest.error() == UrlError::bad_port ? ProxyUrlError::bad_port : ProxyUrlError::bad_host;
  }
  url.host = rest->host;
  if (port_given) url.port = rest->port;
  return url;
}

bool is_exempt(std::string_view no_proxy, std::string_view host, std::uint16_t port) {
  const auto address = IpAddress::parse(host);
  while (!no_proxy.empty()) {
    const std::size_t end = std::min(no_proxy.find_first_of(", \t"), no_proxy.size());
    const std::string_view entry = no_proxy.substr(0, end);
    if (!entry.empty() && entry_covers(entry, host, address, port)) return true;
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
  }
  return false;
}

Result<ProxyChoice, std::string> ProxyChoice::make(std::string_view wanted) {
  ProxyChoice choice;
  if (wanted == "none") return choice;
  const std::string from_environment = environment("https_proxy", "HTTPS_PROXY");
  const bool asked = !wanted.empty();
  if (!asked) {
    if (from_environment.empty()) return choice;
    wanted = from_environment;
    choice.exempt_ = environment("no_proxy", "NO_PROXY");
  }
  auto url = parse_proxy_url(wanted);
  if (!url) {
    const std::string where = asked ? "" : "https_proxy in the environment: ";
    return where + to_text(url.error());
  }
  choice.proxy_ = std::move(*url);
  return choice;
}

std::optional<ProxyUrl> ProxyChoice::toward(std::string_view host, std::uint16_t port) const {
  if (!proxy_ || is_exempt(exempt_, host, port)) return std::nullopt;
  return proxy_;
}

std::string connect_request(const ProxyUrl& proxy, std::string_view target,
                            std::string_view software) {
  std::string text;
  text.append("CONNECT ").append(target).append(" HTTP/1.1\r\nHost: ").append(target);
  if (!proxy.user.empty()) {
    text += "\r\nProxy-Authorization: Basic " +
            base64_padded(as_bytes(proxy.user + ":" + proxy.password));
  }
  const bool one_line =
      std::ranges::none_of(software, [](char c) { return c == '\r' || c == '\n'; });
  if (!software.empty() && one_line) text.append("\r\nUser-Agent: ").append(software);
  return text + "\r\n\r\n";
}

}  // namespace isthmus::net
