// Telephone events taken out of streams and played into them.
#include "media/relay.hpp"
#include "rtp/telephone_event.hpp"
#include "unit/media/relay_fixture.hpp"

namespace isthmus::media {
namespace {

using test::run_until;
using test::UdpPeer;

class RelayEventsTest : public test::RelayFixture {
 protected:
  static constexpr std::uint8_t kType = 101;
  static constexpr std::uint32_t kSource = 0x1111;

  RelayEventsTest() {
    start();
    net = network();
    client = channels();
    relay->join(net.id, client.id);
    relay->on_digit = [this](const HeardDigit& digit) { heard.push_back(digit); };
  }
  /// The client sends events and is sent them; the network side knows none.
  void convert() {
    auto remote = on_channel(40);
    remote.events.type = kType;
    remote.events.taken.set(kType);
    remote.events.call = 7;
    relay->set_remote(net.id, at(peer.local()));
    relay->set_remote(client.id, remote);
  }
  static Bytes event_packet(std::uint16_t sequence, std::uint32_t timestamp, char digit,
                            std::uint16_t duration, bool end = false) {
    Bytes payload, packet;
    rtp::TelephoneEvent{*rtp::event_of(digit), end, 10, duration}.write(payload);
    rtp::write_rtp({false, kType, sequence, timestamp, kSource}, payload, packet);
    return packet;
  }
  std::uint16_t sequence_at_peer() {
    const std::string text = receive(peer);
    const auto view = rtp::RtpView::parse(as_bytes(text));
    EXPECT_TRUE(view) << text;
    return view ? view->sequence() : std::uint16_t{0};
  }

