#include "ops/config_scalars.hpp"

#include <algorithm>
#include <span>

#include "base/base64.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "dns/server_address.hpp"
#include "net/gateway_url.hpp"
#include "net/trust.hpp"
#include "session/authenticator.hpp"

namespace isthmus::ops {
namespace {

const Problem kNotIt{};  ///< the text itself is wrong

bool alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// A DNS name (RFC 1123 §2.1) or an IP address.
bool is_host(std::string_view text) {
  if (IpAddress::parse(text)) return true;
  if (text.empty() || text.size() > 253) return false;
  std::size_t label = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool ends = i + 1 == text.size() || text[i + 1] == '.';
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else {
      if (!alphanumeric(c) && (c != '-' || label == 0 || ends)) return false;
      if (++label > 63) return false;
    }
  }
  return true;
}

/// A scalar whose value is the text itself, when `good` says so.
Scalar checked_text(std::string& value, std::string type, std::string expected,
                    bool (*good)(std::string_view)) {
  return {std::move(type), std::move(expected),
          [&value, good](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            if (!good(text)) return kNotIt;
            value = text;
            return std::nullopt;
          },
          [&value] { return value; }};
}

template <typename Number, typename Store>
Scalar whole_number(std::string type, const std::string& what, Number least, Number most,
                    const Number& current, Store store) {
  std::string expected =
      "a whole number" + what + ", " + std::to_string(least) + " to " + std::to_string(most);
  return {std::move(type), std::move(expected),
          [=](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto number = parse_number<std::uint64_t>(text);
            if (!number || *number < static_cast<std::uint64_t>(least) ||
                *number > static_cast<std::uint64_t>(most)) {
              return kNotIt;
            }
            store(static_cast<Number>(*number));
            return std::nullopt;
          },
          [current] { return std::to_string(current); }};
}

template <typename E>
using Names = std::span<const std::pair<std::string_view, E>>;

template <typename E>
Scalar one_of(E& value, Names<E> names) {
  std::string expected;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) expected += i + 1 == names.size() ? " or " : ", ";
    expected += names[i].first;
  }
  return {expected, expected,
          [&value, names](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            for (const auto& [name, meaning] : names) {
              if (text != name) continue;
              value = meaning;
              return std::nullopt;
            }
            return kNotIt;
          },
          [&value, names] {
            for (const auto& [name, meaning] : names) {
              if (meaning == value) return std::string(name);
            }
            return std::string();
          }};
}

Problem unreadable(const std::string& path, const FileError& error) {
  return {"cannot be read from " + path + ": " + error.text, "a file that this program may read"};
}

/// "file:PATH" gives the file's content, anything else itself.
std::optional<Problem> inline_or_file(const std::string& text, const FileAccess& files,
                                      std::string& out) {
  if (!text.starts_with("file:")) {
    out = text;
    return std::nullopt;
  }
  std::string path = files.resolve(text.substr(5));
  auto content = files.read(path);
  if (!content) return unreadable(path, content.error());
  out = *content;
  return std::nullopt;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= ' ' && c <= '~') || (c & '\x80') != 0; });
}

/// "host", "host:port", "[v6]" or "[v6]:port".
bool split_host_port(std::string_view text, std::string& host, std::uint16_t& port) {
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    colon = end + 1 == text.size() ? std::string_view::npos : end + 1;
    if (colon != std::string_view::npos && text[colon] != ':') return false;
    auto address = IpAddress::parse(text.substr(0, end + 1));
    if (!address) return false;
    host = address->to_string();
  } else {
    host = text.substr(0, colon);
    if (!is_host(host) || host.find(':') != std::string::npos) return false;
  }
  if (colon == std::string_view::npos) return true;
  auto number = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!number || *number == 0) return false;
  port = *number;
  return true;
}

}  // namespace

std::string FileAccess::resolve(const std::string& path) const {
  if (path.starts_with('/') || base_directory.empty()) return path;
  return base_directory + "/" + path;
}

Scalar boolean(bool& value) {
  return {"true or false", "true or false",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            bool yes = text == "true" || text == "on";  // YAML 1.1 words
            if (!yes && text != "false" && text != "off") return kNotIt;
            value = yes;
            return std::nullopt;
          },
          [&value] { return std::string(value ? "true" : "false"); }};
}

Scalar text(std::string& value) {
  return checked_text(value, "text", "printable text", is_printable);
}

