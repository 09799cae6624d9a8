#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "sdp/session_description.hpp"
#include "unit/sdp/samples.hpp"

namespace isthmus::sdp {
namespace {

const std::string kHead = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";
const std::string kHeadC = kHead + "c=IN IP4 192.0.2.1\r\nt=0 0\r\n";  // five lines

struct Case {
  const char* what;
  std::string text;
  FaultCode code;
  std::size_t line;
  char type;
};

TEST(SdpFault, names_the_line_and_its_type) {
  const Case cases[] = {
      {"empty", "", FaultCode::wrong_first_line, 1, 0},
      {"blank", "\r\n\r\n", FaultCode::wrong_first_line, 1, 0},
      {"other first line", "o=- 1 1 IN IP4 192.0.2.1\r\n", FaultCode::wrong_first_line, 1, 'o'},
      {"version 1", "v=1\r\n", FaultCode::wrong_first_line, 1, 'v'},
      {"no equals sign", kHead + "bogus\r\n", FaultCode::not_a_line, 4, 0},
      {"space before equals", kHead + "m =audio 4 RTP/AVP 0\r\n", FaultCode::not_a_line, 4, 0},
      {"one character", kHead + "a", FaultCode::not_a_line, 4, 0},
      {"digit type", kHead + "1=x\r\n", FaultCode::not_a_line, 4, 0},
      {"blank line inside", kHead + "\r\nt=0 0\r\n", FaultCode::not_a_line, 4, 0},
      {"blank line first", "\r\n" + kHead, FaultCode::not_a_line, 1, 0},
      {"CR inside", kHead + "a=x\ry\r\n", FaultCode::not_a_line, 4, 'a'},
      {"NUL inside", kHead + std::string("a=x\0y\r\n", 7), FaultCode::not_a_line, 4, 'a'},
      {"no origin", "v=0\r\ns=-\r\nt=0 0\r\n", FaultCode::bad_origin, 2, 's'},
      {"nothing after version", "v=0\r\n", FaultCode::bad_origin, 2, 0},
      {"short origin", "v=0\r\no=- 1 IN IP4\r\n", FaultCode::bad_origin, 2, 'o'},
      {"origin version no number", "v=0\r\no=- 1 x IN IP4 1.2.3.4\r\n", FaultCode::bad_origin, 2,
       'o'},
      {"origin twice", kHead + "o=- 1 1 IN IP4 192.0.2.1\r\n", FaultCode::bad_origin, 4, 'o'},
      {"short connection", kHead + "c=IN IP4\r\n", FaultCode::bad_connection, 4, 'c'},
      {"long connection", kHead + "c=IN IP4 1.2.3.4 5\r\n", FaultCode::bad_connection, 4, 'c'},
      {"octet over 255", kHead + "c=IN IP4 192.0.2.256\r\n", FaultCode::bad_connection, 4, 'c'},
      {"IPv6 as IP4", kHead + "c=IN IP4 2001:db8::1\r\n", FaultCode::bad_connection, 4, 'c'},
      {"IPv4 as IP6", kHead + "c=IN IP6 192.0.2.1\r\n", FaultCode::bad_connection, 4, 'c'},
      {"broken IPv6", kHead + "c=IN IP6 2001::db8::1\r\n", FaultCode::bad_connection, 4, 'c'},
      {"TTL no number", kHead + "c=IN IP4 224.2.1.1/x\r\n", FaultCode::bad_connection, 4, 'c'},
      {"three suffixes", kHead + "c=IN IP4 224.2.1.1/1/2/3\r\n", FaultCode::bad_connection, 4, 'c'},
      {"connection in section", kHeadC + "m=audio 4 RTP/AVP 0\r\nc=IN IP4 1.2.3\r\n",
       FaultCode::bad_connection, 7, 'c'},
      {"media of two fields", kHeadC + "m=audio 4\r\n", FaultCode::bad_media, 6, 'm'},
      {"open media without formats", kHeadC + "m=audio 4 RTP/AVP\r\n", FaultCode::bad_media, 6,
       'm'},
      {"port no number", kHeadC + "m=audio x RTP/AVP 0\r\n", FaultCode::bad_port, 6, 'm'},
      {"port too large", kHeadC + "m=audio 65536 RTP/AVP 0\r\n", FaultCode::bad_port, 6, 'm'},
      {"port negative", kHeadC + "m=audio -1 RTP/AVP 0\r\n", FaultCode::bad_port, 6, 'm'},
      {"count no number", kHeadC + "m=audio 4/ RTP/AVP 0\r\n", FaultCode::bad_port, 6, 'm'},
      {"count zero", kHeadC + "m=audio 4/0 RTP/AVP 0\r\n", FaultCode::bad_port, 6, 'm'},
      {"rtcp empty", kHeadC + "m=audio 4 RTP/AVP 0\r\na=rtcp:\r\n", FaultCode::bad_rtcp, 7, 'a'},
      {"rtcp flag", kHeadC + "m=audio 4 RTP/AVP 0\r\na=rtcp\r\n", FaultCode::bad_rtcp, 7, 'a'},
      {"rtcp port", kHeadC + "m=audio 4 RTP/AVP 0\r\na=rtcp:99999\r\n", FaultCode::bad_rtcp, 7,
       'a'},
      {"rtcp half an address", kHeadC + "m=audio 4 RTP/AVP 0\r\na=rtcp:5 IN IP4\r\n",
       FaultCode::bad_rtcp, 7, 'a'},
      {"rtcp wrong address", kHeadC + "m=audio 4 RTP/AVP 0\r\na=rtcp:5 IN IP4 1.2.3\r\n",
       FaultCode::bad_rtcp, 7, 'a'},
      {"no connection", kHead + "m=audio 4 RTP/AVP 0\r\n", FaultCode::missing_connection, 4, 'm'},
      {"no connection for the second",
       kHead + "m=audio 4 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nm=video 6/2 RTP/AVP 31\r\n",
       FaultCode::missing_connection, 6, 'm'},
  };
  for (const Case& c : cases) {
    const auto result = SessionDescription::parse(c.text);
    ASSERT_FALSE(result) << c.what;
    EXPECT_EQ(result.error().code, c.code) << c.what << ": " << result.error().reason();
    EXPECT_EQ(result.error().line, c.line) << c.what;
    EXPECT_EQ(int{result.error().type}, int{c.type}) << c.what;
  }
}

TEST(SdpFault, reason_reads_well_and_stays_on_one_line) {
  const auto port = SessionDescription::parse(kHeadC + "m=audio x RTP/AVP 0\r\n");
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().reason(),
            "Malformed SDP line 6 (m=): port is not a number from 0 to 65535");
  const auto line = SessionDescription::parse(kHead + "bogus\r\n");
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().reason(), "Malformed SDP line 4: not a letter, an equals sign and text");
  const auto large = SessionDescription::parse(std::string(limits::kSdpBytes + 1, 'v'));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().reason(), "Malformed SDP: longer than this gateway accepts");
}

