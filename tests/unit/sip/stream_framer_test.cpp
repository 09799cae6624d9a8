#include "sip/stream_framer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <vector>

#include "sip/message.hpp"

namespace isthmus::sip {
namespace {

using Kind = StreamFramer::Kind;

std::string message(std::string_view length_header, std::string_view body = {}) {
  std::string text =
      "MESSAGE sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TCP h.example;branch=z9hG4bK1\r\n"
      "From: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: c1\r\n"
      "CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n";
  return text.append(length_header).append("\r\n").append(body);
}

struct Out {
  Kind kind;
  std::string bytes;
  bool operator==(const Out&) const = default;
};

std::vector<Out> drain(StreamFramer& framer) {
  std::vector<Out> out;
  for (auto item = framer.next(); item.kind != Kind::none; item = framer.next()) {
    out.push_back({item.kind, std::string(item.bytes)});
  }
  return out;
}

std::vector<Out> cut(std::string_view stream, std::size_t step) {
  StreamFramer framer;
  std::vector<Out> out;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    framer.feed(stream.substr(at, step));
    for (Out& item : drain(framer)) out.push_back(std::move(item));
  }
  return out;
}

/// The fault that this stream ends with, however it is split.
std::optional<Fault> fault_of(std::string_view stream) {
  std::optional<Fault> found[2];
  for (const std::size_t step : {stream.size(), std::size_t{1}}) {
    StreamFramer framer;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      framer.feed(stream.substr(at, step));
      for (auto item = framer.next(); item.kind != Kind::none; item = framer.next()) {
        if (item.kind == Kind::fault) found[step == 1] = item.fault;
      }
    }
  }
  EXPECT_EQ(found[0].has_value(), found[1].has_value());
  if (found[0] && found[1]) {
    EXPECT_EQ(found[0]->reason(), found[1]->reason());
  }
  return found[0];
}

TEST(StreamFramer, messages_back_to_back_come_out_one_by_one) {
  const std::string first = message("Content-Length: 5\r\n", "hello"), second = message("l: 0\r\n"),
                    third = message("CONTENT-LENGTH : 2 \r\n", "\r\n");
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{4096}}) {
    EXPECT_EQ(
        cut(first + second + third, step),
        (std::vector<Out>{{Kind::message, first}, {Kind::message, second}, {Kind::message, third}}))
        << "reads of " << step;
  }
}

TEST(StreamFramer, seeded_splits_change_nothing) {
  const std::string stream = "\r\n" + message("l:3\r\n", "a\r\n") + "\r\n\r\n" +
                             message("Content-Length:\r\n  4\r\n", "\r\n\r\n") + "\r\n" +
                             message("X: y\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "z");
  const auto expected = cut(stream, stream.size());
  ASSERT_EQ(expected.size(), 7u);
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StreamFramer framer;
    std::vector<Out> out;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t step = 1 + random() % 60;
      framer.feed(std::string_view(stream).substr(at, step));
      at += step;
      if (random() % 2 == 0) continue;  // items may also be fetched late
      for (Out& item : drain(framer)) out.push_back(std::move(item));
    }
    for (Out& item : drain(framer)) out.push_back(std::move(item));
    EXPECT_EQ(out, expected);
  }
}

TEST(StreamFramer, double_crlf_is_a_ping_also_when_split) {
  EXPECT_EQ(cut("\r\n\r\n", 4), (std::vector<Out>{{Kind::line_end, ""}, {Kind::ping, ""}}));
  EXPECT_EQ(cut("\r\n\r\n", 1), (std::vector<Out>{{Kind::line_end, ""}, {Kind::ping, ""}}));
  EXPECT_EQ(cut("\r\n", 2), (std::vector<Out>{{Kind::line_end, ""}}));
}

TEST(StreamFramer, two_pongs_in_a_row_are_no_ping) {
  StreamFramer framer;
  for (int i = 0; i < 2; ++i) {
    framer.expect_pong();
    framer.feed("\r\n");
    EXPECT_EQ(drain(framer), (std::vector<Out>{{Kind::pong, ""}}));
  }
}

