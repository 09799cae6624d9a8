#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "sip/message.hpp"
#include "unit/sip/message_samples.hpp"

namespace isthmus::sip {
namespace {

using samples::crlf;
using samples::invite;
using samples::options;
using samples::options_with;

Message parsed(std::string bytes) {
  auto message = Message::parse(std::move(bytes));
  EXPECT_TRUE(message) << message.error().reason();
  return message ? std::move(*message) : Message();
}

FaultCode fault_of(std::string bytes) {
  const auto message = Message::parse(std::move(bytes));
  EXPECT_FALSE(message);
  return message ? FaultCode::empty : message.error().code;
}

TEST(message_parse, request_line_headers_and_body_are_found) {
  const Message message = parsed(invite());
  EXPECT_TRUE(message.is_request());
  EXPECT_FALSE(message.is_response());
  EXPECT_EQ(message.method(), Method::invite);
  EXPECT_EQ(message.method_text(), "INVITE");
  EXPECT_EQ(message.request_uri(), "sip:bob@example.net;user=phone");
  EXPECT_EQ(message.status(), 0);
  EXPECT_EQ(message.reason(), "");
  EXPECT_EQ(message.body(), "v=0\r\n");
  EXPECT_EQ(message.field_count(), 14u);
  EXPECT_FALSE(message.check());
}

TEST(message_parse, names_are_found_in_any_case_and_compact_form) {
  const Message message = parsed(invite());
  EXPECT_EQ(message.get(HeaderId::max_forwards), "70");
  EXPECT_EQ(message.get("MAX-FORWARDS"), "70");
  EXPECT_EQ(message.get(HeaderId::from), "\"Alice, A.\" <sip:alice@example.org;lr>;tag=from-1");
  EXPECT_EQ(message.get("From"), message.get("F"));
  EXPECT_EQ(message.get(HeaderId::to), "Bob <sip:bob@example.net>");
  EXPECT_EQ(message.call_id(), "call-1@192.0.2.1");
  EXPECT_EQ(message.get("x-unknown"), ";;,,;");
  EXPECT_EQ(message.get(HeaderId::subject), "");
  EXPECT_FALSE(message.get(HeaderId::route));
  EXPECT_FALSE(message.get("X-Absent"));
  EXPECT_FALSE(message.get(HeaderId::other));
  EXPECT_EQ(message.field(1).name, "v");
  EXPECT_EQ(message.field(1).id, HeaderId::via);
  EXPECT_EQ(message.field(4).name, "To");
  EXPECT_EQ(message.field(7).id, HeaderId::other);
  EXPECT_EQ(message.field(99).name, "");
}

TEST(message_parse, folded_value_is_joined_by_one_space) {
  const Message message =
      parsed(crlf("OPTIONS sip:b@example.net SIP/2.0\n"
                  "Subject: one  \n"
                  "   \t two\n"
                  " \t \n"
                  "\tthree  four  \n"
                  "X-Late:\n"
                  "  value\n"
                  "X-Empty: \n"
                  "  \n"
                  "\n"));
  EXPECT_EQ(message.get(HeaderId::subject), "one two three  four");
  EXPECT_EQ(message.get("x-late"), "value");
  EXPECT_EQ(message.get("x-empty"), "");
}

TEST(message_parse, a_tag_is_the_parameter_behind_the_address_whatever_stands_in_and_before_it) {
  const std::pair<std::string, std::string> cases[] = {
      {"<sip:bob@example.com>;tag=plain", "plain"},
      {"<sip:bob@example.com> ; TAG = spaced", "spaced"},
      {"sip:bob@example.com;tag=bare", "bare"},
      {"\"a > b;tag=display\" <sip:bob@example.com>;tag=real", "real"},
      {"<sip:bob@example.com;tag=of-the-uri>", ""},
      {"<sip:bob@example.com;tag=of-the-uri>;x=1;tag=behind", "behind"},
      {"<sip:bob@example.com>;x=\"q>;tag=quoted\";tag=behind", "behind"},
      {"<sip:bob@example.com>;tag=first;x=\"q>;tag=quoted\"", "first"},
      {"<sip:bob@example.com>;tag=first;x=\"q\"", "first"},
  };
  for (const auto& [value, tag] : cases) {
    Message message = Message::request("OPTIONS", "sip:bob@example.com");
    message.add(HeaderId::to, value);
    EXPECT_EQ(message.to_tag(), tag) << value;
  }
}

TEST(message_parse, typed_values) {
  const Message message = parsed(invite());
  const auto via = message.top_via();
  ASSERT_TRUE(via);
  EXPECT_EQ(via->host, "192.0.2.1");
  EXPECT_EQ(via->port, 5070);
  EXPECT_EQ(via->branch(), "z9hG4bKa1");
  EXPECT_TRUE(via->params.has("rport"));
  const auto cseq = message.cseq();
  ASSERT_TRUE(cseq);
  EXPECT_EQ(cseq->number, 42u);
  EXPECT_EQ(cseq->method, Method::invite);
  EXPECT_EQ(message.from()->display, "\"Alice, A.\"");
  EXPECT_EQ(message.from_tag(), "from-1");
  EXPECT_EQ(message.to_tag(), "");
  EXPECT_EQ(message.contact()->uri, "sip:alice@192.0.2.1:5070;transport=udp");
  EXPECT_EQ(message.contact()->params.get("expires"), "60");
  EXPECT_EQ(message.number(HeaderId::max_forwards), 70u);
  EXPECT_FALSE(message.number(HeaderId::expires));
  EXPECT_FALSE(message.number(HeaderId::call_id));
  EXPECT_EQ(message.content_type(), "application/sdp");
  EXPECT_TRUE(message.lists(HeaderId::supported, "TIMER"));
  EXPECT_TRUE(message.lists(HeaderId::supported, "replaces"));
  EXPECT_FALSE(message.lists(HeaderId::supported, "outbound"));
  EXPECT_EQ(message.values(HeaderId::via).size(), 3u);
  EXPECT_EQ(message.fields(HeaderId::via).size(), 2u);
  EXPECT_EQ(message.fields("supported").size(), 2u);
}

TEST(message_parse, typed_value_that_is_absent_or_broken_names_its_header) {
  const Message bare = parsed("OPTIONS sip:b@example.net SIP/2.0\r\n\r\n");
  EXPECT_EQ(bare.top_via().error().code, FaultCode::missing_header);
  EXPECT_EQ(bare.top_via().error().header, HeaderId::via);
  EXPECT_EQ(bare.cseq().error().reason(), "Missing CSeq");
  EXPECT_EQ(bare.from().error().reason(), "Missing From");
  EXPECT_EQ(bare.to().error().reason(), "Missing To");
  EXPECT_EQ(bare.contact().error().reason(), "Missing Contact");
  const Message broken = parsed(
      "OPTIONS sip:b@example.net SIP/2.0\r\nVia: x\r\nTo: \"\r\nFrom:\r\nm: <\r\nCSeq: 1\r\n\r\n");
  EXPECT_EQ(broken.top_via().error().reason(), "Malformed Via");
  EXPECT_EQ(broken.to().error().reason(), "Malformed To");
  EXPECT_EQ(broken.from().error().reason(), "Malformed From");
  EXPECT_EQ(broken.contact().error().reason(), "Malformed Contact");
  EXPECT_EQ(broken.cseq().error().reason(), "Malformed CSeq");
}

TEST(message_parse, number_takes_what_stands_before_parameters_and_comments) {
  const Message message = parsed(
      "SIP/2.0 503 x\r\nRetry-After: 120 "
      "(lunch);duration=60\r\nSession-Expires:1800;refresher=uac\r\n"
      "Expires: 99999999999\r\nMin-SE: 90 91\r\nMax-Forwards: -1\r\n\r\n");
  EXPECT_EQ(message.number(HeaderId::retry_after), 120u);
  EXPECT_EQ(message.number(HeaderId::session_expires), 1800u);
  EXPECT_FALSE(message.number(HeaderId::expires));
  EXPECT_FALSE(message.number(HeaderId::min_se));
  EXPECT_FALSE(message.number(HeaderId::max_forwards));
}

TEST(message_parse, response_takes_its_method_from_cseq) {
  const Message message = parsed("SIP/2.0 183 Session Progress\r\nCSeq: 7 INVITE\r\n\r\n");
  EXPECT_TRUE(message.is_response());
  EXPECT_EQ(message.status(), 183);
  EXPECT_EQ(message.reason(), "Session Progress");
  EXPECT_EQ(message.method(), Method::invite);
  EXPECT_EQ(message.method_text(), "INVITE");
  EXPECT_EQ(message.request_uri(), "");
  EXPECT_EQ(parsed("SIP/2.0 200 OK\r\n\r\n").method(), Method::unknown);
  EXPECT_EQ(parsed("SIP/2.0 200 OK\r\nCSeq: 1 FOO\r\n\r\n").method_text(), "FOO");
  EXPECT_EQ(parsed("SIP/2.0 200\r\n\r\n").reason(), "");
  EXPECT_EQ(parsed("SIP/2.0 200 \r\n\r\n").reason(), "");
}

TEST(message_parse, unknown_method_travels_by_its_text) {
  const Message message = parsed("NewMethod sip:b@example.net SIP/2.0\r\n\r\n");
  EXPECT_EQ(message.method(), Method::unknown);
  EXPECT_EQ(message.method_text(), "NewMethod");
  EXPECT_EQ(parsed("invite sip:b@example.net SIP/2.0\r\n\r\n").method(), Method::unknown);
}

TEST(message_parse, unchanged_message_serialises_byte_for_byte) {
  EXPECT_EQ(parsed(invite()).serialize(), invite());
  EXPECT_EQ(parsed(options()).serialize(), options());
  const std::string no_length = "OPTIONS sip:b@example.net SIP/2.0\r\nSubject: x\r\n\r\nrest";
  EXPECT_EQ(parsed(no_length).serialize(), no_length);
}

TEST(message_parse, bare_line_feeds_are_accepted_and_passed_on_as_crlf) {
  const Message message =
      parsed("OPTIONS sip:b@example.net SIP/2.0\nSubject: a\n b\r\nl: 3\n\nok\nsurplus");
  EXPECT_EQ(message.get(HeaderId::subject), "a b");
  EXPECT_EQ(message.body(), "ok\n");
  EXPECT_EQ(message.serialize(),
            "OPTIONS sip:b@example.net SIP/2.0\r\nSubject: a\r\n b\r\nl: 3\r\n\r\nok\n");
}

TEST(message_parse, a_line_feed_alone_cannot_hide_a_header_field_from_others) {
  const Message message =
      parsed("OPTIONS sip:b@example.net SIP/2.0\r\nSubject: a\nX-Hidden: b\r\n\r\n");
  EXPECT_EQ(message.get("X-Hidden"), "b");
  EXPECT_NE(message.serialize().find("\r\nX-Hidden: b\r\n"), std::string::npos);
}

TEST(message_parse, leading_line_ends_are_skipped) {
  EXPECT_EQ(parsed("\r\n\r\n\n" + options()).serialize(), options());
  EXPECT_EQ(fault_of("\r\n\r\n"), FaultCode::empty);
  EXPECT_EQ(fault_of(""), FaultCode::empty);
}

TEST(message_parse, body_is_the_rest_without_content_length) {
  EXPECT_EQ(parsed("MESSAGE sip:b@h SIP/2.0\r\n\r\nhello\r\n").body(), "hello\r\n");
}

TEST(message_parse, surplus_behind_content_length_is_cut) {
  const Message message = parsed(options() + "INVITE sip:x@y SIP/2.0\r\n\r\n");
  EXPECT_EQ(message.body(), "");
  EXPECT_EQ(message.serialize(), options());
}

TEST(message_parse, wrong_content_length_is_a_fault) {
  for (const char* value : {"1", "-1", "", "0x0", "0 0", "+0", "99999999999999999999", "0, 0"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(fault_of(options_with("Length: 0", std::string("Length: ") + value)),
              FaultCode::bad_content_length);
  }
  EXPECT_EQ(parsed(options_with("Length: 0", "Length: 000")).body(), "");
}

TEST(message_parse, content_lengths_must_agree) {
  EXPECT_EQ(fault_of("OPTIONS sip:b@h SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nabc"),
            FaultCode::bad_content_length);
  EXPECT_EQ(parsed("OPTIONS sip:b@h SIP/2.0\r\nl: 2\r\nContent-Length: 2\r\n\r\nabc").body(), "ab");
}

TEST(message_parse, broken_start_lines) {
  for (const char* line : {"INVITE",
                           "INVITE SIP/2.0",
                           "INVITE sip:b@h",
                           "INVITE sip:b@h SIP/2",
                           "INVITE sip:b@h SIP/2.",
                           "INVITE sip:b@h SIP/2.0.0",
                           "INVITE sip:b@h HTTP/1.1",
                           " INVITE sip:b@h SIP/2.0",
                           "IN(VITE sip:b@h SIP/2.0",
                           "INVITE\tsip:b@h\tSIP/2.0",
                           "SIP/2.0",
                           "SIP/2.0 20",
                           "SIP/2.0 2000",
                           "SIP/2.0 20x OK",
                           "SIP/2.0 099 Low",
                           "SIP/2.0 700 High",
                           "SIP/2.0  200 OK",
                           "SIP/x 200 OK",
                           "SIP/2.0 4294967301 better not break the receiver",
                           "INVITE sip:b@h\rX SIP/2.0"}) {
    SCOPED_TRACE(line);
    EXPECT_EQ(fault_of(std::string(line) + "\r\n\r\n"), FaultCode::bad_start_line);
  }
  EXPECT_EQ(fault_of("no line end at all"), FaultCode::bad_start_line);
}

TEST(message_parse, broken_header_lines) {
  for (const char* line : {"no colon", ": no name", " folds: nothing", "two words: x", "B\x01: x",
                           "Gro\xc3\xb6\xc3\x9f: x", "X: a\rEvil: b", "X: a\r\n b\rEvil: c",
                           // Right behind the colon and right before the line end, too: another
                           // parser took the rest of the line for a header field of its own.
                           "X:\rEvil: b", "X: a\r\r"}) {
    SCOPED_TRACE(line);
    EXPECT_EQ(fault_of(std::string("OPTIONS sip:b@h SIP/2.0\r\n") + line + "\r\n\r\n"),
              FaultCode::bad_header_line);
  }
}

TEST(message_parse, end_of_headers_must_come) {
  EXPECT_EQ(fault_of("OPTIONS sip:b@h SIP/2.0\r\n"), FaultCode::no_end_of_headers);
  EXPECT_EQ(fault_of("OPTIONS sip:b@h SIP/2.0\r\nTo: x\r\n"), FaultCode::no_end_of_headers);
  EXPECT_EQ(fault_of("OPTIONS sip:b@h SIP/2.0\r\nTo: x"), FaultCode::no_end_of_headers);
}

TEST(message_parse, fault_offset_points_at_the_line) {
  const std::string text = "\r\nOPTIONS sip:b@h SIP/2.0\r\nTo: x\r\nbroken\r\n\r\n";
  const auto message = Message::parse(text);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().offset, text.find("broken"));
}

TEST(message_parse, limits_hold) {
  const std::string start = "OPTIONS sip:b@h SIP/2.0\r\n";
  EXPECT_EQ(fault_of(std::string(limits::kSipMessageBytes + 1, 'x')), FaultCode::too_large);

  std::string many = start;
  for (std::size_t i = 0; i < limits::kSipHeaders; ++i) many += "X: y\r\n";
  EXPECT_EQ(parsed(many + "\r\n").field_count(), limits::kSipHeaders);
  EXPECT_EQ(fault_of(many + "X: y\r\n\r\n"), FaultCode::too_many_headers);

  const std::string filler(limits::kSipHeaderBytes - 5, 'y');  // "X: " and CRLF are the other five
  EXPECT_EQ(parsed(start + "X: " + filler + "\r\n\r\n").get("X"), filler);
  const auto longer = Message::parse(start + "To: " + filler + "\r\n\r\n");
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, FaultCode::header_too_long);
  EXPECT_EQ(longer.error().status(), 513);
  EXPECT_EQ(longer.error().reason(), "Too Long To");
}

TEST(message_parse, every_prefix_of_a_message_is_survived) {
  const std::string text = invite();
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto message = Message::parse(text.substr(0, size));
    EXPECT_FALSE(message) << size;  // it ends before its Content-Length does
  }
}

TEST(message_parse, copies_and_moves_keep_their_text) {
  Message original = parsed(invite());
  Message copy = original;
  copy.set(HeaderId::subject, "changed");
  EXPECT_EQ(original.serialize(), invite());
  const Message moved = std::move(original);
  EXPECT_EQ(moved.serialize(), invite());
  EXPECT_EQ(moved.call_id(), "call-1@192.0.2.1");
  EXPECT_EQ(copy.get(HeaderId::subject), "changed");
}

}  // namespace
}  // namespace isthmus::sip
