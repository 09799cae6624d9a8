// Edits of a message: new lines are appended to its buffer and its table points at them.
#include <algorithm>
#include <functional>

#include "base/text.hpp"
#include "sip/message.hpp"
#include "sip/scan.hpp"

namespace isthmus::sip {
namespace {

/// A line end inside a value would begin a header field of the sender's choice.
void blank_line_ends(std::string& text, std::size_t from) {
  for (std::size_t i = from; i < text.size(); ++i)
    if (text[i] == '\r' || text[i] == '\n') text[i] = ' ';
}

void append_uri(std::string& out, std::string_view uri) {
  for (const char c : uri) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte != 0x7f) {
      out += c;
    } else {
      append_percent_encoded(out, c);
    }
  }
}

}  // namespace

/// A view that survives growth of buffer_: the same, or a copy in `storage` if it pointed inside.
std::string_view Message::keep(std::string_view view, std::string& storage) const {
  const std::less<> before;
  const char* begin = buffer_.data();
  const char* end = begin + buffer_.size();
  if (before(view.data(), begin) || before(end, view.data())) return view;
  storage = view;
  return storage;
}

Message::FieldSlot Message::write_line(HeaderId id, std::string_view name, std::string_view value) {
  std::string name_storage, value_storage;
  name = keep(name, name_storage);
  value = keep(scan::trim_lws(value), value_storage);
  FieldSlot slot;
  slot.id = id;
  slot.line.begin = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(name);
  slot.name_end = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(": ");
  slot.value.begin = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(value);
  blank_line_ends(buffer_, slot.value.begin);
  slot.value.end = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append("\r\n");
  slot.line.end = static_cast<std::uint32_t>(buffer_.size());
  changed_ = true;
  return slot;
}

void Message::rewrite(std::size_t index, std::string_view value) {
  fields_[index] = write_line(fields_[index].id, name_of(fields_[index]), value);
  if (fields_[index].id == HeaderId::cseq) refresh_method();
}

void Message::write_request_line(std::string_view method, std::string_view uri) {
  std::string method_storage, uri_storage;
  method = keep(method, method_storage);
  uri = keep(uri, uri_storage);
  start_line_.begin = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(method);
  method_text_ = {start_line_.begin, static_cast<std::uint32_t>(buffer_.size())};
  buffer_.append(" ");
  uri_or_reason_.begin = static_cast<std::uint32_t>(buffer_.size());
  append_uri(buffer_, uri);
  uri_or_reason_.end = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(" SIP/2.0\r\n");
  start_line_.end = static_cast<std::uint32_t>(buffer_.size());
  start_sound_ = true;
  foreign_version_ = false;
  changed_ = true;
}

void Message::write_status_line(int status, std::string_view reason) {
  std::string storage;
  reason = keep(reason, storage);
  if (reason.empty()) reason = reason_phrase(status);
  status_ = std::clamp(status, 100, 699);
  start_line_.begin = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append("SIP/2.0 ").append(std::to_string(status_)).append(" ");
  uri_or_reason_.begin = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(reason);
  blank_line_ends(buffer_, uri_or_reason_.begin);
  std::replace(buffer_.begin() + uri_or_reason_.begin, buffer_.end(), '\0', ' ');
  uri_or_reason_.end = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append("\r\n");
  start_line_.end = static_cast<std::uint32_t>(buffer_.size());
  foreign_version_ = false;
  changed_ = true;
}

Message Message::request(std::string_view method, std::string_view uri) {
  Message out;
  out.buffer_.reserve(1024);
  out.buffer_ = "\r\n";
  out.blank_line_ = {0, 2};
  out.method_ = method_from(method);
  out.write_request_line(method, uri);
  return out;
}

Message Message::response(int status, std::string_view reason) {
  Message out;
  out.buffer_.reserve(1024);
  out.buffer_ = "\r\n";
  out.blank_line_ = {0, 2};
  out.request_ = false;
  out.write_status_line(status, reason);
  return out;
}

Message Message::response_to(const Message& request, int status, std::string_view reason,
                             std::string_view to_tag) {
  Message out = response(status, reason);
  for (const std::string_view via : request.fields(HeaderId::via)) out.add(HeaderId::via, via);
  if (const auto from = request.get(HeaderId::from)) out.add(HeaderId::from, *from);
  if (const auto to = request.get(HeaderId::to)) {
    const auto address = scan::name_addr(*to);
    if (to_tag.empty() || !address || scan::find_param(address->params, "tag")) {
      out.add(HeaderId::to, *to);
    } else {
      out.add(HeaderId::to, std::string(*to).append(";tag=").append(to_tag));
    }
  }
  if (const auto call_id = request.get(HeaderId::call_id)) out.add(HeaderId::call_id, *call_id);
  if (const auto cseq = request.get(HeaderId::cseq)) out.add(HeaderId::cseq, *cseq);
  if (status == 100) {
    // §8.2.6.1; the delay that we could add to it is below what the header is good for.
    if (const auto stamp = request.get("Timestamp")) out.add("Timestamp", *stamp);
  }
  return out;
}