Scalar domain_name(std::string& value) {
  return checked_text(value, "domain", "a domain name or an IP address", is_host);
}

Scalar user_name(std::string& value) {
  return checked_text(value, "user name",
                      "a user name: letters, digits and -_.+~!, at most " +
                          std::to_string(limits::kUserNameBytes) + " characters",
                      session::is_user_name);
}

Scalar provider_name(std::string& value) {
  return checked_text(
      value, "name", "a name of letters, digits, '-' and '_', at most 64 characters",
      [](std::string_view text) {
        return !text.empty() && text.size() <= 64 &&
               std::all_of(text.begin(), text.end(),
                           [](char c) { return alphanumeric(c) || c == '-' || c == '_'; });
      });
}

Scalar address_of_record(std::string& value) {
  return checked_text(
      value, "user name or *", "a user name without its domain, or \"*\" for any",
      [](std::string_view text) { return text == "*" || session::is_user_name(text); });
}

Scalar user_prefix(std::string& value) {
  return checked_text(value, "text", "the beginning of a user name or number",
                      [](std::string_view text) { return session::is_user_name(text); });
}

Scalar header_text(std::string& value) {
  return checked_text(
      value, "text", "printable text of at most 256 bytes",
      [](std::string_view text) { return text.size() <= 256 && is_printable(text); });
}

Scalar port(std::uint16_t& value) {
  Scalar out = whole_number<std::uint16_t>("port", "", 0, 65535, value,
                                           [&value](std::uint16_t number) { value = number; });
  out.expected = "a port number, 0 to 65535";
  return out;
}

Scalar count(std::uint32_t& value, std::uint32_t least, std::uint32_t most) {
  return whole_number<std::uint32_t>("number", "", least, most, value,
                                     [&value](std::uint32_t number) { value = number; });
}

Scalar duration(seconds& value, seconds least, seconds most) {
  return whole_number<seconds::rep>("number", " of seconds", least.count(), most.count(),
                                    value.count(),
                                    [&value](seconds::rep number) { value = seconds(number); });
}

Scalar duration(milliseconds& value, milliseconds least, milliseconds most) {
  return whole_number<milliseconds::rep>(
      "number", " of milliseconds", least.count(), most.count(), value.count(),
      [&value](milliseconds::rep number) { value = milliseconds(number); });
}

Scalar ip_address(IpAddress& value) {
  return {"address", "an IPv4 or IPv6 address (not a name)",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto address = IpAddress::parse(text);
            if (!address) return kNotIt;
            value = *address;
            return std::nullopt;
          },
          [&value] { return value.to_string(); }};
}

Scalar advertised(std::optional<IpAddress>& value) {
  return {"address", "the IPv4 or IPv6 address that others send to, not 0.0.0.0 or ::",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto address = IpAddress::parse(text);
            if (!address || address->is_unspecified()) return kNotIt;
            value = *address;
            return std::nullopt;
          },
          [&value] { return value ? value->to_string() : std::string(); }};
}

Scalar network(Network& value) {
  return {"network", "an address or a network like 192.0.2.0/24 with no bits beyond its prefix",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            auto network = Network::parse(text);
            if (!network) return kNotIt;
            value = *network;
            return std::nullopt;
          },
          [&value] { return value.to_string(); }};
}

Scalar port_range(PortRange& value) {
  return {
      "ports",
      "FIRST-LAST, 1024 to 65535, with an even first port (RTP, RFC 3550 §11) and at least 4 ports",
      [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
        std::size_t dash = text.find('-');
        if (dash == std::string::npos) return kNotIt;
        auto first = parse_number<std::uint16_t>(trim(text.substr(0, dash)));
        auto last = parse_number<std::uint16_t>(trim(text.substr(dash + 1)));
        if (!first || !last || *first < 1024 || *first % 2 != 0 || *last < *first + 3) {
          return kNotIt;
        }
        value = {*first, *last};
        return std::nullopt;
      },
      [&value] { return std::to_string(value.first) + "-" + std::to_string(value.last); }};
}

Scalar readable_file(std::string& value) {
  return {"file", "the path of a file that this program may read",
          [&value](const std::string& text, const FileAccess& files) -> std::optional<Problem> {
            if (text.empty()) return kNotIt;
            std::string path = files.resolve(text);
            auto content = files.read(path);
            if (!content) return unreadable(path, content.error());
            value = path;
            return std::nullopt;
          },
          [&value] { return value; }};
}