  UdpPeer peer;
  call::LocalMedia net, client;
  std::vector<HeardDigit> heard;
};

TEST_F(RelayEventsTest, events_pass_byte_for_byte_where_nobody_converts) {
  relay->set_remote(net.id, at(peer.local()));
  relay->set_remote(client.id, on_channel(40));
  const Bytes packet = event_packet(5, 800, '5', 160);
  from_link(client.port, packet);
  EXPECT_EQ(text(packet), receive(peer));
  EXPECT_FALSE(relay->play_digit(client.id, '1', 100));
  io.poll();
  EXPECT_TRUE(heard.empty());
}

TEST_F(RelayEventsTest, events_are_taken_out_and_told_and_leave_no_gap_behind) {
  convert();
  from_link(client.port, test::rtp_packet(10));
  EXPECT_EQ(10, sequence_at_peer());
  for (std::uint16_t i = 0; i < 3; ++i) {
    from_link(client.port, event_packet(static_cast<std::uint16_t>(11 + i), 1760, '7',
                                        static_cast<std::uint16_t>(160 * (i + 1)), i == 2));
  }
  EXPECT_TRUE(heard.empty()) << "not from inside a packet's way";
  from_link(client.port, test::rtp_packet(14));
  const std::string after = receive(peer);
  EXPECT_EQ(11, rtp::RtpView::parse(as_bytes(after))->sequence());
  EXPECT_EQ(text(test::rtp_packet(14)).substr(4), after.substr(4)) << "all else is as it was";
  ASSERT_TRUE(run_until(io, [&] { return !heard.empty(); }));
  ASSERT_EQ(1u, heard.size());
  EXPECT_EQ(client.id, heard[0].from);
  EXPECT_EQ(7u, heard[0].call);
  EXPECT_EQ('7', heard[0].digit);
  EXPECT_EQ(60u, heard[0].duration_ms);
  EXPECT_EQ(3u, relay->counters().event_packets);
  EXPECT_EQ(0u, all_drops());
}

TEST_F(RelayEventsTest, damaged_events_and_a_flood_of_digits_do_no_harm) {
  convert();
  Bytes cut = event_packet(1, 160, '1', 160, true);
  cut.resize(cut.size() - 2);
  from_link(client.port, cut);
  for (std::uint16_t i = 2; i < 500; ++i)
    from_link(client.port, event_packet(i, i * 1000U, '1', 160, true));
  run_until(io, [&] { return heard.size() >= limits::kDtmfQueueDigits; });
  io.poll();
  EXPECT_EQ(limits::kDtmfQueueDigits, heard.size());
  EXPECT_EQ(499u, relay->counters().event_packets);
}

TEST_F(RelayEventsTest, digit_is_played_within_the_stream_in_place_of_its_audio) {
  convert();
  std::uint16_t sequence = 65530;
  const auto speak = [&] {
    from_network(peer, rtp_of(net), test::rtp_packet(sequence++, kSource));
  };
  speak();
  speak();
  ASSERT_EQ(2u, link.frames.size());
  EXPECT_TRUE(relay->play_digit(client.id, '5', 60));
  EXPECT_TRUE(relay->play_digit(client.id, '#', 40));
  speak();  // gives way
  ASSERT_TRUE(run_until(io, [&] { return link.frames.size() >= 2u + 5 + 4; }));
  io.restart();
  io.run_for(milliseconds(80));  // the last gap
  speak();
  ASSERT_EQ(2u + 5 + 4 + 1, link.frames.size());

  std::string digits;
  std::uint32_t event_time = 0;
  std::size_t events = 0;
  for (std::size_t i = 1; i < link.frames.size(); ++i) {
    const auto before = rtp::RtpView::parse(link.frames[i - 1].second);
    const auto view = rtp::RtpView::parse(link.frames[i].second);
    ASSERT_TRUE(before && view);
    EXPECT_EQ(static_cast<std::uint16_t>(before->sequence() + 1), view->sequence()) << i;
    EXPECT_EQ(kSource, view->ssrc());
    if (view->payload_type() != kType) continue;
    ++events;
    const auto event = rtp::TelephoneEvent::parse(view->payload());
    ASSERT_TRUE(event);
    if (view->marker()) {
      digits += rtp::digit_of(event->event);
      EXPECT_NE(event_time, view->timestamp());
      event_time = view->timestamp();
    }
    EXPECT_EQ(event_time, view->timestamp());
    if (event->end) {
      EXPECT_EQ(digits.size() == 1 ? 480 : 320, event->duration);
    }
  }
  EXPECT_EQ("5#", digits);
  EXPECT_EQ(11u - 2u, events) << "and no audio among them";
  EXPECT_EQ(text(test::rtp_packet(65533, kSource)).substr(4),
            text(link.frames.back().second).substr(4));
}

TEST_F(RelayEventsTest, digit_is_played_to_a_side_that_hears_nothing_else) {
  convert();
  EXPECT_TRUE(relay->play_digit(client.id, '0', 20));
  ASSERT_TRUE(run_until(io, [&] { return link.frames.size() >= 3; }));
  const auto first = rtp::RtpView::parse(link.frames[0].second);
  ASSERT_TRUE(first);
  EXPECT_EQ(kType, first->payload_type());
  EXPECT_TRUE(first->marker());
  EXPECT_EQ(40u, link.frames[0].first);
}

TEST_F(RelayEventsTest, digits_wait_within_bounds_and_end_with_their_stream) {
  convert();
  std::size_t taken = 0;
  while (taken < 500 && relay->play_digit(client.id, '1', 60'000)) ++taken;
  EXPECT_EQ(limits::kDtmfQueueDigits, taken);
  EXPECT_FALSE(relay->play_digit(net.id, '1', 100)) << "that side knows no events";
  EXPECT_FALSE(relay->play_digit(client.id, 'x', 100));
  EXPECT_FALSE(relay->play_digit(12345, '1', 100));
  ASSERT_TRUE(run_until(io, [&] { return link.frames.size() >= 2; }));
  relay->close(net.id);
  const std::size_t sent = link.frames.size();
  io.restart();
  io.run_for(milliseconds(60));
  EXPECT_EQ(sent, link.frames.size());
  relay->close(client.id);
  EXPECT_EQ(0u, relay->open_endpoints());
}

}  // namespace
}  // namespace isthmus::media