void Message::set_request_uri(std::string_view uri) {
  if (request_) write_request_line(text(method_text_), uri);
}

void Message::set_status(int status, std::string_view reason) {
  if (!request_) write_status_line(status, reason);
}

void Message::set_first(HeaderId id, std::string_view name, std::string_view value) {
  std::size_t first = 0;
  while (first < fields_.size() && !matches(fields_[first], id, name)) ++first;
  if (first == fields_.size()) {
    fields_.push_back(write_line(id, name, value));
  } else {
    // The others go before the line is written: `name` may be a view that writing moves.
    const auto others = fields_.begin() + static_cast<std::ptrdiff_t>(first) + 1;
    fields_.erase(std::remove_if(others, fields_.end(),
                                 [&](const FieldSlot& slot) { return matches(slot, id, name); }),
                  fields_.end());
    rewrite(first, value);
  }
  if (id == HeaderId::cseq) refresh_method();
}

void Message::set(HeaderId id, std::string_view value) {
  if (id != HeaderId::other) set_first(id, to_text(id), value);
}
void Message::set(std::string_view name, std::string_view value) {
  if (scan::is_token(name)) set_first(header_from(name), name, value);
}

void Message::add(HeaderId id, std::string_view value) {
  if (id != HeaderId::other) add(to_text(id), value);
}
void Message::add(std::string_view name, std::string_view value) {
  if (!scan::is_token(name)) return;
  const HeaderId id = header_from(name);
  fields_.push_back(write_line(id, name, value));
  if (id == HeaderId::cseq) refresh_method();
}

void Message::prepend(HeaderId id, std::string_view value) {
  if (id == HeaderId::other) return;
  const FieldSlot* first = find(id);
  const std::ptrdiff_t index = first == nullptr ? 0 : first - fields_.data();
  const FieldSlot slot = write_line(id, to_text(id), value);
  fields_.insert(fields_.begin() + index, slot);
  if (id == HeaderId::cseq) refresh_method();
}

void Message::set_field(std::size_t index, std::string_view value) {
  if (index < fields_.size()) rewrite(index, value);
}

void Message::remove_all(HeaderId id, std::string_view name) {
  const std::size_t gone =
      std::erase_if(fields_, [&](const FieldSlot& slot) { return matches(slot, id, name); });
  if (gone == 0) return;
  changed_ = true;
  if (id == HeaderId::cseq) refresh_method();
}

void Message::remove(HeaderId id) {
  remove_all(id, {});
}
void Message::remove(std::string_view name) {
  remove_all(header_from(name), name);
}

void Message::remove_first_value(HeaderId id) {
  const FieldSlot* slot = find(id);
  if (slot == nullptr) return;
  const std::ptrdiff_t index = slot - fields_.data();
  const std::string_view value = text(slot->value);
  scan::List list(value);
  std::string_view item;
  if (list.next(item) && list.next(item)) {
    rewrite(static_cast<std::size_t>(index),
            value.substr(static_cast<std::size_t>(item.data() - value.data())));
    return;
  }
  fields_.erase(fields_.begin() + index);
  changed_ = true;
  if (id == HeaderId::cseq) refresh_method();
}

void Message::set_first_value(HeaderId id, std::string_view value) {
  const FieldSlot* slot = find(id);
  if (slot == nullptr) {
    add(id, value);
    return;
  }
  const std::string_view whole = text(slot->value);
  scan::List list(whole);
  std::string_view first;
  std::string edited(value);
  if (list.next(first))
    edited.append(
        whole.substr(static_cast<std::size_t>(first.data() - whole.data()) + first.size()));
  rewrite(static_cast<std::size_t>(slot - fields_.data()), edited);
}

void Message::set_body(std::string_view body, std::string_view content_type) {
  std::string body_storage, type_storage;
  body = keep(body, body_storage);
  content_type = keep(content_type, type_storage);
  body_.begin = static_cast<std::uint32_t>(buffer_.size());
  buffer_.append(body);
  body_.end = static_cast<std::uint32_t>(buffer_.size());
  changed_ = true;
  const bool empty = body.empty();
  for (std::size_t i = 0; i < fields_.size(); ++i)
    if (fields_[i].id == HeaderId::content_length)
      rewrite(i, std::to_string(body_.end - body_.begin));
  if (empty) {
    remove(HeaderId::content_type);
  } else if (!content_type.empty()) {
    set(HeaderId::content_type, content_type);
  }
}

}  // namespace isthmus::sip
