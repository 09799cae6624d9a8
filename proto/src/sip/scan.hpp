#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

/// The grammar of RFC 3261 §25.1 as functions over views, without allocation. The public types of
/// uri.hpp and values.hpp copy from what these find; Message::check() needs no copy at all. Where
/// real senders stray from the grammar without harm (a bad %-escape, "_" in a host name, an empty
/// user), they may.
namespace isthmus::sip::scan {

bool is_token(std::string_view text);
/// Length of the token that the text begins with; 0 if with none.
std::size_t token_size(std::string_view text);
/// Space, tab, and the line ends that folding may leave inside a value.
constexpr bool is_lws(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
std::string_view trim_lws(std::string_view text);
/// Index behind the closing quote of the quoted-string that begins at `begin`; npos if it never
/// closes.
std::size_t quoted_end(std::string_view text, std::size_t begin);
/// Hostname, IPv4 address, or IPv6 address in brackets.
bool is_host(std::string_view text);

struct Param {
  std::string_view name, value;  ///< value with its quotes
  bool has_value = false;
};
enum class Step : std::uint8_t { param, end, bad };
/// Takes the next ;name[=value] off the front of `rest`.
Step next_param(std::string_view& rest, Param& out);
/// Whether all of the text is parameters (or nothing).
bool are_params(std::string_view text);
/// Value of a parameter in text that are_params() accepted.
std::optional<std::string_view> find_param(std::string_view params, std::string_view name);

/// Takes values off a comma list one by one, leaving out empty ones. Commas inside quotes, angle
/// brackets and comments do not count.
class List {
 public:
  explicit List(std::string_view value) : rest_(value) {}
  bool next(std::string_view& item);

 private:
  std::size_t comma();

  std::string_view rest_;
  bool comments_ = true;  ///< false once a parenthesis never closed: keeps the scan linear
};

struct Uri {
  std::string_view scheme, user, password, host, params, headers, opaque;
  std::uint16_t port = 0;
  bool sip = false;  ///< sip or sips
  bool has_password = false;
  bool has_headers = false;
};
std::optional<Uri> uri(std::string_view text);

struct NameAddr {
  std::string_view display, uri, params;
  bool star = false;
};
std::optional<NameAddr> name_addr(std::string_view text);

struct Via {
  std::string_view transport, host, params;
  std::uint16_t port = 0;
};
std::optional<Via> via(std::string_view text);

struct CSeq {
  std::uint32_t number = 0;
  std::string_view method;
};
/// The number is below 2^31 (RFC 3261 §8.1.1.5).
std::optional<CSeq> cseq(std::string_view text);

}  // namespace isthmus::sip::scan