TEST(SdpFault, bounds_hold_to_the_line) {
  std::string lines = kHead;
  for (std::size_t i = 3; i < limits::kSdpLines; ++i) lines += "a=x\n";
  EXPECT_TRUE(SessionDescription::parse(lines));
  const auto one_more = SessionDescription::parse(lines + "a=x\n");
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, FaultCode::too_many_lines);
  EXPECT_EQ(one_more.error().line, limits::kSdpLines + 1);

  std::string media = kHeadC;
  for (std::size_t i = 0; i < limits::kSdpMediaLines; ++i) media += "m=audio 0 RTP/AVP 0\n";
  EXPECT_TRUE(SessionDescription::parse(media));
  const auto too_many = SessionDescription::parse(media + "m=audio 0 RTP/AVP 0\n");
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code, FaultCode::too_many_media);
  EXPECT_EQ(too_many.error().line, 5 + limits::kSdpMediaLines + 1);

  const std::string full = kHead + "a=" + std::string(limits::kSdpBytes - kHead.size() - 2, 'x');
  EXPECT_TRUE(SessionDescription::parse(full));
  EXPECT_FALSE(SessionDescription::parse(full + "x"));
}

TEST(SdpFault, negative_counters_of_old_phones_are_no_fault) {
  EXPECT_TRUE(SessionDescription::parse("v=0\r\no=- -15 -16 IN IP4 192.0.2.1\r\ns=\r\n"));
}

TEST(SdpFault, closed_stream_without_formats_is_no_fault) {
  const auto result = SessionDescription::parse(kHead + "m=image 0 udptl\r\n");
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->media()[0].formats().empty());
}

}  // namespace
}  // namespace isthmus::sdp