Scalar directory(std::string& value) {
  return checked_text(value, "directory", "an absolute path",
                      [](std::string_view text) { return text.starts_with('/'); });
}

Scalar password_hash(std::string& value) {
  Scalar out = checked_text(
      value, "hash", "\"$scrypt$…\", as printed by isthmus-gateway hash-password",
      [](std::string_view text) { return session::PasswordHash::parse(text).has_value(); });
  out.secret = true;
  return out;
}

Scalar secret(Secret& value) {
  return {"text", "text that is not empty",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            if (text.empty()) return kNotIt;
            value = Secret(text);
            return std::nullopt;
          },
          [] { return std::string(); }, true};
}

Scalar secret_file(Secret& value) {
  return {"file", "the path of a file that holds the secret in its first line",
          [&value](const std::string& text, const FileAccess& files) -> std::optional<Problem> {
            std::string path = files.resolve(text);
            auto content = files.read(path);
            if (!content) return unreadable(path, content.error());
            std::string line = content->substr(0, content->find_first_of("\r\n"));
            if (line.empty()) return Problem{"names a file whose first line is empty: " + path, {}};
            value = Secret(line);
            return std::nullopt;
          },
          [] { return std::string(); }};
}

Scalar hmac_secret(Secret& value) {
  return {"secret",
          "base64url (no padding) of at least " + std::to_string(limits::kHmacKeyBytes) +
              " random bytes, or file:PATH of a file that holds it",
          [&value](const std::string& text, const FileAccess& files) -> std::optional<Problem> {
            std::string found;
            if (auto problem = inline_or_file(text, files, found)) return problem;
            auto key = session::parse_hmac_key(found);
            if (!key) return kNotIt;
            value = Secret(std::string(as_text(key->secret)));
            return std::nullopt;
          },
          [] { return std::string(); }, true};
}

Scalar ed25519_key(std::string& value) {
  return {"key",
          "an Ed25519 public key: file:PATH of its PEM, or base64url (no padding) of its 32 bytes",
          [&value](const std::string& text, const FileAccess& files) -> std::optional<Problem> {
            std::string found;
            if (auto problem = inline_or_file(text, files, found)) return problem;
            auto key = session::parse_ed25519_public_key(found);
            if (!key) return kNotIt;
            value = std::string(as_text(key->raw));
            return std::nullopt;
          },
          [&value] { return base64_encode(as_bytes(value), Base64::url); }};
}

namespace {

/// Of ";transport=tcp".
std::optional<sip::Transport> transport_from(std::string_view parameter) {
  for (auto transport : {sip::Transport::udp, sip::Transport::tcp, sip::Transport::tls}) {
    if (iequals(parameter, ";transport=" + std::string(sip::to_text(transport)))) return transport;
  }
  return std::nullopt;
}

}  // namespace

Scalar sip_target(SipTarget& value) {
  return {"SIP URI", "sip:HOST[:PORT][;transport=udp|tcp|tls] or sips:HOST[:PORT]",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            std::string_view rest = text;
            bool secure = iequals(rest.substr(0, 5), "sips:");
            if (!secure && !iequals(rest.substr(0, 4), "sip:")) return kNotIt;
            rest.remove_prefix(secure ? 5 : 4);
            std::size_t semicolon = rest.find(';');
            SipTarget target;
            if (secure) target.transport = sip::Transport::tls;
            if (semicolon != std::string_view::npos) {
              target.transport = transport_from(rest.substr(semicolon));
              if (!target.transport) return kNotIt;
              // "sips:…;transport=tcp" is how RFC 3261 §26.2.2 writes TLS.
              if (secure && *target.transport == sip::Transport::udp) return kNotIt;
              if (secure) target.transport = sip::Transport::tls;
            }
            if (!split_host_port(rest.substr(0, semicolon), target.host, target.port))
              return kNotIt;
            value = target;
            return std::nullopt;
          },
          [&value] { return value.host.empty() ? std::string() : value.to_string(); }};
}

Scalar gateway_url(std::string& value) {
  return {
      "URL",
      "wss://HOST[:PORT], udp://HOST[:PORT], or isthmus://HOST[:PORT] for UDP where it passes and "
      "WebSocket where not; without user name or password",
      [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
        if (!net::parse_gateway_url(text)) return kNotIt;
        value = text;
        return std::nullopt;
      },
      [&value] { return value; }};
}

