#include "sip/message.hpp"

#include <algorithm>
#include <cstring>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

constexpr std::string_view kVersion = "SIP/2.0";

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// SIP/digits.digits (RFC 3261 §25.1 SIP-Version).
bool is_version(std::string_view text) {
  if (text.size() < kVersion.size() || !iequals(text.substr(0, 4), "SIP/")) return false;
  text.remove_prefix(4);
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return false;
  return parse_number<std::uint32_t>(text.substr(0, dot)) &&
         parse_number<std::uint32_t>(text.substr(dot + 1));
}

Fault fault_at(FaultCode code, std::size_t offset, HeaderId header = HeaderId::other) {
  return Fault{code, header, offset};
}

/// Length of a line without its LF or CRLF.
std::size_t content_of(std::string_view line) {
  std::size_t size = line.size();
  if (size > 0 && line[size - 1] == '\n') --size;
  if (size > 0 && line[size - 1] == '\r') --size;
  return size;
}

/// Whether a CR stands anywhere but before a LF.
bool has_lone_cr(std::string_view line) {
  for (std::size_t at = line.find('\r'); at != std::string_view::npos; at = line.find('\r', at + 1))
    if (at + 1 == line.size() || line[at + 1] != '\n') return true;
  return false;
}

/// RFC 3261 §7: lines end in CRLF. A LF alone is read as an end too, but not passed on: others may
/// read on over it, and see other header fields than we did. The body stays as it is.
std::string with_line_ends(std::string_view message, std::size_t begin, std::size_t body) {
  std::string out;
  out.reserve(message.size() + 64);
  for (std::size_t at = begin; at < body; ++at) {
    if (message[at] == '\n' && (out.empty() || out.back() != '\r')) out.push_back('\r');
    out.push_back(message[at]);
  }
  return out.append(message.substr(body));
}

}  // namespace

Result<Message, Fault> Message::parse(std::string bytes) {
  if (bytes.size() > limits::kSipMessageBytes) return fault_at(FaultCode::too_large, 0);
  const std::size_t begin = bytes.find_first_not_of("\r\n");
  if (begin == std::string::npos) return fault_at(FaultCode::empty, 0);
  const std::size_t line_feed = bytes.find('\n', begin);
  if (line_feed == std::string::npos) return fault_at(FaultCode::bad_start_line, begin);

  const auto size = static_cast<std::uint32_t>(bytes.size());
  Message message;
  message.buffer_ = std::move(bytes);
  message.start_line_.begin = static_cast<std::uint32_t>(begin);
  if (const auto fault = message.parse_start_line(static_cast<std::uint32_t>(line_feed + 1)))
    return *fault;
  bool bare_line_feed = message.buffer_[line_feed - 1] != '\r';
  if (const auto fault = message.parse_fields(bare_line_feed)) return *fault;
  if (const auto fault = message.find_body()) return *fault;
  if (bare_line_feed) {
    auto sound = parse(with_line_ends(std::string_view(message.buffer_).substr(0, size),
                                      message.start_line_.begin, message.blank_line_.end));
    if (sound) return sound;
    return fault_at(sound.error().code, std::min<std::size_t>(sound.error().offset, size),
                    sound.error().header);
  }
  message.refresh_method();
  return message;
}

std::optional<Fault> Message::parse_start_line(std::uint32_t end) {
  start_line_.end = end;
  Span line = start_line_;
  line.end = line.begin + static_cast<std::uint32_t>(content_of(text(start_line_)));
  if (text(line).find('\r') != std::string_view::npos ||
      text(line).find('\0') != std::string_view::npos)
    return fault_at(FaultCode::bad_start_line, line.begin);
  // '/' is no token character, so no method begins like this.
  request_ = !iequals(text(line).substr(0, 4), "SIP/");
  return request_ ? parse_request_line(line) : parse_status_line(line);
}

std::optional<Fault> Message::parse_request_line(Span line) {
  while (line.end > line.begin && is_blank(buffer_[line.end - 1])) {
    --line.end;
    start_sound_ = false;
  }
  const std::string_view whole = text(line);
  const std::size_t first = whole.find(' ');
  const std::size_t last = whole.rfind(' ');
  if (first == last || !scan::is_token(whole.substr(0, first)))
    return fault_at(FaultCode::bad_start_line, line.begin);
  const std::string_view version = whole.substr(last + 1);
  if (!is_version(version)) return fault_at(FaultCode::bad_start_line, line.begin + last + 1);
  foreign_version_ = !iequals(version, kVersion);
  method_text_ = {line.begin, line.begin + static_cast<std::uint32_t>(first)};
  uri_or_reason_ = {method_text_.end + 1, line.begin + static_cast<std::uint32_t>(last)};
  method_ = method_from(text(method_text_));
  return std::nullopt;
}

