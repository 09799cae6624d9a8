#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sdp/session_description.hpp"
#include "unit/sdp/samples.hpp"

namespace isthmus::sdp {
namespace {

using testing::ElementsAre;

const IpAddress kLinkAddress = *IpAddress::parse("192.0.0.8");
const IpAddress kIpv6 = *IpAddress::parse("2001:db8::99");

SessionDescription parsed(const std::string& text) {
  auto result = SessionDescription::parse(text);
  EXPECT_TRUE(result) << (result ? "" : result.error().reason()) << "\n" << text;
  return result ? *result : SessionDescription();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

TEST(SdpEdit, address_and_port_change_and_not_a_byte_beside_them) {
  SessionDescription sdp = parsed(samples::kBaresip);
  sdp.set_address(kLinkAddress);
  sdp.media()[0].set_port(16);
  std::string want = replaced(samples::kBaresip, "c=IN IP4 192.0.2.10", "c=IN IP4 192.0.0.8");
  want = replaced(want, "a=rtcp:23457 IN IP4 192.0.2.10", "a=rtcp:23457 IN IP4 192.0.0.8");
  want = replaced(want, "m=audio 23456 ", "m=audio 16 ");
  EXPECT_EQ(sdp.to_string(), want);
}

TEST(SdpEdit, address_type_changes_with_the_family_and_a_ttl_goes) {
  SessionDescription sdp = parsed(samples::kAnalogueAdapter);
  sdp.set_address(kIpv6);
  EXPECT_EQ(sdp.to_string(), replaced(samples::kAnalogueAdapter, "c=IN IP4 203.0.113.5/127",
                                      "c=IN IP6 2001:db8::99"));
  SessionDescription six = parsed(samples::kIpv6Video);
  six.set_address(kLinkAddress);
  std::string want = replaced(samples::kIpv6Video, "c=IN IP6 2001:db8::5", "c=IN IP4 192.0.0.8");
  want = replaced(want, "53020 IN IP6 2001:db8::6", "53020 IN IP4 192.0.0.8");
  EXPECT_EQ(six.to_string(), want) << "o= is not touched";
}

TEST(SdpEdit, on_hold_addresses_stay) {
  SessionDescription sdp = parsed(samples::kWebRtc);
  sdp.set_address(kLinkAddress);
  const IpAddress zero;
  for (const auto& media : sdp.media()) EXPECT_EQ(media.connection()->ip, zero);
  EXPECT_EQ(sdp.to_string(), samples::kWebRtc);

  const std::string hold =
      "v=0\r\no=- 1 2 IN IP6 ::1\r\nc=IN IP6 ::\r\nm=audio 4 RTP/AVP 0\r\na=rtcp:5\r\n";
  SessionDescription six = parsed(hold);
  six.set_address(kIpv6);
  EXPECT_EQ(six.to_string(), hold);
}

TEST(SdpEdit, missing_session_address_is_added_where_rfc_8866_wants_it) {
  SessionDescription sdp = parsed(samples::kFax);  // its closed stream has no c= anywhere
  sdp.set_address(kLinkAddress);
  std::string want = replaced(samples::kFax, "c=IN IP4 198.51.100.20", "c=IN IP4 192.0.0.8");
  want = replaced(want, "s=fax\r\n", "s=fax\r\nc=IN IP4 192.0.0.8\r\n");
  EXPECT_EQ(sdp.to_string(), want);
}

TEST(SdpEdit, host_name_is_replaced_another_network_is_not) {
  const std::string head = "v=0\r\no=- 1 1 IN IP4 host.example.com\r\n";
  const std::string tail = "m=audio 4 RTP/AVP 0\r\nc=PSTN E164 +441134960123\r\n";
  SessionDescription sdp = parsed(head + "c=IN IP4 media.example.com\r\n" + tail);
  sdp.set_address(kLinkAddress);
  EXPECT_EQ(sdp.to_string(), head + "c=IN IP4 192.0.0.8\r\n" + tail);
}

TEST(SdpEdit, port_setter_drops_a_count) {
  SessionDescription sdp = parsed(samples::kIpv6Video);
  sdp.media()[0].set_port(18);
  EXPECT_EQ(sdp.to_string(), replaced(samples::kIpv6Video, "audio 49170/2 ", "audio 18 "));
}

TEST(SdpEdit, protocol_and_formats_change) {
  SessionDescription sdp = parsed(samples::kWebRtc);
  sdp.media()[0].set_protocol("RTP/AVP");
  sdp.media()[0].set_formats({"0", "126"});
  EXPECT_EQ(sdp.media()[0].lines()[0].value, "audio 9 RTP/AVP 0 126");
  EXPECT_EQ(sdp.media()[0].rtpmaps().size(), 2u);
  EXPECT_TRUE(SessionDescription::parse(sdp.to_string()));
}

TEST(SdpEdit, attributes_are_set_added_and_removed) {
  SessionDescription sdp = parsed(samples::kAsterisk);
  auto& audio = sdp.media()[0];
  audio.set_attribute("ptime", "30");
  audio.set_attribute("rtcp-mux", "");
  audio.add_attribute("crypto", "1 AES_CM_128_HMAC_SHA1_80 inline:x");
  audio.add_attribute("crypto", "2 AES_CM_128_HMAC_SHA1_32 inline:y");
  EXPECT_EQ(audio.ptime_ms(), 30u);
  EXPECT_TRUE(audio.rtcp_mux());
  EXPECT_EQ(sdp.to_string(), replaced(samples::kAsterisk, "a=ptime:20", "a=ptime:30") +
                                 "a=rtcp-mux\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
                                 "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:y\r\n");
  audio.remove_attribute("crypto");
  audio.remove_attribute("rtcp-mux");
  audio.set_attribute("ptime", "20");
  EXPECT_EQ(sdp.to_string(), samples::kAsterisk);
}

TEST(SdpEdit, direction_replaces_all_that_were_there) {
  SessionDescription sdp = parsed(samples::kAsterisk);
  auto& audio = sdp.media()[0];
  audio.set_direction(Direction::sendrecv);
  EXPECT_EQ(sdp.to_string(), samples::kAsterisk);
  audio.add_attribute("recvonly", "");
  audio.set_direction(Direction::sendonly);
  EXPECT_EQ(sdp.to_string(), replaced(samples::kAsterisk, "a=sendrecv", "a=sendonly"));
  audio.remove_attribute("sendonly");
  audio.set_direction(Direction::inactive);
  EXPECT_EQ(sdp.direction_of(audio), Direction::inactive);
}

TEST(SdpEdit, section_address_can_go_and_session_attributes_too) {
  SessionDescription sdp = parsed(samples::kWebRtc);
  for (auto& media : sdp.media()) media.remove_connection();
  sdp.remove_session_attribute("group");
  EXPECT_EQ(sdp.session_attribute("group"), std::nullopt);
  EXPECT_EQ(sdp.connection_of(sdp.media()[0]), std::nullopt);
  sdp.set_address(kLinkAddress);
  EXPECT_EQ(sdp.connection_of(sdp.media()[0])->ip, kLinkAddress);
  EXPECT_TRUE(SessionDescription::parse(sdp.to_string()));
}

TEST(SdpEdit, origin_is_numbered_and_addressed_whatever_its_user_name) {
  SessionDescription sdp = parsed(samples::kAnalogueAdapter);
  sdp.set_origin_version(25681);
  sdp.set_origin_address(kIpv6);
  EXPECT_EQ(sdp.origin(), "Cisco-ATA line 1 25680 25681 IN IP6 2001:db8::99");
  EXPECT_EQ(sdp.origin_version(), 25681u);
}

TEST(SdpEdit, lines_put_after_an_unended_last_line_do_not_run_into_it) {
  SessionDescription sdp = parsed(samples::kSloppyPhone);
  sdp.media()[0].add_attribute("maxptime", "40");
  sdp.add_media("video", 0, "RTP/AVP", {"31"});
  EXPECT_EQ(sdp.to_string(), samples::kSloppyPhone + "\r\na=maxptime:40\nm=video 0 RTP/AVP 31\n")
      << "new lines end as the others do";

  SessionDescription bare = parsed("v=0\no=- 1 1 IN IP4 192.0.2.1\r");
  bare.add_media("audio", 0, "RTP/AVP", {"0"});
  EXPECT_EQ(bare.to_string(), "v=0\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 0\n");
}

TEST(SdpEdit, lines_go_before_a_blank_tail) {
  SessionDescription sdp = parsed(samples::kBlankTail);
  sdp.media()[0].add_attribute("x", "1");
  EXPECT_EQ(sdp.to_string(), samples::kAsterisk + "a=x:1\r\n" + "\r\n\n\r\n");
}

TEST(SdpEdit, no_value_becomes_a_line_of_its_own) {
  SessionDescription sdp = parsed(samples::kAsterisk);
  auto& audio = sdp.media()[0];
  audio.add_attribute("x", "1\r\nm=audio 9 RTP/AVP 0");
  audio.set_protocol("RTP/AVP\n");
  audio.set_formats({"0\r\na=evil"});
  sdp.add_media("te\nxt", 0, "RTP/AVP\r", {"98"});
  const SessionDescription again = parsed(sdp.to_string());
  ASSERT_EQ(again.media().size(), 2u);
  EXPECT_EQ(again.media()[0].attribute("evil"), std::nullopt);
  EXPECT_EQ(again.media()[1].type(), "text");
}

TEST(SdpEdit, description_of_our_own_reads_back) {
  SessionDescription sdp = SessionDescription::make(17, 18, kIpv6);
  auto& audio = sdp.add_media("audio", 4000, "RTP/AVP", {"0", "101"});
  audio.add_attribute("rtpmap", "101 telephone-event/8000");
  audio.set_direction(Direction::sendrecv);
  EXPECT_EQ(sdp.to_string(),
            "v=0\r\no=- 17 18 IN IP6 2001:db8::99\r\ns=-\r\nc=IN IP6 2001:db8::99\r\nt=0 0\r\n"
            "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n");
  const SessionDescription again = parsed(sdp.to_string());
  EXPECT_EQ(again.origin_version(), 18u);
  EXPECT_THAT(again.media()[0].formats(), ElementsAre("0", "101"));
  EXPECT_EQ(again.media()[0].rtpmaps().size(), 2u);
}

TEST(SdpEdit, empty_description_is_harmless) {
  SessionDescription sdp;
  EXPECT_EQ(sdp.origin(), "");
  EXPECT_EQ(sdp.origin_version(), std::nullopt);
  sdp.set_origin_version(1);
  sdp.set_origin_address(kIpv6);
  sdp.set_address(kIpv6);
  EXPECT_EQ(sdp.to_string(), "");
}

}  // namespace
}  // namespace isthmus::sdp
