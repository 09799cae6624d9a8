#include "sip/uri.hpp"

#include <algorithm>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/text.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

/// The byte that a %XX at `i` stands for, or -1.
int escape_at(std::string_view text, std::size_t i) {
  if (text[i] != '%' || i + 2 >= text.size()) return -1;
  const int high = hex_digit(text[i + 1]);
  const int low = hex_digit(text[i + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// RFC 3261 §19.1.4: characters outside the reserved set equal their escapes; reserved ones do not.
std::string normalise_escapes(std::string_view text) {
  constexpr std::string_view kReserved = ";/?:@&=+$,";
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int byte = escape_at(text, i);
    if (byte < 0) {
      out += text[i];
      continue;
    }
    const char decoded = static_cast<char>(byte);
    if (decoded == '%' || kReserved.find(decoded) != std::string_view::npos) {
      out += '%';
      out += to_lower(text[i + 1]);
      out += to_lower(text[i + 2]);
    } else {
      out += decoded;
    }
    i += 2;
  }
  return out;
}

bool same_text(std::string_view a, std::string_view b) {
  return a == b || normalise_escapes(a) == normalise_escapes(b);
}
bool same_text_any_case(std::string_view a, std::string_view b) {
  return iequals(a, b) || iequals(normalise_escapes(a), normalise_escapes(b));
}

/// IPv6 addresses compare as numbers (RFC 5954 §4.2), names as text.
bool same_host(std::string_view a, std::string_view b) {
  if (iequals(a, b)) return true;
  if (a.empty() || b.empty() || a.front() != '[' || b.front() != '[') return false;
  const auto left = IpAddress::parse(a);
  const auto right = IpAddress::parse(b);
  return left && right && *left == *right;
}

bool same_params(const Params& a, const Params& b) {
  // §19.1.4 names user, ttl, method and maddr, and its examples add transport: in one URI only,
  // never a match.
  for (const std::string_view name : {"user", "ttl", "method", "maddr", "transport"})
    if (a.has(name) != b.has(name)) return false;
  // Of a parameter that stands twice, against the grammar, the first counts.
  return std::all_of(a.all().begin(), a.all().end(), [&](const Params::Param& param) {
    const auto other = b.get(param.name);
    return !other || same_text_any_case(*a.get(param.name), *other);
  });
}

/// Headers of a URI in an order of their own, ready to compare.
std::vector<std::pair<std::string, std::string>> header_set(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view one = text.substr(0, end);
    const std::size_t equals = std::min(one.find('='), one.size());
    out.emplace_back(to_lower(normalise_escapes(one.substr(0, equals))),
                     normalise_escapes(one.substr(std::min(equals + 1, one.size()))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// RFC 3966 §3: visual separators do not count, letters compare without case.
std::string bare_number(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != '-' && c != '.' && c != '(' && c != ')') out += to_lower(c);
  return out;
}

Params copy_params(std::string_view text) {
  return Params::parse(text).value_or(Params{});
}

}  // namespace

std::optional<Params> Params::parse(std::string_view text) {
  Params out;
  scan::Param param;
  for (;;) {
    const scan::Step step = scan::next_param(text, param);
    if (step == scan::Step::bad) return std::nullopt;
    if (step == scan::Step::end) return out;
    Param& copy = out.params_.emplace_back();
    copy.name = param.name;
    if (param.has_value) copy.value = param.value;
  }
}

bool Params::has(std::string_view name) const {
  return get(name).has_value();
}

std::optional<std::string_view> Params::get(std::string_view name) const {
  for (const Param& param : params_)
    if (iequals(param.name, name))
      return param.value ? std::string_view(*param.value) : std::string_view();
  return std::nullopt;
}

void Params::set(std::string_view name, std::optional<std::string> value) {
  for (Param& param : params_) {
    if (!iequals(param.name, name)) continue;
    param.value = std::move(value);
    return;
  }
  params_.push_back({std::string(name), std::move(value)});
}

void Params::remove(std::string_view name) {
  const std::string wanted(name);  // `name` may be a view into a parameter that goes
  std::erase_if(params_, [&](const Param& param) { return iequals(param.name, wanted); });
}

std::string Params::to_string() const {
  std::string out;
  for (const Param& param : params_) {
    out.append(";").append(param.name);
    if (param.value) out.append("=").append(*param.value);
  }
  return out;
}

Result<Uri, Fault> Uri::parse(std::string_view text) {
  const auto found = scan::uri(text);
  if (!found) return Fault{FaultCode::bad_header_value};
  Uri out;
  out.scheme = to_lower(found->scheme);
  out.user = found->user;
  out.password = found->password;
  out.has_password = found->has_password;
  out.host = found->host;
  out.port = found->port;
  out.params = copy_params(found->params);
  out.headers = found->headers;
  out.opaque = found->opaque;
  return out;
}

std::string Uri::to_string() const {
  std::string out;
  out.reserve(scheme.size() + user.size() + host.size() + opaque.size() + 32);
  out.append(scheme).append(":");
  if (!is_sip()) return out.append(opaque);
  if (!user.empty()) {
    out.append(user);
    if (has_password) out.append(":").append(password);
    out.append("@");
  }
  out.append(host);
  if (port != 0) out.append(":").append(std::to_string(port));
  out.append(params.to_string());
  if (!headers.empty()) out.append("?").append(headers);
  return out;
}

std::string Uri::decoded_user() const {
  return percent_decode(user);
}

bool equivalent(const Uri& a, const Uri& b) {
  if (a.scheme != b.scheme) return false;
  if (!a.is_sip()) {
    return a.opaque == b.opaque ||
           (a.scheme == "tel" && bare_number(a.opaque) == bare_number(b.opaque));
  }
  return a.has_password == b.has_password && a.port == b.port && same_text(a.user, b.user) &&
         same_text(a.password, b.password) && same_host(a.host, b.host) &&
         same_params(a.params, b.params) && header_set(a.headers) == header_set(b.headers);
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int byte = escape_at(text, i);
    out += byte < 0 ? text[i] : static_cast<char>(byte);
    if (byte >= 0) i += 2;
  }
  return out;
}

Result<NameAddr, Fault> NameAddr::parse(std::string_view text) {
  const auto found = scan::name_addr(text);
  if (!found) return Fault{FaultCode::bad_header_value};
  NameAddr out;
  out.star = found->star;
  out.display = found->display;
  out.uri = found->uri;
  out.params = copy_params(found->params);
  return out;
}

std::string NameAddr::to_string() const {
  if (star) return "*";
  std::string out;
  out.reserve(display.size() + uri.size() + 32);
  if (!display.empty()) out.append(display).append(" ");
  return out.append("<").append(uri).append(">").append(params.to_string());
}

std::vector<std::string_view> split_list(std::string_view value) {
  std::vector<std::string_view> out;
  scan::List list(value);
  std::string_view item;
  while (list.next(item)) out.push_back(item);
  return out;
}

}  // namespace isthmus::sip