std::optional<Fault> Message::parse_status_line(Span line) {
  const Fault fault = fault_at(FaultCode::bad_start_line, line.begin);
  const std::string_view whole = text(line);
  const std::size_t space = whole.find(' ');
  if (space == std::string_view::npos || !is_version(whole.substr(0, space))) return fault;
  foreign_version_ = !iequals(whole.substr(0, space), kVersion);
  const std::string_view code = whole.substr(space + 1, 3);
  if (code.size() != 3 || !std::all_of(code.begin(), code.end(), is_digit)) return fault;
  status_ = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  if (status_ < 100 || status_ > 699) return fault;
  // An empty reason needs its space by the grammar; many senders leave it out.
  const std::size_t behind = space + 4;
  if (behind < whole.size() && whole[behind] != ' ') return fault;
  const std::size_t reason = std::min(behind + 1, whole.size());
  uri_or_reason_ = {line.begin + static_cast<std::uint32_t>(reason), line.end};
  return std::nullopt;
}

/// @param bare_line_feed  becomes true when a line ends in LF alone
std::optional<Fault> Message::parse_fields(bool& bare_line_feed) {
  fields_.reserve(32);
  // Unfolded values are appended behind the message meanwhile.
  const auto end = static_cast<std::uint32_t>(buffer_.size());
  std::uint32_t begin = start_line_.end;
  for (;;) {
    std::uint32_t line_end = begin;
    bool folded = false;
    do {
      const void* found =
          line_end < end ? std::memchr(buffer_.data() + line_end, '\n', end - line_end) : nullptr;
      if (found == nullptr) return fault_at(FaultCode::no_end_of_headers, begin);
      if (line_end != begin) folded = true;
      line_end = static_cast<std::uint32_t>(static_cast<const char*>(found) - buffer_.data()) + 1;
      if (buffer_[line_end - 2] != '\r') bare_line_feed = true;
      if (content_of(text({begin, line_end})) == 0) {
        blank_line_ = {begin, line_end};
        body_ = {line_end, end};
        return std::nullopt;
      }
    } while (line_end < end && is_blank(buffer_[line_end]));
    if (const auto fault = parse_field(begin, line_end, folded)) return fault;
    begin = line_end;
  }
}

std::optional<Fault> Message::parse_field(std::uint32_t begin, std::uint32_t end, bool folded) {
  if (fields_.size() == limits::kSipHeaders) return fault_at(FaultCode::too_many_headers, begin);
  const std::string_view line = text({begin, end});
  const std::size_t name_size = scan::token_size(line);
  std::size_t colon = name_size;  // HCOLON allows blanks before the colon
  while (colon < line.size() && is_blank(line[colon])) ++colon;
  if (name_size == 0 || colon == line.size() || line[colon] != ':')
    return fault_at(FaultCode::bad_header_line, begin);

  FieldSlot slot;
  slot.id = header_from(line.substr(0, name_size));
  slot.line = {begin, end};
  slot.name_end = begin + static_cast<std::uint32_t>(name_size);
  if (line.size() > limits::kSipHeaderBytes)
    return fault_at(FaultCode::header_too_long, begin, slot.id);

  // A CR that ends no line would be a line end to some receivers: it could hide a header field.
  if (has_lone_cr(line)) return fault_at(FaultCode::bad_header_line, begin, slot.id);

  std::size_t first = colon + 1;
  std::size_t last = content_of(line);
  while (first < last && scan::is_lws(line[first])) ++first;
  while (last > first && scan::is_lws(line[last - 1])) --last;
  slot.value = {begin + static_cast<std::uint32_t>(first),
                begin + static_cast<std::uint32_t>(last)};
  if (folded) slot.value = unfold(slot.value);
  fields_.push_back(slot);
  return std::nullopt;
}

/// Joins folded lines by one space each (RFC 3261 §7.3.1). A value on one line already is left
/// where it is.
Message::Span Message::unfold(Span value) {
  if (text(value).find('\n') == std::string_view::npos) return value;
  const auto begin = static_cast<std::uint32_t>(buffer_.size());
  std::uint32_t at = value.begin;
  while (at < value.end) {
    std::uint32_t line_end = at;
    while (line_end < value.end && buffer_[line_end] != '\n') ++line_end;
    Span line{at, line_end};
    at = line_end + 1;
    if (line.end > line.begin && line_end < value.end && buffer_[line.end - 1] == '\r') --line.end;
    while (line.begin < line.end && is_blank(buffer_[line.begin])) ++line.begin;
    while (line.end > line.begin && is_blank(buffer_[line.end - 1])) --line.end;
    if (line.begin == line.end) continue;
    if (buffer_.size() != begin) buffer_.push_back(' ');
    buffer_.append(buffer_, line.begin, line.end - line.begin);
  }
  return {begin, static_cast<std::uint32_t>(buffer_.size())};
}

