// Message::check(): what RFC 3261 requires of a message before anybody may act on it.
#include <array>

#include "base/text.hpp"
#include "sip/message.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

/// §8.1.1: these stand in each request and, by §8.2.6.2, in each response.
constexpr HeaderId kMandatory[] = {HeaderId::via, HeaderId::from, HeaderId::to, HeaderId::call_id,
                                   HeaderId::cseq};

/// Header fields with one value (§7.3.1), where taking either of two would be a guess.
constexpr HeaderId kSingle[] = {
    HeaderId::from,         HeaderId::to,           HeaderId::call_id, HeaderId::cseq,
    HeaderId::max_forwards, HeaderId::content_type, HeaderId::expires, HeaderId::event,
    HeaderId::refer_to,     HeaderId::rack,         HeaderId::rseq,    HeaderId::session_expires,
};

bool is_address(std::string_view value) {
  const auto address = scan::name_addr(value);
  return address && !address->star && scan::uri(address->uri);
}

/// A list with at least one value, each of them good.
template <typename Good>
bool every(std::string_view value, Good good) {
  scan::List list(value);
  std::string_view item;
  if (!list.next(item)) return false;
  do {
    if (!good(item)) return false;
  } while (list.next(item));
  return true;
}

bool is_call_id(std::string_view value) {
  return !value.empty() && value.find(' ') == std::string_view::npos &&
         value.find('\t') == std::string_view::npos;
}

bool is_max_forwards(std::string_view value) {
  const auto hops = parse_number<std::uint32_t>(value);
  return hops && *hops <= 255;
}

}  // namespace

std::optional<Fault> Message::check() const {
  if (const auto fault = check_start_line()) return fault;
  if (const auto fault = check_presence()) return fault;
  for (const FieldSlot& slot : fields_)
    if (const auto fault = check_field(slot)) return fault;
  if (request_) {
    const auto cseq = scan::cseq(*get(HeaderId::cseq));
    if (cseq->method != method_text())
      return Fault{FaultCode::cseq_method_mismatch, HeaderId::cseq,
                   find(HeaderId::cseq)->line.begin};
  }
  return std::nullopt;
}

std::optional<Fault> Message::check_start_line() const {
  if (foreign_version_) return Fault{FaultCode::bad_version, HeaderId::other, start_line_.begin};
  if (!request_) return std::nullopt;
  if (!start_sound_) return Fault{FaultCode::bad_start_line, HeaderId::other, uri_or_reason_.end};
  const auto uri = scan::uri(request_uri());
  // §19.1.1: headers have no place in a Request-URI; RFC 4475 §3.1.2.11 says what they could
  // smuggle in.
  if (!uri || uri->has_headers)
    return Fault{FaultCode::bad_request_uri, HeaderId::other, uri_or_reason_.begin};
  return std::nullopt;
}

std::optional<Fault> Message::check_presence() const {
  constexpr auto kIds = static_cast<std::size_t>(HeaderId::www_authenticate) + 1;
  std::array<std::uint16_t, kIds> count{};
  for (const FieldSlot& slot : fields_) ++count[static_cast<std::size_t>(slot.id)];
  for (const HeaderId id : kMandatory)
    if (count[static_cast<std::size_t>(id)] == 0)
      return Fault{FaultCode::missing_header, id, blank_line_.begin};
  for (const HeaderId id : kSingle) {
    if (count[static_cast<std::size_t>(id)] < 2) continue;
    std::size_t second = 0;
    for (const FieldSlot& slot : fields_)
      if (slot.id == id) second = slot.line.begin;
    return Fault{FaultCode::duplicate_header, id, second};
  }
  return std::nullopt;
}

std::optional<Fault> Message::check_field(const FieldSlot& slot) const {
  const std::string_view value = text(slot.value);
  bool good = true;
  switch (slot.id) {
    case HeaderId::via:
      good = every(value, [](std::string_view item) { return scan::via(item).has_value(); });
      break;
    case HeaderId::from:
    case HeaderId::to:
      good = is_address(value);
      break;
    case HeaderId::contact:
      // "*" stands alone, and only in REGISTER (§10.2.2).
      good = value == "*" ? method_ == Method::register_ && fields(HeaderId::contact).size() == 1
                          : every(value, is_address);
      break;
    case HeaderId::route:
    case HeaderId::record_route:
      good = every(value, is_address);
      break;
    case HeaderId::call_id:
      good = is_call_id(value);
      break;
    case HeaderId::cseq:
      good = scan::cseq(value).has_value();
      break;
    case HeaderId::max_forwards:
      good = is_max_forwards(value);
      break;
    case HeaderId::expires:
    case HeaderId::content_length:
      good = parse_number<std::uint32_t>(value).has_value();
      break;
    default:
      break;
  }
  if (good) return std::nullopt;
  return Fault{FaultCode::bad_header_value, slot.id, slot.line.begin};
}

}  // namespace isthmus::sip
