#pragma once
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace isthmus {

/// ASCII only, locale-independent: SIP and SDP tokens compare without regard to case.
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
bool iequals(std::string_view a, std::string_view b);
std::string to_lower(std::string_view text);
/// Appends "%XX" in capitals, the form that RFC 3986 §2.1 prefers.
void append_percent_encoded(std::string& out, char c);
/// Without leading and trailing space, tab, CR and LF.
std::string_view trim(std::string_view text);
/// Takes one line off the front. @return it without its line end, CRLF or LF
std::string_view take_line(std::string_view& text);
/// No control characters but tabs: may stand in a header line.
bool fits_header_line(std::string_view value);
/// A stranger's text for a log line or a message: a question mark for all but printable ASCII.
std::string printable_ascii(std::string_view text);

/// The whole text as a decimal number that fits T; nothing otherwise (signs and blanks included).
template <std::unsigned_integral T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct CaseInsensitiveLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

}  // namespace isthmus