Scalar proxy_url(Secret& value) {
  return {"URL", "http://[USER[:PASSWORD]@]HOST[:PORT], or none",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            std::string_view rest = text;
            if (text != "none") {
              if (!rest.starts_with("http://")) return kNotIt;
              rest.remove_prefix(7);
              if (rest.ends_with('/')) rest.remove_suffix(1);
              rest.remove_prefix(rest.rfind('@') + 1);
              std::string host;
              std::uint16_t port = 0;
              if (!split_host_port(rest, host, port)) return kNotIt;
            }
            value = Secret(text);
            return std::nullopt;
          },
          [] { return std::string(); }, true};
}

Scalar key_pin(std::string& value) {
  return checked_text(
      value, "pin",
      "SHA-256 of the gateway's public key as sha256//BASE64 or 64 hexadecimal digits",
      [](std::string_view text) { return net::Pin::parse(text).has_value(); });
}

Scalar choice(MediaSource& value) {
  static constexpr std::pair<std::string_view, MediaSource> kNames[] = {
      {"learn", MediaSource::learn}, {"strict", MediaSource::strict}};
  return one_of<MediaSource>(value, kNames);
}

Scalar choice(sip::Transport& value) {
  static constexpr std::pair<std::string_view, sip::Transport> kNames[] = {
      {"udp", sip::Transport::udp}, {"tcp", sip::Transport::tcp}, {"tls", sip::Transport::tls}};
  return one_of<sip::Transport>(value, kNames);
}

Scalar choice(Redirects& value) {
  static constexpr std::pair<std::string_view, Redirects> kNames[] = {
      {"pass", Redirects::pass}, {"follow", Redirects::follow}};
  return one_of<Redirects>(value, kNames);
}

Scalar choice(Dtmf& value) {
  static constexpr std::pair<std::string_view, Dtmf> kNames[] = {
      {"pass", Dtmf::pass}, {"info", Dtmf::info}, {"rfc4733", Dtmf::rfc4733}};
  return one_of<Dtmf>(value, kNames);
}

Scalar choice(RegistrationMode& value) {
  static constexpr std::pair<std::string_view, RegistrationMode> kNames[] = {
      {"passthrough", RegistrationMode::passthrough},
      {"account", RegistrationMode::account},
      {"trunk", RegistrationMode::trunk}};
  return one_of<RegistrationMode>(value, kNames);
}

Scalar choice(RegisterWhen& value) {
  static constexpr std::pair<std::string_view, RegisterWhen> kNames[] = {
      {"when_present", RegisterWhen::when_present},
      {"always", RegisterWhen::always},
      {"none", RegisterWhen::none}};
  return one_of<RegisterWhen>(value, kNames);
}

Scalar choice(AccountFrom& value) {
  static constexpr std::pair<std::string_view, AccountFrom> kNames[] = {
      {"account", AccountFrom::account}, {"client", AccountFrom::client}};
  return one_of<AccountFrom>(value, kNames);
}

Scalar choice(InboundUser& value) {
  static constexpr std::pair<std::string_view, InboundUser> kNames[] = {
      {"request_uri", InboundUser::request_uri},
      {"to", InboundUser::to},
      {"p_called_party_id", InboundUser::p_called_party_id}};
  return one_of<InboundUser>(value, kNames);
}

Scalar choice(LogLevel& value) {
  static constexpr std::pair<std::string_view, LogLevel> kNames[] = {{"trace", LogLevel::trace},
                                                                     {"debug", LogLevel::debug},
                                                                     {"info", LogLevel::info},
                                                                     {"warning", LogLevel::warning},
                                                                     {"error", LogLevel::error}};
  return one_of<LogLevel>(value, kNames);
}

Scalar choice(LogFormat& value) {
  static constexpr std::pair<std::string_view, LogFormat> kNames[] = {{"text", LogFormat::text},
                                                                      {"json", LogFormat::json}};
  return one_of<LogFormat>(value, kNames);
}

Scalar dns_server(Endpoint& value) {
  return {"address", "an IP address, with a port if it is not 53: 192.0.2.1, [2001:db8::1]:5353",
          [&value](const std::string& text, const FileAccess&) -> std::optional<Problem> {
            const auto found = dns::parse_server_address(text);
            if (!found) return Problem{};
            value = *found;
            return std::nullopt;
          },
          [&value] { return value.to_string(); }};
}

}  // namespace isthmus::ops
