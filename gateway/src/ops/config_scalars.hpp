#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/config.hpp"
#include "ops/file_reader.hpp"

/// The types of values that a configuration file holds: each knows its name for the reference, what
/// to expect in words, how text becomes a value and how a default is shown. Used by
/// ops/config_keys.cpp.
namespace isthmus::ops {

/// Why a text is not a value. Empty parts: the text itself is wrong; the type's own expectation.
struct Problem {
  std::string wrong, expected;
};

/// Files named in a configuration are relative to the directory of that configuration.
struct FileAccess {
  FileReader read;
  std::string base_directory;
  std::string resolve(const std::string& path) const;
};

struct Scalar {
  std::string type;      ///< "port"
  std::string expected;  ///< "a port number, 1 to 65535"
  std::function<std::optional<Problem>(const std::string& text, const FileAccess& files)> assign;
  std::function<std::string()> render;  ///< the current value; "" when there is none
  bool secret = false;                  ///< never repeat its text
};

struct ScalarList {
  std::string type, expected;
  std::function<void()> clear;  ///< drops the defaults, once the key is there
  std::function<std::optional<Problem>(const std::string& text, const FileAccess& files)> add;
  std::function<std::string()> render;
  bool secret = false;
  bool one_alone = false;  ///< a single value stands for a list of one
};

Scalar boolean(bool& value);
Scalar text(std::string& value);
Scalar domain_name(std::string& value);        ///< or an IP address
Scalar user_name(std::string& value);          ///< session::is_user_name
Scalar provider_name(std::string& value);      ///< letters, digits, '-' and '_'
Scalar address_of_record(std::string& value);  ///< a user name or "*"
Scalar user_prefix(std::string& value);
Scalar header_text(std::string& value);  ///< printable, no line breaks
Scalar port(std::uint16_t& value);       ///< 0 allowed
Scalar count(std::uint32_t& value, std::uint32_t least, std::uint32_t most);
Scalar duration(seconds& value, seconds least, seconds most);
Scalar duration(milliseconds& value, milliseconds least, milliseconds most);
Scalar ip_address(IpAddress& value);
Scalar advertised(std::optional<IpAddress>& value);  ///< a definite address
Scalar network(Network& value);
Scalar port_range(PortRange& value);
Scalar readable_file(std::string& value);  ///< its path, once it could be read
Scalar directory(std::string& value);
Scalar password_hash(std::string& value);
Scalar secret(Secret& value);
Scalar secret_file(Secret& value);  ///< a path; the value is the file's content
Scalar hmac_secret(Secret& value);  ///< base64url or "file:PATH"
Scalar ed25519_key(
    std::string& value);  ///< base64url or "file:PATH" of a PEM; the value is 32 bytes
Scalar sip_target(SipTarget& value);
Scalar gateway_url(std::string& value);
Scalar dns_server(Endpoint& value);
Scalar proxy_url(Secret& value);
Scalar key_pin(std::string& value);
Scalar choice(MediaSource& value);
Scalar choice(sip::Transport& value);  ///< udp, tcp or tls
Scalar choice(RegistrationMode& value);
Scalar choice(RegisterWhen& value);
Scalar choice(AccountFrom& value);
Scalar choice(InboundUser& value);
Scalar choice(Redirects& value);
Scalar choice(Dtmf& value);
Scalar choice(LogLevel& value);
Scalar choice(LogFormat& value);

/// A type above for a value that may be absent. @param type  gets the value's place
template <typename T>
Scalar optional(std::optional<T>& value, Scalar (*type)(T&)) {
  T sample{};
  Scalar out = type(sample);
  out.assign = [&value, type](const std::string& text, const FileAccess& files) {
    T given{};
    auto problem = type(given).assign(text, files);
    if (!problem) value = std::move(given);
    return problem;
  };
  out.render = [&value, type] { return value ? type(*value).render() : std::string(); };
  return out;
}

/// A list of one of the types above.
template <typename T>
ScalarList list_of(std::vector<T>& values, Scalar (*type)(T&)) {
  T sample{};
  Scalar of = type(sample);
  ScalarList out;
  out.type = "list of " + of.type;
  out.expected = of.expected;
  out.secret = of.secret;
  out.clear = [&values] { values.clear(); };
  out.add = [&values, type](const std::string& text, const FileAccess& files) {
    T value{};
    auto problem = type(value).assign(text, files);
    if (!problem) values.push_back(std::move(value));
    return problem;
  };
  out.render = [&values, type] {
    std::string shown;
    for (T& value : values) shown += (shown.empty() ? "" : ", ") + type(value).render();
    return shown;
  };
  return out;
}

}  // namespace isthmus::ops
