#include "provider/enum_rewrite.hpp"

#include <re2/re2.h>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "provider/user_pattern.hpp"
#include "sip/uri.hpp"

namespace isthmus::provider {
namespace {

/// The next part of an expression, up to a delimiter that no backslash escapes; the delimiter is
/// taken off too. Nothing when there is none.
std::optional<std::string> next_part(std::string_view& rest, char delimiter) {
  std::string part;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == delimiter) {
      rest.remove_prefix(i + 1);
      return part;
    }
    if (rest[i] == '\\' && i + 1 < rest.size()) {
      if (rest[i + 1] != delimiter) part += '\\';
      ++i;
    }
    part += rest[i];
  }
  return std::nullopt;
}

/// "e2u+sip", "e2u+voice:sip+h323", and the older "sip+e2u" (RFC 2916) that zones still hold.
bool serves_sip(std::string_view services) {
  if (iequals(services, "sip+e2u")) return true;
  if (services.size() < 4 || !iequals(services.substr(0, 4), "e2u+")) return false;
  services.remove_prefix(4);
  while (!services.empty()) {
    std::size_t end = services.find('+');
    std::string_view service = services.substr(0, end);
    // Type and subtypes are separated by colons: "sip", or "voice:sip".
    if (iequals(service, "sip") || iequals(service.substr(0, 4), "sip:")) return true;
    std::size_t colon = service.rfind(':');
    if (colon != std::string_view::npos && iequals(service.substr(colon + 1), "sip")) return true;
    services = end == std::string_view::npos ? std::string_view() : services.substr(end + 1);
  }
  return false;
}

}  // namespace

std::optional<std::string> apply_substitution(std::string_view expression,
                                              std::string_view number) {
  if (expression.size() < 4 || expression.size() > limits::kPatternBytes) return std::nullopt;
  char delimiter = expression.front();
  // RFC 3402 §3.2: a delimiter is neither a digit nor a flag, nor could it be escaped itself.
  if ((delimiter >= '0' && delimiter <= '9') || delimiter == 'i' || delimiter == '\\') {
    return std::nullopt;
  }
  std::string_view rest = expression.substr(1);
  std::optional<std::string> pattern = next_part(rest, delimiter);
  std::optional<std::string> replacement = pattern ? next_part(rest, delimiter) : std::nullopt;
  if (!replacement || (!rest.empty() && !iequals(rest, "i"))) return std::nullopt;

  re2::RE2::Options options;
  options.set_posix_syntax(true);
  options.set_longest_match(true);
  options.set_log_errors(false);
  options.set_case_sensitive(rest.empty());
  options.set_max_mem(limits::kPatternMemoryBytes);
  re2::RE2 regex(*pattern, options);
  if (!regex.ok()) return std::nullopt;
  std::vector<re2::StringPiece> found(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) +
                                      1);
  re2::StringPiece subject(number.data(), number.size());
  if (!regex.Match(subject, 0, number.size(), re2::RE2::UNANCHORED, found.data(),
                   static_cast<int>(found.size()))) {
    return std::nullopt;
  }
  // RFC 3402 §3.2: the result is the replacement, not the text around the match.
  return substitute(*replacement, std::vector<std::string>(found.begin(), found.end()));
}

std::optional<std::string> sip_uri_of_number(std::string_view number,
                                             const std::vector<dns::NaptrRecord>& records) {
  for (const dns::NaptrRecord& record : records) {
    if (!iequals(record.flags, "u") || !serves_sip(record.services)) continue;
    std::optional<std::string> text = apply_substitution(record.regexp, number);
    if (!text) continue;
    auto uri = sip::Uri::parse(*text);
    if (uri && uri->is_sip() && uri->headers.empty()) return text;
  }
  return std::nullopt;
}

}  // namespace isthmus::provider
