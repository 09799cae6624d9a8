#include "call/dtmf_info.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::call {

namespace {

/// A digit as it is written, or by its event code (RFC 4733 table 3), as some PBXs write * and #.
std::optional<char> digit_of(std::string_view text) {
  if (text.size() == 1) {
    char digit = text.front();
    if (digit >= 'a' && digit <= 'd') digit = static_cast<char>(digit - 'a' + 'A');
    if (std::string_view("0123456789*#ABCD").find(digit) != std::string_view::npos) return digit;
    return std::nullopt;
  }
  std::optional<unsigned> code = parse_number<unsigned>(text);
  if (text.size() != 2 || !code || *code < 10 || *code > 15) return std::nullopt;
  return std::string_view("*#ABCD")[*code - 10];
}

}  // namespace

std::optional<DtmfInfo> DtmfInfo::of(const sip::Message& info) {
  std::string type = info.content_type();
  std::string_view body = info.body();
  DtmfInfo out;
  if (type == "application/dtmf") {
    // Some write the lines of dtmf-relay under this name, too.
    if (std::optional<char> digit = digit_of(trim(body))) {
      out.digit = *digit;
      return out;
    }
  } else if (type != kType) {
    return std::nullopt;
  }
  std::optional<char> digit;
  while (!body.empty()) {
    std::size_t end = std::min(body.find('\n'), body.size());
    std::string_view line = trim(body.substr(0, end));
    body.remove_prefix(std::min(end + 1, body.size()));
    std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view name = trim(line.substr(0, equals)), value = trim(line.substr(equals + 1));
    if (iequals(name, "Signal")) {
      digit = digit_of(value);
    } else if (iequals(name, "Duration")) {
      out.duration_ms = parse_number<unsigned>(value).value_or(kUsual_ms);
    }
  }
  if (!digit) return std::nullopt;
  out.digit = *digit;
  return out;
}

std::string DtmfInfo::to_body() const {
  return std::string("Signal=") + digit + "\r\nDuration=" + std::to_string(duration_ms) + "\r\n";
}

}  // namespace isthmus::call
