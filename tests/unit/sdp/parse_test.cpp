#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sdp/session_description.hpp"
#include "unit/sdp/samples.hpp"

namespace isthmus::sdp {
namespace {

using testing::ElementsAre;

SessionDescription parsed(const std::string& text) {
  auto result = SessionDescription::parse(text);
  EXPECT_TRUE(result) << (result ? "" : result.error().reason()) << "\n" << text;
  return result ? *result : SessionDescription();
}

std::string names(const std::vector<RtpMap>& maps) {
  std::string text;
  for (const RtpMap& map : maps) {
    text += std::to_string(map.payload_type) + '=' + map.encoding + '/' +
            std::to_string(map.clock_rate) + '/' + std::to_string(map.channels) + ' ';
  }
  return text;
}

TEST(SdpParse, every_sample_comes_back_byte_for_byte) {
  for (const auto& [name, text] : samples::all()) {
    EXPECT_EQ(parsed(text).to_string(), text) << name;
  }
}

TEST(SdpParse, baresip_offer_is_read) {
  const SessionDescription sdp = parsed(samples::kBaresip);
  EXPECT_EQ(sdp.origin(), "- 3869246013 1245368951 IN IP4 192.0.2.10");
  EXPECT_EQ(sdp.origin_version(), 1245368951u);
  EXPECT_EQ(sdp.connection()->ip, IpAddress::parse("192.0.2.10"));
  EXPECT_EQ(sdp.session_attribute("tool"), "baresip 1.0.0");
  ASSERT_EQ(sdp.media().size(), 1u);

  const auto& audio = sdp.media()[0];
  EXPECT_EQ(audio.type(), "audio");
  EXPECT_EQ(audio.port(), 23456);
  EXPECT_EQ(audio.protocol(), "RTP/AVP");
  EXPECT_THAT(audio.formats(), ElementsAre("96", "0", "8", "101"));
  EXPECT_EQ(names(audio.rtpmaps()),
            "96=opus/48000/2 0=PCMU/8000/1 8=PCMA/8000/1 101=telephone-event/8000/1 ");
  EXPECT_EQ(audio.first_clock_rate(), audio.rtpmaps().front().clock_rate);
  EXPECT_EQ(audio.fmtp(96), "stereo=1;sprop-stereo=1");
  EXPECT_EQ(audio.fmtp(101), "0-15");
  EXPECT_EQ(audio.fmtp(0), std::nullopt);
  EXPECT_EQ(audio.rtcp_port(), 23457);
  EXPECT_EQ(audio.rtcp_address(), IpAddress::parse("192.0.2.10"));
  EXPECT_FALSE(audio.rtcp_mux());
  EXPECT_EQ(audio.ptime_ms(), 20u);
  EXPECT_EQ(audio.direction(), Direction::sendrecv);
  EXPECT_EQ(audio.connection(), std::nullopt);
  EXPECT_EQ(sdp.connection_of(audio)->address, "192.0.2.10");
}

TEST(SdpParse, adapter_without_rtpmaps_has_its_static_types_filled_in) {
  const SessionDescription sdp = parsed(samples::kAnalogueAdapter);
  EXPECT_EQ(names(sdp.media()[0].rtpmaps()),
            "18=G729/8000/1 0=PCMU/8000/1 4=G723/8000/1 101=telephone-event/8000/1 ");
  EXPECT_EQ(sdp.media()[0].first_clock_rate(), 8000u) << "RFC 3551's, of format 18";
  EXPECT_EQ(sdp.connection(), std::nullopt);
  EXPECT_EQ(sdp.connection_of(sdp.media()[0])->ip, IpAddress::parse("203.0.113.5"));
  EXPECT_EQ(sdp.connection_of(sdp.media()[0])->address, "203.0.113.5/127");
  EXPECT_EQ(sdp.origin_version(), 25680u) << "spaces in the user name of o=";
}

TEST(SdpParse, webrtc_offer_is_read) {
  const SessionDescription sdp = parsed(samples::kWebRtc);
  ASSERT_EQ(sdp.media().size(), 3u);
  EXPECT_TRUE(sdp.media()[0].rtcp_mux());
  EXPECT_TRUE(sdp.media()[0].rtcp_address()->is_unspecified());
  EXPECT_EQ(sdp.media()[0].rtpmaps().size(), 8u);
  EXPECT_EQ(sdp.media()[0].attribute("mid"), "0");
  EXPECT_EQ(sdp.direction_of(sdp.media()[1]), Direction::recvonly);
  EXPECT_EQ(sdp.media()[1].fmtp(97), "apt=96");
  EXPECT_EQ(sdp.media()[2].protocol(), "UDP/DTLS/SCTP");
  EXPECT_TRUE(sdp.media()[2].rtpmaps().empty());
  EXPECT_EQ(sdp.media()[2].first_clock_rate(), 0u) << "not RTP";
}

TEST(SdpParse, fax_offer_may_close_a_stream_that_has_no_address) {
  const SessionDescription sdp = parsed(samples::kFax);
  ASSERT_EQ(sdp.media().size(), 2u);
  EXPECT_EQ(sdp.media()[0].port(), 0);
  EXPECT_EQ(sdp.connection_of(sdp.media()[0]), std::nullopt);
  EXPECT_EQ(sdp.media()[1].type(), "image");
  EXPECT_EQ(sdp.media()[1].protocol(), "udptl");
  EXPECT_THAT(sdp.media()[1].formats(), ElementsAre("t38"));
  EXPECT_EQ(sdp.media()[1].attribute("T38MaxBitRate"), "14400");
  EXPECT_EQ(sdp.media()[1].rtcp_port(), std::nullopt);
}

TEST(SdpParse, ipv6_and_session_direction_hold_for_sections_without_their_own) {
  const SessionDescription sdp = parsed(samples::kIpv6Video);
  EXPECT_EQ(sdp.connection()->ip, IpAddress::parse("2001:db8::5"));
  EXPECT_EQ(sdp.media()[0].port(), 49170) << "port/count";
  EXPECT_EQ(sdp.media()[0].direction(), std::nullopt);
  EXPECT_EQ(sdp.direction_of(sdp.media()[0]), Direction::sendonly);
  EXPECT_EQ(sdp.direction_of(sdp.media()[1]), Direction::inactive);
  EXPECT_EQ(sdp.media()[1].rtcp_port(), 53020);
  EXPECT_EQ(sdp.media()[1].rtcp_address(), IpAddress::parse("2001:db8::6"));
  EXPECT_EQ(names(sdp.media()[1].rtpmaps()), "99=H264/90000/1 31=H261/90000/1 ");
}

TEST(SdpParse, sloppy_phone_is_understood) {
  const SessionDescription sdp = parsed(samples::kSloppyPhone);
  EXPECT_EQ(sdp.connection()->ip, IpAddress::parse("10.0.0.3"));
  EXPECT_THAT(sdp.media()[0].formats(), ElementsAre("0", "8"));
  EXPECT_EQ(sdp.direction_of(sdp.media()[0]), Direction::sendrecv);
  EXPECT_EQ(sdp.media()[0].direction(), Direction::sendrecv) << "a flag with a space after it";
  EXPECT_EQ(sdp.media()[0].ptime_ms(), 30u);
  EXPECT_EQ(sdp.origin_version(), 0u) << "empty user name";
}

TEST(SdpParse, direction_without_any_line_is_sendrecv) {
  const SessionDescription sdp =
      parsed("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 4 RTP/AVP 0\r\n");
  EXPECT_EQ(sdp.direction_of(sdp.media()[0]), Direction::sendrecv);
  EXPECT_EQ(reversed(Direction::sendonly), Direction::recvonly);
  EXPECT_EQ(reversed(Direction::recvonly), Direction::sendonly);
  EXPECT_EQ(reversed(Direction::inactive), Direction::inactive);
  EXPECT_EQ(reversed(Direction::sendrecv), Direction::sendrecv);
}

TEST(SdpParse, attribute_names_match_whole) {
  const SessionDescription sdp = parsed(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 4 RTP/AVP 0\r\n"
      "a=rtcp-mux\r\na=rtcp-fb:0 nack\r\na=ptimes:5\r\na=:odd\r\na=empty:\r\n");
  EXPECT_EQ(sdp.media()[0].attribute("rtcp"), std::nullopt);
  EXPECT_EQ(sdp.media()[0].attribute("ptime"), std::nullopt);
  EXPECT_EQ(sdp.media()[0].attribute("rtcp-mux"), "");
  EXPECT_EQ(sdp.media()[0].attribute("empty"), "");
  EXPECT_EQ(sdp.media()[0].attribute("absent"), std::nullopt);
}

TEST(SdpParse, host_names_and_other_networks_have_no_ip) {
  const std::string head = "v=0\r\no=- 1 1 IN IP4 host.example.com\r\n";
  const SessionDescription named =
      parsed(head + "c=IN IP4 media.example.com\r\nm=audio 4 RTP/AVP 0\r\n");
  EXPECT_EQ(named.connection()->address, "media.example.com");
  EXPECT_EQ(named.connection()->ip, std::nullopt);
  const SessionDescription pstn =
      parsed(head + "c=PSTN E164 +441134960123\r\nm=audio 9 PSTN -\r\n");
  EXPECT_EQ(pstn.connection()->address_type, "E164");
  EXPECT_EQ(pstn.connection()->ip, std::nullopt);
}

TEST(SdpParse, malformed_rtpmaps_are_left_out_and_harm_nothing) {
  const SessionDescription sdp = parsed(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n"
      "m=audio 4 RTP/AVP 96 97 98 99 100 101 200 8 8 0\r\n"
      "a=rtpmap:96\r\na=rtpmap:97 opus\r\na=rtpmap:98 opus/0\r\na=rtpmap:99 /8000\r\n"
      "a=rtpmap:100 L16/8000/0\r\na=rtpmap:101 L16/8000/x\r\na=rtpmap:200 L16/8000\r\n"
      "a=rtpmap:8 PCMA/16000\r\na=rtpmap:8 PCMA/8000\r\n");
  EXPECT_EQ(names(sdp.media()[0].rtpmaps()), "8=PCMA/16000/1 0=PCMU/8000/1 ")
      << "the first a=rtpmap counts, a repeated format once";
}

TEST(SdpParse, no_media_at_all_is_an_offer_too) {
  const SessionDescription sdp = parsed("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n");
  EXPECT_TRUE(sdp.media().empty());
}

}  // namespace
}  // namespace isthmus::sdp
