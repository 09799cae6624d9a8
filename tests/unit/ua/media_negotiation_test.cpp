// Offers and answers of one audio stream inside a link (RFC 3264, PROTOCOL.md §8).
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

using sdp::Direction;
using sdp::SessionDescription;

MediaNegotiation fresh(std::uint16_t channel = 16) {
  return {test_formats(), 20, channel, 5};
}

SessionDescription parsed(const std::string& text) {
  auto description = SessionDescription::parse(text);
  EXPECT_TRUE(description) << text;
  return *description;
}

std::string body(const std::string& media) {
  return "v=0\r\no=- 1 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 192.0.0.8\r\nt=0 0\r\n" + media;
}

TEST(Offer, names_every_codec_the_channel_and_the_dummy_address) {
  auto negotiation = fresh(20);
  const auto offer = parsed(negotiation.offer(false));
  ASSERT_EQ(offer.media().size(), 1u);
  const auto& audio = offer.media()[0];
  EXPECT_EQ(audio.port(), 20);
  EXPECT_EQ(audio.protocol(), "RTP/AVP");
  EXPECT_EQ(audio.formats(), (std::vector<std::string>{"111", "0", "8", "110", "101"}));
  EXPECT_EQ(audio.attribute("rtpmap"), "111 opus/48000/2");
  EXPECT_EQ(audio.fmtp(111), "useinbandfec=1");
  EXPECT_EQ(audio.fmtp(101), "0-15");
  EXPECT_EQ(audio.ptime_ms(), 20u);
  EXPECT_EQ(offer.connection()->address, "192.0.0.8");
  EXPECT_TRUE(negotiation.offering());
  EXPECT_FALSE(negotiation.agreed());
}

TEST(Offer, counts_the_session_version_up) {
  auto negotiation = fresh();
  const auto first = parsed(negotiation.offer(false)).origin_version();
  const auto second = parsed(negotiation.offer(true)).origin_version();
  EXPECT_EQ(*second, *first + 1);
}

TEST(Answer, taken_gives_their_payload_types_for_sending_and_ours_for_receiving) {
  auto negotiation = fresh(16);
  negotiation.offer(false);
  ASSERT_TRUE(negotiation.take_answer(
      body("m=audio 42 RTP/AVP 96 97\r\na=rtpmap:96 opus/48000/2\r\n"
           "a=rtpmap:97 telephone-event/48000\r\na=rtcp:50\r\na=ptime:40\r\n"),
      true));
  const AgreedMedia& agreed = *negotiation.agreed();
  EXPECT_EQ(agreed.codec, "opus/48000/2");
  EXPECT_EQ(agreed.send_payload_type, 96);
  EXPECT_EQ(agreed.receive_payload_type, 111);
  EXPECT_EQ(agreed.send_dtmf_payload_type, 97);
  EXPECT_EQ(agreed.receive_dtmf_payload_type, 110);
  EXPECT_EQ(agreed.dtmf_clock_rate, 48000u);
  EXPECT_EQ(agreed.local_channel, 16);
  EXPECT_EQ(agreed.remote_channel, 42);
  EXPECT_EQ(agreed.remote_rtcp_channel, 50);
  EXPECT_EQ(agreed.ptime_ms, 40u);
  EXPECT_TRUE(agreed.send && agreed.receive);
}

TEST(Answer, that_cannot_be_used_is_a_fault_and_ends_the_offer) {
  for (const char* media : {"m=audio 0 RTP/AVP 0\r\n", "m=audio 42 RTP/AVP 9\r\n",
                            "m=audio 5 RTP/AVP 0\r\n", "m=audio 65535 RTP/AVP 0\r\n", ""}) {
    auto negotiation = fresh();
    negotiation.offer(false);
    const auto taken = negotiation.take_answer(body(media), true);
    ASSERT_FALSE(taken) << media;
    EXPECT_EQ(taken.error().status, 488);
    EXPECT_FALSE(taken.error().reason.empty());
    EXPECT_FALSE(negotiation.offering());
    EXPECT_FALSE(negotiation.agreed());
  }
}

TEST(Answer, made_names_the_offerers_first_codec_that_is_known_and_refuses_other_streams) {
  auto negotiation = fresh(30);
  const auto answer = negotiation.answer(
      body("m=video 20 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
           "m=audio 22 RTP/AVP 9 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
           "m=audio 24 RTP/AVP 0\r\n"),
      false);
  ASSERT_TRUE(answer);
  const auto description = parsed(*answer);
  ASSERT_EQ(description.media().size(), 3u);
  EXPECT_EQ(description.media()[0].type(), "video");
  EXPECT_EQ(description.media()[0].port(), 0);
  EXPECT_EQ(description.media()[1].port(), 30);
  EXPECT_EQ(description.media()[1].formats(), (std::vector<std::string>{"8", "101"}));
  EXPECT_EQ(description.media()[2].port(), 0);
  EXPECT_EQ(negotiation.agreed()->codec, "PCMA/8000");
  EXPECT_EQ(negotiation.agreed()->remote_channel, 22);

  // A later offer of ours keeps every m= line in its place (RFC 3264 §8).
  const auto offer = parsed(negotiation.offer(true));
  ASSERT_EQ(offer.media().size(), 3u);
  EXPECT_EQ(offer.media()[0].port(), 0);
  EXPECT_EQ(offer.media()[1].port(), 30);
  EXPECT_EQ(offer.media()[1].direction(), Direction::sendonly);
}

