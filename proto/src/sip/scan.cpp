#include "sip/scan.hpp"

#include <array>
#include <string>

#include "base/address.hpp"
#include "base/text.hpp"

namespace isthmus::sip::scan {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

enum Class : std::uint8_t {
  kToken = 1,
  kHost = 2,
  kUri = 4,
  kParam = 8,
  kDisplay = 16,
  kAddressText = 32,  ///< neither of < ; " which decide the form of an address
  kListText = 64,     ///< neither of , " < ( which decide where a list value ends
};

/// What each byte may be part of. Bytes of UTF-8 (0x80 and up) may stand wherever text may.
constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const char c = static_cast<char>(i);
    std::uint8_t bits = 0;
    const bool alphanumeric = is_alpha(c) || is_digit(c);
    if (alphanumeric || std::string_view("-.!%*_+`'~").find(c) != std::string_view::npos)
      bits |= kToken;
    if (alphanumeric || c == '-' || c == '.' || c == '_') bits |= kHost;
    const bool visible = !is_control(c) && c != ' ';
    const bool bracket = c == '<' || c == '>' || c == '"';
    if (visible && !bracket) bits |= kUri;
    if (visible && !bracket && c != ',' && c != ';' && c != '=') bits |= kParam;
    if ((visible || is_lws(c)) && !bracket && c != ',' && c != ';' && c != ':') bits |= kDisplay;
    if (c != '<' && c != ';' && c != '"') bits |= kAddressText;
    if (c != ',' && c != '"' && c != '<' && c != '(') bits |= kListText;
    classes[i] = bits;
  }
  return classes;
}
constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

bool is(char c, Class wanted) {
  return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0;
}

/// Index of the first character outside a class, from `begin` on; the size if there is none.
std::size_t span(std::string_view text, Class wanted, std::size_t begin = 0) {
  while (begin < text.size() && is(text[begin], wanted)) ++begin;
  return begin;
}

bool all(std::string_view text, Class wanted) {
  return span(text, wanted) == text.size();
}

void skip_lws(std::string_view& text) {
  std::size_t i = 0;
  while (i < text.size() && is_lws(text[i])) ++i;
  text.remove_prefix(i);
}

/// Takes characters of a class off the front.
std::string_view take(std::string_view& text, Class wanted) {
  const std::string_view taken = text.substr(0, span(text, wanted));
  text.remove_prefix(taken.size());
  return taken;
}

std::string_view take_digits(std::string_view& text) {
  std::size_t i = 0;
  while (i < text.size() && is_digit(text[i])) ++i;
  const std::string_view taken = text.substr(0, i);
  text.remove_prefix(i);
  return taken;
}

bool take_char(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

/// host off the front: a bracketed IPv6 address or a name. Empty if there is none.
std::string_view take_host(std::string_view& text) {
  if (text.empty() || text.front() != '[') return take(text, kHost);
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return {};
  const std::string_view host = text.substr(0, close + 1);
  if (!is_host(host)) return {};
  text.remove_prefix(host.size());
  return host;
}

/// Port 0 cannot be sent to, and stands for "none written".
bool take_port(std::string_view& text, std::uint16_t& port) {
  const auto number = parse_number<std::uint16_t>(take_digits(text));
  if (!number || *number == 0) return false;
  port = *number;
  return true;
}

bool is_scheme(std::string_view text) {
  if (text.empty() || !is_alpha(text.front())) return false;
  for (const char c : text)
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return false;
  return true;
}

/// Index behind the comment that begins at `begin`, nested ones included; npos if it never closes.
std::size_t comment_end(std::string_view text, std::size_t begin) {
  std::size_t depth = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '(')
      ++depth;
    else if (text[i] == ')' && --depth == 0)
      return i + 1;
  }
  return std::string_view::npos;
}

}  // namespace

