// Typed values of a message, parsed when asked for.
#include "base/text.hpp"
#include "sip/message.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

Fault missing(HeaderId id) {
  return Fault{FaultCode::missing_header, id};
}

/// A value's own parser does not know which header it stood in.
template <typename T>
Result<T, Fault> of_header(Result<T, Fault> parsed, HeaderId id) {
  if (parsed) return parsed;
  return Fault{FaultCode::bad_header_value, id};
}

Result<NameAddr, Fault> party(const Message& message, HeaderId id) {
  const auto value = message.get(id);
  if (!value) return missing(id);
  return of_header(NameAddr::parse(*value), id);
}

std::string tag_of(std::optional<std::string_view> value) {
  if (!value) return {};
  // Asked for many times a message: behind the bracket that closes the address, without a look at
  // what is inside. One that a quoted parameter holds has a quote behind it.
  const std::size_t close = value->rfind('>');
  if (close != std::string_view::npos && value->find('"', close) == std::string_view::npos) {
    return std::string(scan::find_param(value->substr(close + 1), "tag").value_or(""));
  }
  const auto address = scan::name_addr(*value);
  if (!address) return {};
  return std::string(scan::find_param(address->params, "tag").value_or(""));
}

}  // namespace

Result<Via, Fault> Message::top_via() const {
  const auto value = get(HeaderId::via);
  if (!value) return missing(HeaderId::via);
  std::string_view first;
  scan::List(*value).next(first);
  return Via::parse(first);
}

Result<CSeq, Fault> Message::cseq() const {
  const auto value = get(HeaderId::cseq);
  if (!value) return missing(HeaderId::cseq);
  return CSeq::parse(*value);
}

Result<NameAddr, Fault> Message::from() const {
  return party(*this, HeaderId::from);
}
Result<NameAddr, Fault> Message::to() const {
  return party(*this, HeaderId::to);
}

Result<NameAddr, Fault> Message::contact() const {
  const auto value = get(HeaderId::contact);
  if (!value) return missing(HeaderId::contact);
  std::string_view first;
  scan::List(*value).next(first);
  return of_header(NameAddr::parse(first), HeaderId::contact);
}

std::string_view Message::call_id() const {
  return get(HeaderId::call_id).value_or("");
}
std::string Message::from_tag() const {
  return tag_of(get(HeaderId::from));
}
std::string Message::to_tag() const {
  return tag_of(get(HeaderId::to));
}

std::optional<std::uint32_t> Message::number(HeaderId id) const {
  const auto value = get(id);
  if (!value) return std::nullopt;
  // Retry-After and Session-Expires carry parameters or a comment behind the number.
  const std::string_view digits = value->substr(0, value->find_first_of("; \t("));
  const std::string_view rest = trim(value->substr(digits.size()));
  if (!rest.empty() && rest.front() != ';' && rest.front() != '(') return std::nullopt;
  return parse_number<std::uint32_t>(digits);
}

bool Message::lists(HeaderId id, std::string_view token) const {
  for (const FieldSlot& slot : fields_) {
    if (!matches(slot, id, {})) continue;
    scan::List list(text(slot.value));
    std::string_view item;
    while (list.next(item))
      if (iequals(item, token)) return true;
  }
  return false;
}

}  // namespace isthmus::sip
