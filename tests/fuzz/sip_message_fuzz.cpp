// Parse, judge, read everything, edit, write, read again. What must hold whatever comes in:
// - an unchanged message goes out as the bytes that came in (leading line ends and surplus cut);
// - what goes out reads back as the same fields, and goes out the same again;
// - a message that check() calls sound has its typed values.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sip/broken_response.hpp"
#include "sip/message.hpp"

using namespace isthmus::sip;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_everything(const Message& message) {
  for (int i = 0; i <= static_cast<int>(HeaderId::www_authenticate); ++i) {
    const auto id = static_cast<HeaderId>(i);
    const auto fields = message.fields(id);
    require(message.has(id) == (!fields.empty() && id != HeaderId::other));
    for (const auto value : message.values(id)) require(!value.empty());
    (void)message.number(id);
    (void)message.lists(id, "timer");
  }
  for (std::size_t i = 0; i < message.field_count(); ++i) {
    const auto field = message.field(i);
    require(field.value.find_first_of("\r\n") == std::string_view::npos);
    require(message.get(field.name).has_value());
    require(!message.fields(field.name).empty());
  }
  (void)message.from();
  (void)message.to();
  (void)message.contact();
  (void)message.from_tag();
  (void)message.to_tag();
  (void)message.call_id();
  (void)message.content_type();
  (void)message.reason();
  require(message.is_request() != message.is_response());
  require(message.is_request() == (message.status() == 0));
}

void require_sound(const Message& message) {
  require(message.top_via() && message.cseq() && message.from() && message.to());
  require(!message.call_id().empty());
  for (const auto via : message.values(HeaderId::via)) require(Via::parse(via).has_value());
  if (message.is_request()) {
    require(Uri::parse(message.request_uri()).has_value());
    require(message.cseq()->method_text == message.method_text());
    require(message.method() == method_from(message.method_text()));
  }
  const Message response = Message::response_to(message, 200, {}, "t");
  require(!response.check());
  require(!response.to_tag().empty() || message.to()->tag().has_value());
}

void require_same(const Message& a, const Message& b) {
  require(a.field_count() <= b.field_count() && b.field_count() <= a.field_count() + 1);
  for (std::size_t i = 0; i < a.field_count(); ++i) {
    require(a.field(i).name == b.field(i).name);
    require(a.field(i).id == b.field(i).id);
    if (a.field(i).id != HeaderId::content_length) require(a.field(i).value == b.field(i).value);
  }
  require(a.body() == b.body());
  require(a.method_text() == b.method_text() && a.status() == b.status());
  require(a.request_uri() == b.request_uri());
}

void edit(Message& message, std::uint8_t step, std::string_view text) {
  const auto id = static_cast<HeaderId>(step % (static_cast<int>(HeaderId::www_authenticate) + 1));
  // Content-Length is the message's own business: see set_body().
  if (id == HeaderId::content_length) return message.set_body(text, "text/plain");
  switch (step % 11) {
    case 0:
      return message.set(id, text);
    case 1:
      return message.add(id, text);
    case 2:
      return message.prepend(id, text);
    case 3:
      return message.remove(id);
    case 4:
      return message.remove_first_value(id);
    case 5:
      return message.set_first_value(id, text);
    case 6:
      if (message.field(step).id == HeaderId::content_length) return;
      return message.set_field(step, text);
    case 7:
      return message.set("X-Fuzz", text);
    case 8:
      return message.add(message.field(step % 5).name, text);
    case 9:
      return message.set_request_uri(text.empty() ? "sip:x" : text);
    default:
      return message.set_status(200 + step, text);
  }
}

std::string without_cr(std::string text) {
  std::erase(text, '\r');
  return text;
}

/// What is made of a response that cannot be read is sound, and reads back.
void require_mended(const std::string& bytes) {
  static const std::string kRequest =
      "INVITE sip:b@example.org SIP/2.0\r\nVia: SIP/2.0/UDP a.invalid;branch=z9hG4bKf\r\n"
      "From: <sip:a@example.org>;tag=1\r\nTo: <sip:b@example.org>\r\nCall-ID: c\r\n"
      "CSeq: 1 INVITE\r\n\r\n";
  auto left = salvage_response(bytes);
  if (!left) return;
  const auto request = Message::parse(kRequest);
  if (!mend_response(*left, &*request)) return;
  require(!left->check() && left->body().empty() && left->is_response());
  const auto again = Message::parse(left->serialize());
  require(again ? !again->check() : again.error().status() == 513);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  require_mended(bytes);
  auto message = Message::parse(bytes);
  if (!message) {
    require(message.error().offset <= size && !message.error().reason().empty());
    return 0;
  }
  // As it came, but for line ends of LF alone, which have become CRLF.
  std::string wire = message->serialize();
  require(without_cr(bytes.substr(bytes.find_first_not_of("\r\n"))).starts_with(without_cr(wire)));
  read_everything(*message);
  if (!message->check()) require_sound(*message);
  auto again = Message::parse(wire);
  require(again.has_value());
  require_same(*message, *again);

  for (std::size_t i = 0; i < size && i < 16; ++i)
    edit(*message, data[size - 1 - i], std::string_view(bytes).substr(i * size / 16, i * 3));
  read_everything(*message);
  (void)message->check();
  wire = message->serialize();
  again = Message::parse(wire);
  // Only a bound may keep an edited message from being read back: fields were added, and long ones.
  if (!again) {
    require(again.error().status() == 513);
    return 0;
  }
  require_same(*message, *again);
  require(again->serialize() == wire);
  return 0;
}