TEST(StreamFramer, line_ends_around_a_message_do_not_add_up_across_it) {
  const std::string sound = message("l: 0\r\n");
  EXPECT_EQ(cut("\r\n" + sound + "\r\n", 1),
            (std::vector<Out>{{Kind::line_end, ""}, {Kind::message, sound}, {Kind::line_end, ""}}));
}

TEST(StreamFramer, missing_content_length_is_a_fault_that_can_be_answered) {
  const auto fault = fault_of(message(""));
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->status(), 400);
  EXPECT_EQ(fault->reason(), "Missing Content-Length");
  StreamFramer framer;
  framer.feed(message("") + "rest");
  const auto item = framer.next();
  EXPECT_EQ(item.kind, Kind::fault);
  EXPECT_TRUE(item.bytes.starts_with("MESSAGE sip:a@example.com SIP/2.0\r\nVia:"));
  framer.feed(message("l: 0\r\n"));
  EXPECT_EQ(framer.next().kind, Kind::none) << "the boundaries are lost";
}

TEST(StreamFramer, lengths_that_are_no_number_or_differ_are_faults) {
  for (const char* header :
       {"Content-Length: -1\r\n", "Content-Length: +1\r\n", "l: one\r\n", "l:\r\n", "l: 1 1\r\n",
        "l: 99999999999\r\n", "Content-Length: 1\r\nl: 2\r\n", "l: 1\r\n 1\r\n"}) {
    const auto fault = fault_of(message(header, "ab"));
    ASSERT_TRUE(fault) << header;
    EXPECT_EQ(fault->code, FaultCode::bad_content_length) << header;
  }
}

TEST(StreamFramer, what_begins_like_no_sip_is_a_fault_at_its_first_byte) {
  for (const std::string& stream : {std::string("\x16\x03\x01", 3), std::string("\0\0", 2),
                                    std::string(" INVITE"), std::string("\rI")}) {
    const auto fault = fault_of(stream);
    ASSERT_TRUE(fault) << stream;
    EXPECT_EQ(fault->code, FaultCode::bad_start_line) << stream;
  }
}

TEST(StreamFramer, bounds_hold_before_the_message_is_whole) {
  EXPECT_EQ(fault_of(message("l: 65536\r\n"))->code, FaultCode::too_large);
  EXPECT_EQ(fault_of("INVITE " + std::string(limits::kSipHeaderBytes, 'a'))->code,
            FaultCode::header_too_long);
  std::string endless = "INVITE sip:a@b SIP/2.0\r\n";
  while (endless.size() <= limits::kSipMessageBytes) endless += "X: y\r\n";
  EXPECT_EQ(fault_of(endless)->code, FaultCode::too_large);
  EXPECT_EQ(fault_of(endless)->status(), 513);
}

TEST(StreamFramer, the_largest_message_passes) {
  std::string head = message("Content-Length: 65000\r\n");
  const std::size_t body = limits::kSipMessageBytes - head.size();
  head = message("Content-Length: " + std::to_string(body) + "\r\n");
  const std::string whole = head + std::string(body, 'x');
  ASSERT_EQ(whole.size(), limits::kSipMessageBytes);
  EXPECT_EQ(cut(whole, 1), (std::vector<Out>{{Kind::message, whole}}));
}

/// A thousand header lines and a large body, byte by byte: were each read to begin at the front
/// again, this would take minutes.
TEST(StreamFramer, byte_by_byte_costs_no_more_than_the_bytes) {
  std::string headers;
  for (int i = 0; i < 1000; ++i) headers += "X-Header-" + std::to_string(i) + ": some value\r\n";
  const std::string whole =
      message(headers + "Content-Length: 20000\r\n", std::string(20000, '\n'));
  const auto started = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(cut(whole, 1).size(), 1u);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
}

}  // namespace
}  // namespace isthmus::sip
