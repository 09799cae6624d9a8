#include <algorithm>

#include "base/text.hpp"
#include "sip/uri.hpp"
#include "ua/user_agent.hpp"

namespace isthmus::ua {
namespace {

bool is_user_character(char c) {
  const bool alphanumeric =
      (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  // RFC 3261 §25.1: unreserved and user-unreserved.
  return alphanumeric || std::string_view("-_.!~*'()&=+$,;?/").find(c) != std::string_view::npos;
}

bool has_scheme(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string scheme = to_lower(text.substr(0, colon));
  return scheme == "sip" || scheme == "sips" || scheme == "tel";
}

}  // namespace

std::string make_aor(std::string_view user, std::string_view domain) {
  std::string aor = "sip:";
  for (const char c : user) {
    if (is_user_character(c)) {
      aor += c;
    } else {
      append_percent_encoded(aor, c);
    }
  }
  return aor.append("@").append(domain);
}

std::optional<std::string> complete_target(std::string_view target, std::string_view domain) {
  target = trim(target);
  const bool odd = std::ranges::any_of(target, [](char c) {
    return c <= ' ' || c == '<' || c == '>' || c == '"' || static_cast<unsigned char>(c) >= 127;
  });
  if (target.empty() || odd) return std::nullopt;
  std::string uri;
  if (has_scheme(target)) {
    uri = target;
  } else if (target.find('@') != std::string_view::npos) {
    uri = "sip:" + std::string(target);
  } else {
    if (domain.empty()) return std::nullopt;
    uri = make_aor(target, domain);
  }
  const auto parsed = sip::Uri::parse(uri);
  if (!parsed || (parsed->is_sip() ? parsed->host.empty() : parsed->opaque.empty())) {
    return std::nullopt;
  }
  return uri;
}

}  // namespace isthmus::ua
