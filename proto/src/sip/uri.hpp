#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "sip/fault.hpp"

namespace isthmus::sip {

/// Ordered ;name[=value] parameters, as Via, name-addr headers and URIs carry them. Names compare
/// without regard to case; values keep their text (quotes included).
class Params {
 public:
  struct Param {
    std::string name;
    std::optional<std::string> value;
  };

  /// `text` begins with ';' or is empty. Quoted values may hold ';' and '='.
  static std::optional<Params> parse(std::string_view text);
  bool has(std::string_view name) const;
  /// The value; "" for a parameter without one; nothing if it is absent.
  std::optional<std::string_view> get(std::string_view name) const;
  /// Replaces in place or appends. No value: a flag, as ";lr".
  void set(std::string_view name, std::optional<std::string> value);
  void remove(std::string_view name);
  const std::vector<Param>& all() const { return params_; }
  bool empty() const { return params_.empty(); }
  std::string to_string() const;  ///< with its leading ';', or empty

 private:
  std::vector<Param> params_;
};

/// A sip: or sips: URI (RFC 3261 §19.1); tel: and any other scheme keep their text in `opaque`.
struct Uri {
  std::string scheme = "sip";  ///< lower case
  std::string user;            ///< as written, escapes kept
  std::string password;        ///< as written; has_password tells "" from none
  bool has_password = false;
  std::string host;        ///< as written; IPv6 with its brackets
  std::uint16_t port = 0;  ///< 0: none written
  Params params;
  std::string headers;  ///< after '?', without it
  std::string opaque;   ///< everything after "scheme:" when the scheme is not sip or sips

  static Result<Uri, Fault> parse(std::string_view text);
  std::string to_string() const;
  bool is_sip() const { return scheme == "sip" || scheme == "sips"; }
  bool is_secure() const { return scheme == "sips"; }
  /// User with %-escapes decoded.
  std::string decoded_user() const;
};

/// URI equality by RFC 3261 §19.1.4.
bool equivalent(const Uri& a, const Uri& b);

/// Decodes %XX; a '%' that no two hex digits follow stays as it is.
std::string percent_decode(std::string_view text);

/// One value of From, To, Contact, Route, Refer-To and their kind: name-addr or addr-spec with
/// header parameters (RFC 3261 §20.10, §25.1). Without angle brackets, parameters belong to the
/// header.
struct NameAddr {
  std::string display;  ///< as written, quotes included; empty if none
  std::string uri;      ///< text between the angle brackets, or the addr-spec
  Params params;
  bool star = false;  ///< Contact: *

  static Result<NameAddr, Fault> parse(std::string_view text);
  std::string to_string() const;  ///< always with angle brackets, but for "*"
  std::optional<std::string_view> tag() const { return params.get("tag"); }
};

/// Splits a header value at commas that stand outside quotes, angle brackets and comments. Empty
/// parts are left out.
std::vector<std::string_view> split_list(std::string_view value);

}  // namespace isthmus::sip
