// Bookkeeping of offers and answers (RFC 3264) in the relayed streams of one call.
#include "call/media_session.hpp"

#include <gtest/gtest.h>

#include "support/fake_media_plane.hpp"

namespace isthmus::call {
namespace {

struct Streams : testing::Test {
  sim::FakeMediaPlane plane{*IpAddress::parse("192.0.2.1")};
  MediaSession session{plane, sip::Flow::link(1),
                       sip::Flow::udp(*Endpoint::parse("198.51.100.1:5060"))};

  static std::string sdp(std::string_view media) {
    return "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n" +
           std::string(media);
  }
  sdp::SessionDescription carry(Side from, std::string_view media, bool offer) {
    auto text = session.translate(from, sdp(media), offer);
    EXPECT_TRUE(text) << text.error().reason;
    auto parsed = sdp::SessionDescription::parse(text ? *text : sdp("m=audio 1 RTP/AVP 0\r\n"));
    EXPECT_TRUE(parsed);
    return *parsed;
  }
  const RemoteMedia& remote_of(bool link) {
    for (auto& [id, end] : plane.ends) {
      if (end.link == link) return end.remote;
    }
    ADD_FAILURE() << "no such end";
    static const RemoteMedia none;
    return none;
  }
};

TEST_F(Streams, rtcp_mux_needs_both_sides) {
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\n", true);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\na=rtcp-mux\r\n", false);  // answers the unasked
  EXPECT_FALSE(remote_of(true).rtcp_mux);
  EXPECT_FALSE(remote_of(false).rtcp_mux);
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\na=rtcp-mux\r\n", true);
  EXPECT_FALSE(remote_of(true).rtcp_mux);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\na=rtcp-mux\r\n", false);
  EXPECT_TRUE(remote_of(true).rtcp_mux);
  EXPECT_TRUE(remote_of(false).rtcp_mux);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\n", true);
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\n", false);
  EXPECT_FALSE(remote_of(true).rtcp_mux);
  EXPECT_FALSE(remote_of(false).rtcp_mux);
}

TEST_F(Streams, refused_streams_close_and_can_be_offered_again) {
  const char* both = "m=audio 40000 RTP/AVP 0\r\nm=video 40002 RTP/AVP 96\r\n";
  carry(Side::caller, both, true);
  EXPECT_EQ(session.stream_count(), 2u);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\n", false);
  EXPECT_EQ(session.stream_count(), 1u);
  EXPECT_EQ(plane.ends.size(), 2u);
  auto again = carry(Side::caller, both, true);
  EXPECT_NE(again.media()[1].port(), 0);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\nm=video 50002 RTP/AVP 96\r\n", false);
  EXPECT_EQ(session.stream_count(), 2u);
}

TEST_F(Streams, answer_cannot_open_what_was_not_offered) {
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\n", true);
  auto answer = carry(Side::callee,
                      "m=audio 50000 RTP/AVP 0\r\nm=video 50002 RTP/AVP 96\r\n"
                      "m=text 50004 RTP/AVP 98\r\n",
                      false);
  EXPECT_EQ(session.stream_count(), 1u);
  EXPECT_EQ(answer.media()[1].port(), 0);
  EXPECT_EQ(answer.media().size(), 2u);
}

TEST_F(Streams, what_cannot_flow_is_not_offered_on) {
  const auto offered = carry(Side::caller,
                             "m=audio 40000 RTP/AVP 0\r\nm=message 7777 TCP/MSRP *\r\n"
                             "m=application 7778 TCP/TLS/BFCP *\r\n",
                             true);
  EXPECT_NE(offered.media()[0].port(), 0);
  EXPECT_EQ(offered.media()[1].port(), 0);
  EXPECT_EQ(offered.media()[2].port(), 0);
  EXPECT_EQ(session.stream_count(), 1u);
  const auto answer = carry(Side::callee,
                            "m=audio 50000 RTP/AVP 0\r\nm=message 0 TCP/MSRP *\r\n"
                            "m=application 0 TCP/TLS/BFCP *\r\n",
                            false);
  EXPECT_EQ(answer.media()[1].port(), 0);
}

TEST_F(Streams, an_offer_of_which_nothing_can_flow_is_refused_and_changes_nothing) {
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\n", true);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\n", false);
  for (const char* media : {"m=message 7777 TCP/MSRP *\r\n",
                            "m=audio 50000 RTP/AVP 0\r\nc=IN IP4 media.example.net\r\n"}) {
    const auto refused = session.translate(Side::callee, sdp(media), true);
    ASSERT_FALSE(refused) << media;
    EXPECT_EQ(refused.error().status, 488) << media;
    EXPECT_EQ(session.pending_offer(""), std::nullopt);
  }
  EXPECT_EQ(session.stream_count(), 1u);
  EXPECT_EQ(remote_of(false).port, 50000);
  const auto held = session.translate(  // 0.0.0.0 is hold, no place (RFC 3264 §8.4)
      Side::callee, sdp("m=audio 50000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"), true);
  EXPECT_TRUE(held);
}