TEST(Answer, takes_over_payload_types_and_keeps_them) {
  auto negotiation = fresh();
  // Their opus has the number of our telephone-event, theirs that of our opus.
  const auto answer =
      negotiation.answer(body("m=audio 22 RTP/AVP 101 111\r\na=rtpmap:101 opus/48000/2\r\n"
                              "a=rtpmap:111 telephone-event/8000\r\n"),
                         false);
  ASSERT_TRUE(answer);
  EXPECT_EQ(parsed(*answer).media()[0].formats(), (std::vector<std::string>{"101", "111"}));
  EXPECT_EQ(negotiation.agreed()->receive_payload_type, 101);
  const auto offer = parsed(negotiation.offer(false));
  std::map<std::uint8_t, std::string> maps;
  for (const auto& map : offer.media()[0].rtpmaps()) {
    EXPECT_TRUE(maps.emplace(map.payload_type, map.encoding).second);
  }
  EXPECT_EQ(maps[101], "opus");
  EXPECT_EQ(maps[111], "telephone-event");
  EXPECT_EQ(maps.size(), 5u) << "all five formats, each under its own number";
}

TEST(Answer, is_refused_without_a_usable_stream) {
  auto negotiation = fresh();
  EXPECT_EQ(negotiation.answer(body("m=audio 22 RTP/AVP 9\r\n"), false).error().status, 488);
  EXPECT_EQ(negotiation.answer(body("m=audio 22 RTP/SAVP 0\r\n"), false).error().status, 488);
  EXPECT_EQ(negotiation.answer(body("m=image 22 udptl t38\r\n"), false).error().status, 488);
  EXPECT_EQ(negotiation.answer("v=0\r\nrubbish\r\n", false).error().status, 400);
  EXPECT_FALSE(negotiation.agreed());
}

TEST(Answer, keeps_the_feedback_profile_that_was_offered) {
  auto negotiation = fresh();
  const auto answer = negotiation.answer(body("m=audio 22 RTP/AVPF 0\r\n"), false);
  ASSERT_TRUE(answer);
  EXPECT_EQ(parsed(*answer).media()[0].protocol(), "RTP/AVPF");
}

struct HoldCase {
  const char* offered;
  bool hold;
  Direction answered;
  bool send, receive, remote_hold;
};

TEST(Answer, turns_every_direction) {
  const HoldCase cases[] = {
      {"sendrecv", false, Direction::sendrecv, true, true, false},
      {"sendonly", false, Direction::recvonly, false, true, true},
      {"recvonly", false, Direction::sendonly, true, false, false},
      {"inactive", false, Direction::inactive, false, false, true},
      {"sendrecv", true, Direction::sendonly, true, false, false},
      {"sendonly", true, Direction::inactive, false, false, true},
      {"recvonly", true, Direction::sendonly, true, false, false},
      {"inactive", true, Direction::inactive, false, false, true},
  };
  for (const HoldCase& c : cases) {
    auto negotiation = fresh();
    const auto answer = negotiation.answer(
        body(std::string("m=audio 22 RTP/AVP 0\r\na=") + c.offered + "\r\n"), c.hold);
    ASSERT_TRUE(answer);
    EXPECT_EQ(parsed(*answer).media()[0].direction(), c.answered) << c.offered << c.hold;
    EXPECT_EQ(negotiation.agreed()->send, c.send) << c.offered << c.hold;
    EXPECT_EQ(negotiation.agreed()->receive, c.receive) << c.offered << c.hold;
    EXPECT_EQ(negotiation.remote_hold(), c.remote_hold) << c.offered << c.hold;
  }
}

TEST(Hold, by_an_unspecified_address_is_known) {
  auto negotiation = fresh();
  ASSERT_TRUE(
      negotiation.answer("v=0\r\no=- 1 1 IN IP4 192.0.0.8\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                         "m=audio 22 RTP/AVP 0\r\n",
                         false));
  EXPECT_TRUE(negotiation.remote_hold());
  EXPECT_FALSE(negotiation.agreed()->send);
}

TEST(Hold, offered_and_answered_recvonly_sends_but_does_not_receive) {
  auto negotiation = fresh();
  negotiation.offer(true);
  ASSERT_TRUE(negotiation.take_answer(body("m=audio 22 RTP/AVP 0\r\na=recvonly\r\n"), true));
  EXPECT_TRUE(negotiation.agreed()->send);
  EXPECT_FALSE(negotiation.agreed()->receive);
  EXPECT_FALSE(negotiation.remote_hold());
}

TEST(Offer, withdrawn_leaves_what_was_agreed) {
  auto negotiation = fresh();
  negotiation.offer(false);
  ASSERT_TRUE(negotiation.take_answer(body("m=audio 22 RTP/AVP 0\r\n"), true));
  const AgreedMedia before = *negotiation.agreed();
  negotiation.offer(true);
  negotiation.withdraw();
  EXPECT_FALSE(negotiation.offering());
  EXPECT_EQ(*negotiation.agreed(), before);
}

}  // namespace
}  // namespace isthmus::ua
