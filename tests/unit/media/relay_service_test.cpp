// Echo and tone.
#include "media/relay.hpp"
#include "unit/media/relay_fixture.hpp"

namespace isthmus::media {
namespace {

using test::run_until;
using test::settle;
using test::UdpPeer;

class RelayServiceTest : public test::RelayFixture {
 protected:
  RelayServiceTest() { start(); }
  call::LocalMedia service(call::MediaService kind) { return must(relay->open_service(kind)); }
};

TEST_F(RelayServiceTest, echo_sends_back_everything_but_the_ssrc) {
  UdpPeer peer;
  const auto net = network(), echo = service(call::MediaService::echo);
  relay->set_remote(net.id, at(peer.local()));
  relay->join(net.id, echo.id);
  std::optional<std::uint32_t> ssrc;
  for (std::uint16_t i = 65530; i != 10; ++i) {
    const Bytes sent = test::rtp_packet(i, 0x1111, 111, i % 7 == 0);
    from_network(peer, rtp_of(net), sent);
    const std::string back = receive(peer);
    const auto view = rtp::RtpView::parse(as_bytes(back));
    ASSERT_TRUE(view);
    EXPECT_NE(0x1111u, view->ssrc());
    EXPECT_EQ(ssrc.value_or(view->ssrc()), view->ssrc());
    ssrc = view->ssrc();
    EXPECT_EQ(text(sent).substr(0, 8), back.substr(0, 8));
    EXPECT_EQ(text(sent).substr(12), back.substr(12));
  }
  EXPECT_EQ(16u, relay->statistics(net.id).packets);
  EXPECT_EQ(16u, relay->statistics(net.id).packets_sent);
  EXPECT_TRUE(relay->idle_ms(echo.id));
}

TEST_F(RelayServiceTest, echo_takes_rtcp_without_an_answer) {
  const auto client = channels(), echo = service(call::MediaService::echo);
  relay->set_remote(client.id, on_channel(40));
  relay->join(echo.id, client.id);
  from_link(client.port + 1U, rtcp());
  EXPECT_TRUE(link.frames.empty());
  EXPECT_EQ(1u, relay->counters().service_packets);
  from_link(client.port, test::rtp_packet(1));
  ASSERT_EQ(1u, link.frames.size());
  EXPECT_EQ(40u, link.frames[0].first);
  EXPECT_EQ(0u, all_drops());
}

class TonePayload : public RelayServiceTest, public ::testing::WithParamInterface<std::uint8_t> {};

TEST_P(TonePayload, plays_the_negotiated_law_every_20_ms) {
  const auto client = channels(), tone = service(call::MediaService::tone);
  auto remote = on_channel(40);
  remote.payload_type = GetParam();
  relay->join(client.id, tone.id);
  io.restart();
  io.run_for(milliseconds(50));
  EXPECT_TRUE(link.frames.empty()) << "nobody listens yet";
  relay->set_remote(client.id, remote);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(run_until(io, [&] { return link.frames.size() >= 11; }));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, milliseconds(190));

  const Tone reference;
  std::optional<rtp::RtpView> before;
  for (std::size_t i = 0; i < link.frames.size(); ++i) {
    EXPECT_EQ(40u, link.frames[i].first);
    const auto view = rtp::RtpView::parse(link.frames[i].second);
    ASSERT_TRUE(view);
    EXPECT_EQ(GetParam(), view->payload_type());
    EXPECT_EQ(i == 0, view->marker());
    EXPECT_EQ(as_text(*reference.payload(GetParam(), i)), as_text(view->payload()));
    if (before) {
      EXPECT_EQ(static_cast<std::uint16_t>(before->sequence() + 1), view->sequence());
      EXPECT_EQ(before->timestamp() + 160, view->timestamp());
      EXPECT_EQ(before->ssrc(), view->ssrc());
    }
    before = view;
  }
  from_link(client.port, test::rtp_packet(1));
  EXPECT_EQ(1u, relay->counters().service_packets) << "what it is told it takes";
  EXPECT_EQ(0u, all_drops());
}

INSTANTIATE_TEST_SUITE_P(both_laws, TonePayload,
                         ::testing::Values(std::uint8_t{0}, std::uint8_t{8}));

TEST_F(RelayServiceTest, tone_stays_silent_toward_a_codec_it_cannot_play) {
  const auto client = channels(), tone = service(call::MediaService::tone);
  auto remote = on_channel(40);
  remote.payload_type = 111;
  relay->set_remote(client.id, remote);
  relay->join(client.id, tone.id);
  io.restart();
  io.run_for(milliseconds(100));
  EXPECT_TRUE(link.frames.empty());
}

TEST_F(RelayServiceTest, tones_end_with_their_stream_and_their_timer_with_the_last) {
  const auto client = channels(), tone = service(call::MediaService::tone);
  relay->set_remote(client.id, on_channel(40));
  relay->join(client.id, tone.id);
  ASSERT_TRUE(run_until(io, [&] { return !link.frames.empty(); }));
  relay->close(tone.id);
  const auto heard = link.frames.size();
  io.restart();
  io.run_for(milliseconds(100));
  EXPECT_EQ(heard, link.frames.size());
  EXPECT_TRUE(io.stopped()) << "no timer keeps an idle relay awake";

  const auto again = service(call::MediaService::tone);
  relay->join(client.id, again.id);
  EXPECT_TRUE(run_until(io, [&] { return link.frames.size() > heard; }));
  relay.reset();
  io.restart();
  EXPECT_NO_FATAL_FAILURE(io.run_for(milliseconds(50)));
}

TEST_F(RelayServiceTest, services_joined_to_each_other_do_not_talk_forever) {
  const auto one = service(call::MediaService::echo), two = service(call::MediaService::echo);
  const auto tone = service(call::MediaService::tone);
  relay->join(one.id, two.id);
  relay->join(one.id, tone.id);
  relay->set_remote(one.id, on_channel(40));
  io.restart();
  io.run_for(milliseconds(60));
  EXPECT_EQ(0u, relay->counters().packets_out);
}

}  // namespace
}  // namespace isthmus::media