TEST_F(Streams, a_description_with_every_port_zero_tells_no_address_of_the_other_leg) {
  auto offer = carry(Side::caller, "m=audio 0 RTP/AVP 0\r\n", true);
  EXPECT_EQ(offer.connection_of(offer.media()[0])->address, "0.0.0.0");
  EXPECT_EQ(session.stream_count(), 0u);
}

TEST_F(Streams, refused_offer_leaves_every_stream_as_it_was) {
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\n", true);
  carry(Side::callee, "m=audio 50000 RTP/AVP 0\r\n", false);
  carry(Side::callee, "m=audio 0 RTP/AVP 0\r\nm=video 50002 RTP/AVP 96\r\n", true);
  session.rollback(Side::callee);
  EXPECT_EQ(session.stream_count(), 1u);
  EXPECT_EQ(remote_of(false).port, 50000);
  EXPECT_EQ(remote_of(true).port, 40000);
  carry(Side::caller, "m=audio 40000 RTP/AVP 0\r\na=inactive\r\n", true);
  EXPECT_FALSE(session.expects_media());
  session.rollback(Side::caller);
  EXPECT_TRUE(session.expects_media());
  session.rollback(Side::caller);  // nothing is on offer any more
  EXPECT_EQ(remote_of(true).port, 40000);
}

TEST_F(Streams, each_section_with_its_own_address_is_learnt_apart) {
  carry(Side::caller,
        "m=audio 40000 RTP/AVP 0\r\nc=IN IP4 10.0.0.2\r\na=rtcp:41001 IN IP4 10.0.0.2\r\n"
        "m=video 40002 RTP/AVP 96\r\nc=IN IP6 2001:db8::2\r\n",
        true);
  auto offer = carry(Side::callee,
                     "m=audio 50000 RTP/AVP 0\r\nc=IN IP4 10.0.0.3\r\na=rtcp:50007\r\n"
                     "m=video 50002 RTP/AVP 96\r\n",
                     false);
  EXPECT_EQ(offer.media()[0].rtcp_port(), offer.media()[0].port() + 1);
  EXPECT_EQ(offer.connection_of(offer.media()[0])->address, "192.0.0.8");
  std::vector<RemoteMedia> callers, callees;
  for (auto& [id, end] : plane.ends) (end.link ? callers : callees).push_back(end.remote);
  EXPECT_EQ(callers[0].rtcp_port, 41001);
  EXPECT_EQ(callers[1].address, *IpAddress::parse("2001:db8::2"));
  EXPECT_EQ(callees[0].address, *IpAddress::parse("10.0.0.3"));
  EXPECT_EQ(callees[0].rtcp_port, 50007);
  EXPECT_EQ(callees[1].rtcp_port, 50003);
}

}  // namespace
}  // namespace isthmus::call
