#include <gtest/gtest.h>

#include "sip/message.hpp"
#include "unit/sip/message_samples.hpp"

namespace isthmus::sip {
namespace {

using samples::invite;
using samples::options;

Message parsed(std::string_view bytes) {
  auto message = Message::parse(std::string(bytes));
  EXPECT_TRUE(message) << message.error().reason();
  return message ? std::move(*message) : Message();
}

/// What goes out when `text` comes in and one stretch of it is replaced.
std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

TEST(message_edit, only_the_edited_line_is_written_anew) {
  Message message = parsed(invite());
  message.set(HeaderId::max_forwards, "69");
  EXPECT_EQ(message.serialize(), replaced(invite(), "mAx-fOrWards: 70", "mAx-fOrWards: 69"));
}

TEST(message_edit, edited_folded_field_becomes_one_line) {
  Message message = parsed(invite());
  message.set(HeaderId::cseq, "43 INVITE");
  EXPECT_EQ(message.serialize(), replaced(invite(), "CSeq: 0042\r\n\t INVITE", "CSeq: 43 INVITE"));
}

TEST(message_edit, set_replaces_the_first_and_removes_the_others) {
  Message message = parsed(invite());
  message.set(HeaderId::via, "SIP/2.0/UDP h");
  std::string expected = replaced(invite(), "v: SIP / 2.0 / TLS proxy.example.org\r\n", "");
  expected = replaced(expected,
                      "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa1;rport, SIP/2.0/TCP "
                      "[2001:db8::7];branch=z9",
                      "SIP/2.0/UDP h");
  EXPECT_EQ(message.serialize(), expected);
}

TEST(message_edit, set_by_text_reaches_known_and_unknown_headers) {
  Message message = parsed(invite());
  message.set("x-UNKNOWN", "now known");
  message.set("supported", "timer");
  EXPECT_EQ(message.field(7).name, "X-Unknown");
  EXPECT_EQ(message.get("X-Unknown"), "now known");
  EXPECT_EQ(message.fields(HeaderId::supported).size(), 1u);
  message.set("X-New", "1");
  EXPECT_EQ(message.field(message.field_count() - 1).name, "X-New");
}

TEST(message_edit, added_fields_come_last_in_order) {
  Message message = parsed(options());
  message.add(HeaderId::user_agent, "u");
  message.add("X-Two", "2");
  message.set(HeaderId::subject, "s");
  EXPECT_EQ(message.serialize(),
            replaced(options(), "Length: 0\r\n",
                     "Length: 0\r\nUser-Agent: u\r\nX-Two: 2\r\nSubject: s\r\n"));
}

TEST(message_edit, prepend_goes_before_the_first_of_its_name_or_before_all) {
  Message message = parsed(options());
  message.prepend(HeaderId::via, "SIP/2.0/UDP mine;branch=z9hG4bKb");
  message.prepend(HeaderId::call_id, "c0");
  message.prepend(HeaderId::route, "<sip:r;lr>");
  std::string expected = replaced(
      options(), "Via: ", "Route: <sip:r;lr>\r\nVia: SIP/2.0/UDP mine;branch=z9hG4bKb\r\nVia: ");
  EXPECT_EQ(message.serialize(), replaced(expected, "Call-ID: ", "Call-ID: c0\r\nCall-ID: "));
  EXPECT_EQ(message.top_via()->host, "mine");
}

TEST(message_edit, via_of_a_forwarded_response_is_taken_off) {
  Message message = parsed(invite());
  message.remove_first_value(HeaderId::via);
  EXPECT_EQ(message.serialize(),
            replaced(invite(), "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa1;rport, ", ""));
  message.remove_first_value(HeaderId::via);
  EXPECT_EQ(message.top_via()->host, "proxy.example.org");
  EXPECT_EQ(message.fields(HeaderId::via).size(), 1u);
  message.remove_first_value(HeaderId::via);
  EXPECT_FALSE(message.has(HeaderId::via));
  message.remove_first_value(HeaderId::via);
  EXPECT_EQ(message.field_count(), 12u);
}

TEST(message_edit, first_value_is_replaced_and_the_rest_kept) {
  Message message = parsed(invite());
  message.set_first_value(HeaderId::via, "SIP/2.0/UDP 192.0.2.1;received=198.51.100.9");
  EXPECT_EQ(message.serialize(), replaced(invite(), "192.0.2.1:5070;branch=z9hG4bKa1;rport",
                                          "192.0.2.1;received=198.51.100.9"));
  message.set_first_value(HeaderId::route, "<sip:new>");
  EXPECT_EQ(message.get(HeaderId::route), "<sip:new>");
  message.set(HeaderId::allow, "");
  message.set_first_value(HeaderId::allow, "ACK");
  EXPECT_EQ(message.get(HeaderId::allow), "ACK");
}

TEST(message_edit, set_field_keeps_the_name_as_written) {
  Message message = parsed(invite());
  message.set_field(3, "<sip:anonymous@anonymous.invalid>;tag=x");
  EXPECT_EQ(message.field(3).name, "f");
  EXPECT_EQ(message.from_tag(), "x");
  message.set_field(99, "nothing there");
  EXPECT_EQ(message.field_count(), 14u);
}

TEST(message_edit, removed_headers_are_gone_and_others_stay) {
  Message message = parsed(invite());
  message.remove(HeaderId::supported);
  message.remove("x-unknown");
  message.remove("X-Absent");
  message.remove(HeaderId::other);
  std::string expected = replaced(invite(), "Supported: 100rel, timer\r\nk: replaces\r\n", "");
  EXPECT_EQ(message.serialize(), replaced(expected, "X-Unknown:;;,,;\r\n", ""));
}

TEST(message_edit, removing_what_is_absent_changes_nothing) {
  Message message = parsed("OPTIONS sip:b@h SIP/2.0\r\n\r\n");
  message.remove(HeaderId::route);
  message.remove("X-Absent");
  message.remove_first_value(HeaderId::via);
  EXPECT_EQ(message.serialize(), "OPTIONS sip:b@h SIP/2.0\r\n\r\n");
}

TEST(message_edit, request_uri_and_status) {
  Message request = parsed(options());
  request.set_request_uri("sip:c@example.com;transport=tcp");
  EXPECT_EQ(request.request_uri(), "sip:c@example.com;transport=tcp");
  EXPECT_EQ(request.method(), Method::options);
  EXPECT_EQ(request.serialize(),
            replaced(options(), "sip:b@example.net SIP", "sip:c@example.com;transport=tcp SIP"));
  request.set_status(200, "OK");
  EXPECT_TRUE(request.is_request());
  Message response = parsed("SIP/2.0 180 Ringing\r\nl:0\r\n\r\n");
  response.set_status(183, "");
  EXPECT_EQ(response.reason(), "Session Progress");
  response.set_request_uri("sip:x");
  EXPECT_EQ(response.serialize(), "SIP/2.0 183 Session Progress\r\nl:0\r\n\r\n");
  response.set_status(486, "Not now");
  EXPECT_EQ(response.serialize(), "SIP/2.0 486 Not now\r\nl:0\r\n\r\n");
}

TEST(message_edit, method_of_a_response_follows_its_cseq) {
  Message message = parsed("SIP/2.0 200 OK\r\n\r\n");
  message.add(HeaderId::cseq, "1 BYE");
  EXPECT_EQ(message.method(), Method::bye);
  message.set(HeaderId::cseq, "2 INVITE");
  EXPECT_EQ(message.method_text(), "INVITE");
  message.set_field(0, "3 FOO");
  EXPECT_EQ(message.method_text(), "FOO");
  message.remove("cseq");
  EXPECT_EQ(message.method(), Method::unknown);
  EXPECT_EQ(message.method_text(), "");
}

TEST(message_edit, content_length_follows_the_body) {
  Message message = parsed(invite());
  message.set_body("twelve bytes", "text/plain");
  EXPECT_EQ(message.get(HeaderId::content_length), "12");
  EXPECT_EQ(message.content_type(), "text/plain");
  std::string expected = replaced(invite(), "l: 5", "l: 12");
  expected = replaced(expected, "c: application/sdp;charset=utf-8", "c: text/plain");
  EXPECT_EQ(message.serialize(), replaced(expected, "v=0\r\n", "twelve bytes"));
  message.set_body({});
  EXPECT_FALSE(message.has(HeaderId::content_type));
  EXPECT_EQ(message.get(HeaderId::content_length), "0");
  EXPECT_EQ(message.body(), "");
}

TEST(message_edit, body_keeps_its_type_when_none_is_given) {
  Message message = parsed(invite());
  message.set_body("v=1\r\n");
  EXPECT_EQ(message.content_type(), "application/sdp");
}

TEST(message_edit, missing_content_length_is_added_behind_all_headers_of_a_changed_message) {
  Message message = parsed("MESSAGE sip:b@h SIP/2.0\r\nTo: b\r\n\r\nhello");
  message.add("X-One", "1");
  EXPECT_EQ(message.serialize(),
            "MESSAGE sip:b@h SIP/2.0\r\nTo: b\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello");
}

TEST(message_edit, wrong_content_length_of_our_own_is_corrected) {
  Message message = parsed(options());
  message.set(HeaderId::content_length, "77");
  EXPECT_EQ(message.serialize(), options());
  message.set(HeaderId::content_length, "many");
  EXPECT_EQ(message.serialize(), options());
}

TEST(message_edit, no_value_can_add_a_header_field) {
  Message message = parsed(options());
  message.set(HeaderId::subject, "a\r\nEvil: 1");
  message.add("X-A", "b\nEvil: 2\r\n\r\n");
  message.set_request_uri("sip:x SIP/2.0\r\nEvil:\t3");
  message.add("Evil Name\r\n", "4");
  message.set("", "5");
  const Message again = parsed(message.serialize());
  EXPECT_FALSE(again.has(HeaderId::other));
  EXPECT_FALSE(again.get("Evil"));
  EXPECT_EQ(again.get(HeaderId::subject), "a  Evil: 1");
  EXPECT_EQ(again.request_uri(), "sip:x%20SIP/2.0%0D%0AEvil:%093");
  const Message response = Message::response(200, std::string_view("x\r\nEvil: 1\0", 11));
  EXPECT_FALSE(parsed(response.serialize()).get("Evil"));
}

TEST(message_edit, arguments_may_be_views_into_the_message) {
  Message message = parsed(invite());
  for (int i = 0; i < 40; ++i) {  // far enough for the buffer to grow more than once
    message.prepend(HeaderId::via, *message.get(HeaderId::via));
    message.set_first_value(HeaderId::subject, *message.get(HeaderId::to));
    message.add(HeaderId::history_info, *message.get(HeaderId::from));
    message.add(message.field(message.field_count() - 1).name, message.body());
    message.set(message.field(message.field_count() - 1).name, *message.get(HeaderId::from));
    message.set_request_uri(message.request_uri());
    message.set_body(message.body(), *message.get(HeaderId::content_type));
  }
  EXPECT_EQ(message.request_uri(), "sip:bob@example.net;user=phone");
  EXPECT_EQ(message.body(), "v=0\r\n");
  EXPECT_EQ(message.values(HeaderId::via).size(), 3u + 40u * 2u);
  EXPECT_EQ(message.fields(HeaderId::history_info).size(), 1u);
  EXPECT_EQ(message.get("history-info"), message.get(HeaderId::from));
  EXPECT_EQ(message.get(HeaderId::subject), message.get(HeaderId::to));
  EXPECT_EQ(parsed(message.serialize()).serialize(), message.serialize());
}

TEST(message_edit, request_of_our_own) {
  Message message = Message::request("OPTIONS", "sip:b@example.net");
  message.add(HeaderId::via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa");
  message.add(HeaderId::max_forwards, "70");
  message.add(HeaderId::from, "<sip:a@example.org>;tag=1");
  message.add(HeaderId::to, "<sip:b@example.net>");
  message.add(HeaderId::call_id, "c1");
  message.add(HeaderId::cseq, "1 OPTIONS");
  EXPECT_EQ(message.method(), Method::options);
  EXPECT_EQ(message.serialize(), options());
  EXPECT_FALSE(message.check());
}

TEST(message_edit, response_of_our_own) {
  EXPECT_EQ(Message::response(486).serialize(),
            "SIP/2.0 486 Busy Here\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Message::response(299, "Fine").serialize(),
            "SIP/2.0 299 Fine\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Message::response(299).reason(), "Unknown");
}

TEST(message_edit, response_to_a_request_copies_what_identifies_it) {
  const Message request = parsed(invite());
  const Message response = Message::response_to(request, 180, {}, "to-9");
  EXPECT_EQ(response.serialize(),
            samples::crlf("SIP/2.0 180 Ringing\n"
                          "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa1;rport, SIP/2.0/TCP "
                          "[2001:db8::7];branch=z9\n"
                          "Via: SIP / 2.0 / TLS proxy.example.org\n"
                          "From: \"Alice, A.\" <sip:alice@example.org;lr>;tag=from-1\n"
                          "To: Bob <sip:bob@example.net>;tag=to-9\n"
                          "Call-ID: call-1@192.0.2.1\n"
                          "CSeq: 0042 INVITE\n"
                          "Content-Length: 0\n"
                          "\n"));
  EXPECT_EQ(response.method(), Method::invite);
  EXPECT_FALSE(response.check());
}

TEST(message_edit, response_keeps_a_to_tag_that_is_there) {
  Message request = parsed(options());
  request.set(HeaderId::to, "<sip:b@example.net>;TAG=theirs");
  EXPECT_EQ(Message::response_to(request, 200, "Yes", "ours").to_tag(), "theirs");
  request.set(HeaderId::to, "sip:b@example.net");
  EXPECT_EQ(Message::response_to(request, 200, "Yes", "ours").to_tag(), "ours");
  EXPECT_EQ(Message::response_to(request, 100, {}, {}).get(HeaderId::to), "sip:b@example.net");
}

TEST(message_edit, only_100_carries_the_timestamp) {
  Message request = parsed(options());
  request.add("Timestamp", "54.21");
  EXPECT_EQ(Message::response_to(request, 100).get("timestamp"), "54.21");
  EXPECT_FALSE(Message::response_to(request, 200).get("timestamp"));
}

}  // namespace
}  // namespace isthmus::sip