/// RFC 3261 §18.3, §20.14.
std::optional<Fault> Message::find_body() {
  std::optional<std::uint32_t> length;
  for (const FieldSlot& slot : fields_) {
    if (slot.id != HeaderId::content_length) continue;
    const auto number = parse_number<std::uint32_t>(text(slot.value));
    if (!number || *number > body_.end - body_.begin || (length && *length != *number))
      return fault_at(FaultCode::bad_content_length, slot.line.begin, slot.id);
    length = number;
  }
  if (length) body_.end = body_.begin + *length;
  return std::nullopt;
}

/// Method of a response: the second part of its CSeq.
void Message::refresh_method() {
  if (request_) return;
  method_text_ = {};
  method_ = Method::unknown;
  const FieldSlot* slot = find(HeaderId::cseq);
  if (slot == nullptr) return;
  const std::string_view value = text(slot->value);
  std::size_t at = 0;
  while (at < value.size() && is_digit(value[at])) ++at;
  while (at < value.size() && scan::is_lws(value[at])) ++at;
  if (at == 0 || !scan::is_token(value.substr(at))) return;
  method_text_ = {slot->value.begin + static_cast<std::uint32_t>(at), slot->value.end};
  method_ = method_from(text(method_text_));
}

std::string_view Message::method_text() const {
  return text(method_text_);
}
std::string_view Message::request_uri() const {
  return request_ ? text(uri_or_reason_) : std::string_view{};
}
std::string_view Message::reason() const {
  return request_ ? std::string_view{} : text(uri_or_reason_);
}

std::size_t Message::field_count() const {
  return fields_.size();
}

Message::Field Message::field(std::size_t index) const {
  if (index >= fields_.size()) return Field{HeaderId::other, {}, {}};
  const FieldSlot& slot = fields_[index];
  return Field{slot.id, name_of(slot), text(slot.value)};
}

const Message::FieldSlot* Message::find(HeaderId id) const {
  if (id == HeaderId::other) return nullptr;
  for (const FieldSlot& slot : fields_)
    if (slot.id == id) return &slot;
  return nullptr;
}

/// `id` and `name` are of one header: an unknown one is found by its text.
bool Message::matches(const FieldSlot& slot, HeaderId id, std::string_view name) const {
  if (slot.id != id) return false;
  return id != HeaderId::other || (!name.empty() && iequals(name_of(slot), name));
}

std::optional<std::string_view> Message::get(HeaderId id) const {
  const FieldSlot* slot = find(id);
  if (slot == nullptr) return std::nullopt;
  return text(slot->value);
}

std::optional<std::string_view> Message::get(std::string_view name) const {
  const HeaderId id = header_from(name);
  for (const FieldSlot& slot : fields_)
    if (matches(slot, id, name)) return text(slot.value);
  return std::nullopt;
}

std::vector<std::string_view> Message::values(HeaderId id) const {
  std::vector<std::string_view> out;
  for (const FieldSlot& slot : fields_) {
    if (!matches(slot, id, {})) continue;
    scan::List list(text(slot.value));
    std::string_view item;
    while (list.next(item)) out.push_back(item);
  }
  return out;
}

std::vector<std::string_view> Message::fields(HeaderId id) const {
  std::vector<std::string_view> out;
  for (const FieldSlot& slot : fields_)
    if (matches(slot, id, {})) out.push_back(text(slot.value));
  return out;
}

std::vector<std::string_view> Message::fields(std::string_view name) const {
  const HeaderId id = header_from(name);
  std::vector<std::string_view> out;
  for (const FieldSlot& slot : fields_)
    if (matches(slot, id, name)) out.push_back(text(slot.value));
  return out;
}

std::string_view Message::body() const {
  return text(body_);
}

std::string Message::content_type() const {
  const auto value = get(HeaderId::content_type);
  if (!value) return {};
  std::string out = to_lower(value->substr(0, value->find(';')));
  std::erase_if(out, scan::is_lws);  // SLASH allows blanks around it
  return out;
}

std::string Message::serialize() const {
  if (!changed_) return std::string(text({start_line_.begin, body_.end}));
  std::string out;
  out.reserve(buffer_.size() + 32);
  const std::string length = std::to_string(body_.end - body_.begin);
  bool has_length = false;
  Span run = start_line_;  // lines that stand side by side are copied at once
  const auto flush = [&] { out.append(buffer_, run.begin, run.end - run.begin); };
  for (const FieldSlot& slot : fields_) {
    if (slot.id == HeaderId::content_length) {
      has_length = true;
      const auto written = parse_number<std::uint32_t>(text(slot.value));
      if (!written || *written != body_.end - body_.begin) {
        flush();
        run = {slot.line.end, slot.line.end};
        out.append(name_of(slot)).append(": ").append(length).append("\r\n");
        continue;
      }
    }
    if (slot.line.begin != run.end) {
      flush();
      run = slot.line;
    }
    run.end = slot.line.end;
  }
  flush();
  if (!has_length) out.append("Content-Length: ").append(length).append("\r\n");
  out.append(text(blank_line_));
  out.append(text(body_));
  return out;
}

}  // namespace isthmus::sip