std::string_view trim_lws(std::string_view text) {
  while (!text.empty() && is_lws(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_lws(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t token_size(std::string_view text) {
  return span(text, kToken);
}

bool is_token(std::string_view text) {
  return !text.empty() && all(text, kToken);
}

std::size_t quoted_end(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i + 1;
  }
  return std::string_view::npos;
}

bool is_host(std::string_view text) {
  if (text.empty()) return false;
  if (text.front() != '[') return all(text, kHost);
  if (text.back() != ']') return false;
  if (IpAddress::parse(text)) return true;
  // RFC 5118 §4.10: the grammar of RFC 3261 lets ":::" stand before an embedded IPv4 address.
  const std::size_t triple = text.find(":::");
  if (triple == std::string_view::npos) return false;
  return IpAddress::parse(std::string(text).erase(triple, 1)).has_value();
}

Step next_param(std::string_view& rest, Param& out) {
  skip_lws(rest);
  if (rest.empty()) return Step::end;
  if (!take_char(rest, ';')) return Step::bad;
  skip_lws(rest);
  out = {};
  out.name = take(rest, kParam);
  if (out.name.empty()) return Step::bad;
  skip_lws(rest);
  if (!take_char(rest, '=')) return Step::param;
  out.has_value = true;
  skip_lws(rest);
  if (!rest.empty() && rest.front() == '"') {
    const std::size_t end = quoted_end(rest, 0);
    if (end == std::string_view::npos) return Step::bad;
    out.value = rest.substr(0, end);
    rest.remove_prefix(end);
    return Step::param;
  }
  std::size_t end = 0;  // '=' may stand in a value (base64), not in a name
  while (end < rest.size() && (rest[end] == '=' || is(rest[end], kParam))) ++end;
  out.value = rest.substr(0, end);
  rest.remove_prefix(end);
  return Step::param;
}

bool are_params(std::string_view text) {
  Param param;
  for (;;) {
    const Step step = next_param(text, param);
    if (step != Step::param) return step == Step::end;
  }
}

std::optional<std::string_view> find_param(std::string_view params, std::string_view name) {
  Param param;
  while (next_param(params, param) == Step::param)
    if (iequals(param.name, name)) return param.value;
  return std::nullopt;
}

std::size_t List::comma() {
  for (std::size_t i = span(rest_, kListText); i < rest_.size(); i = span(rest_, kListText, i)) {
    const char c = rest_[i];
    if (c == ',') return i;
    std::size_t next = i + 1;
    if (c == '"') {
      next = quoted_end(rest_, i);
    } else if (c == '<') {
      const std::size_t close = rest_.find('>', i);
      next = close == std::string_view::npos ? close : close + 1;
    } else if (c == '(' && comments_) {
      next = comment_end(rest_, i);
      if (next == std::string_view::npos) {
        comments_ = false;  // a lone parenthesis is text
        next = i + 1;
      }
    }
    if (next == std::string_view::npos) break;
    i = next;
  }
  return rest_.size();
}

bool List::next(std::string_view& item) {
  while (!rest_.empty()) {
    const std::size_t end = comma();
    item = trim_lws(rest_.substr(0, end));
    rest_.remove_prefix(end < rest_.size() ? end + 1 : end);
    if (!item.empty()) return true;
  }
  return false;
}

std::optional<Uri> uri(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || !all(text, kUri)) return std::nullopt;
  Uri out;
  out.scheme = text.substr(0, colon);
  if (!is_scheme(out.scheme)) return std::nullopt;
  std::string_view rest = text.substr(colon + 1);
  out.sip = iequals(out.scheme, "sip") || iequals(out.scheme, "sips");
  if (!out.sip) {
    if (rest.empty()) return std::nullopt;
    out.opaque = rest;
    return out;
  }
  // No part behind the host may hold a bare '@', while the user may hold ';', '?' and '/'.
  const std::size_t at = rest.find('@');
  if (at != std::string_view::npos) {
    out.user = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    if (rest.find('@') != std::string_view::npos) return std::nullopt;
    const std::size_t separator = out.user.find(':');
    if (separator != std::string_view::npos) {
      if (separator == 0) return std::nullopt;
      out.password = out.user.substr(separator + 1);
      out.user = out.user.substr(0, separator);
      out.has_password = true;
    }
  }
  out.host = take_host(rest);
  if (out.host.empty()) return std::nullopt;
  if (take_char(rest, ':') && !take_port(rest, out.port)) return std::nullopt;
  const std::size_t question = rest.find('?');
  out.params = rest.substr(0, question);
  if (!are_params(out.params)) return std::nullopt;
  if (question != std::string_view::npos) {
    out.headers = rest.substr(question + 1);
    out.has_headers = true;
    if (out.headers.empty()) return std::nullopt;
  }
  return out;
}

std::optional<NameAddr> name_addr(std::string_view text) {
  text = trim_lws(text);
  NameAddr out;
  if (text == "*") {
    out.star = true;
    return out;
  }
  std::size_t open = std::string_view::npos;
  if (!text.empty() && text.front() == '"') {
    const std::size_t end = quoted_end(text, 0);
    if (end == std::string_view::npos) return std::nullopt;
    open = end;
    while (open < text.size() && is_lws(text[open])) ++open;
    if (open == text.size() || text[open] != '<') return std::nullopt;
    out.display = text.substr(0, end);
  } else {
    open = span(text, kAddressText);
    if (open < text.size() && text[open] == '"') return std::nullopt;
    if (open == text.size() || text[open] == ';') {
      // RFC 3261 §20: without brackets, ';' begins header parameters, and '?' and ',' may not
      // stand.
      out.uri = trim_lws(text.substr(0, open));
      out.params = text.substr(open);
      if (out.uri.empty() || !all(out.uri, kUri) || out.uri.find('?') != std::string_view::npos ||
          out.uri.find(',') != std::string_view::npos || !are_params(out.params))
        return std::nullopt;
      return out;
    }
    out.display = trim_lws(text.substr(0, open));
    if (!all(out.display, kDisplay)) return std::nullopt;
  }
  const std::size_t close = text.find('>', open);
  if (close == std::string_view::npos) return std::nullopt;
  out.uri = text.substr(open + 1, close - open - 1);
  out.params = text.substr(close + 1);
  if (out.uri.empty() || !all(out.uri, kUri) || !are_params(out.params)) return std::nullopt;
  return out;
}

std::optional<Via> via(std::string_view text) {
  text = trim_lws(text);
  Via out;
  if (!iequals(take(text, kToken), "SIP")) return std::nullopt;
  skip_lws(text);
  if (!take_char(text, '/')) return std::nullopt;
  skip_lws(text);
  if (take(text, kToken) != "2.0") return std::nullopt;
  skip_lws(text);
  if (!take_char(text, '/')) return std::nullopt;
  skip_lws(text);
  out.transport = take(text, kToken);
  if (out.transport.empty() || text.empty() || !is_lws(text.front())) return std::nullopt;
  skip_lws(text);
  out.host = take_host(text);
  if (out.host.empty()) return std::nullopt;
  skip_lws(text);
  if (take_char(text, ':')) {
    skip_lws(text);
    if (!take_port(text, out.port)) return std::nullopt;
    skip_lws(text);
  }
  out.params = text;
  if (!are_params(out.params)) return std::nullopt;
  return out;
}

std::optional<CSeq> cseq(std::string_view text) {
  text = trim_lws(text);
  const auto number = parse_number<std::uint32_t>(take_digits(text));
  if (!number || *number > 0x7fffffffU || text.empty() || !is_lws(text.front()))
    return std::nullopt;
  skip_lws(text);
  if (!is_token(text)) return std::nullopt;
  return CSeq{*number, text};
}

}  // namespace isthmus::sip::scan
