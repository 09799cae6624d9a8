#include "rtp/telephone_event.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/limits.hpp"
#include "base/random.hpp"

namespace isthmus::rtp {
namespace {

using Packet = TelephoneEventSender::Packet;

struct Sent {
  std::uint32_t interval;
  Packet packet;
  std::uint32_t timestamp;  ///< with the stream's clock at 160 ticks per interval, from 0
};

std::vector<Sent> played(TelephoneEventSender& sender, std::uint32_t packet_ticks = 160) {
  std::vector<Sent> sent;
  for (std::uint32_t i = 0; i < 100'000 && sender.active(); ++i) {
    if (const auto packet = sender.next()) {
      sent.push_back({i, *packet, i * packet_ticks - packet->timestamp_offset});
    }
  }
  EXPECT_FALSE(sender.active());
  return sent;
}

TEST(TelephoneEvent, payload_is_read_and_written_as_rfc_4733_draws_it) {
  const Bytes raw = *from_hex("0b 8a 0320");
  const auto event = TelephoneEvent::parse(raw);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->event, 11);
  EXPECT_TRUE(event->end);
  EXPECT_EQ(event->volume, 10);
  EXPECT_EQ(event->duration, 800);
  Bytes out = {0xff};
  event->write(out);
  EXPECT_EQ(to_hex(out), "ff0b8a0320");
  EXPECT_FALSE(TelephoneEvent::parse(ByteView(raw).first(3)));
  EXPECT_FALSE(TelephoneEvent::parse({}));
  const auto reserved = TelephoneEvent::parse(*from_hex("01 7f 0001"));
  ASSERT_TRUE(reserved);
  EXPECT_FALSE(reserved->end) << "the reserved bit is not the end bit";
  EXPECT_EQ(reserved->volume, 63);
}

TEST(TelephoneEvent, digits_and_codes_are_inverse) {
  for (const char digit : std::string("0123456789*#ABCD")) {
    const auto event = event_of(digit);
    ASSERT_TRUE(event) << digit;
    EXPECT_EQ(digit_of(*event), digit);
  }
  EXPECT_EQ(event_of('*'), 10);
  EXPECT_EQ(event_of('#'), 11);
  EXPECT_EQ(event_of('a'), 12);
  EXPECT_EQ(event_of('d'), 15);
  for (const char bad : std::string("eE x+\0", 6)) EXPECT_EQ(event_of(bad), std::nullopt);
  EXPECT_EQ(digit_of(16), '\0');
  EXPECT_EQ(digit_of(255), '\0');
}

TEST(TelephoneEventSender, digit_of_100_ms_is_five_packets_and_two_more_ends) {
  TelephoneEventSender sender(8000, 160);
  EXPECT_FALSE(sender.active());
  EXPECT_FALSE(sender.next());
  ASSERT_TRUE(sender.add('5', 100, 60));
  EXPECT_TRUE(sender.active());
  const auto sent = played(sender);
  ASSERT_EQ(sent.size(), 7u);
  const std::uint16_t kDurations[] = {160, 320, 480, 640, 800, 800, 800};
  for (std::uint32_t i = 0; i < 7; ++i) {
    const Packet& packet = sent[i].packet;
    EXPECT_EQ(packet.event.event, 5) << i;
    EXPECT_EQ(packet.marker, i == 0) << i;
    EXPECT_EQ(packet.event.end, i >= 4) << i;
    EXPECT_EQ(packet.event.duration, kDurations[i]) << i;
    EXPECT_EQ(packet.timestamp_offset, i * 160) << i;
    EXPECT_EQ(sent[i].interval, i);
    EXPECT_EQ(sent[i].timestamp, 0u) << "one timestamp through the event";
  }
}

TEST(TelephoneEventSender, duration_between_intervals_is_exact_in_the_end) {
  TelephoneEventSender sender(8000, 160);
  sender.add('1', 50, 0);  // 400 ticks
  const auto sent = played(sender);
  ASSERT_EQ(sent.size(), 5u);
  EXPECT_EQ(sent[1].packet.event.duration, 320);
  EXPECT_FALSE(sent[1].packet.event.end);
  for (std::size_t i = 2; i < 5; ++i) {
    EXPECT_EQ(sent[i].packet.event.duration, 400);
    EXPECT_TRUE(sent[i].packet.event.end);
  }
}

TEST(TelephoneEventSender, gap_passes_between_digits) {
  TelephoneEventSender sender(8000, 160);
  sender.add('1', 100, 100);
  sender.add('2', 100, 100);
  const auto sent = played(sender);
  ASSERT_EQ(sent.size(), 14u);
  EXPECT_EQ(sent[6].interval, 6u);
  EXPECT_EQ(sent[7].interval, 10u) << "100 ms from the end of '1' at 100 ms";
  EXPECT_TRUE(sent[7].packet.marker);
  EXPECT_EQ(sent[7].packet.event.event, 2);
  EXPECT_EQ(sent[7].timestamp, 10u * 160);
}

TEST(TelephoneEventSender, tiny_digit_is_one_interval_and_gapless_digits_keep_their_ends) {
  TelephoneEventSender sender(48'000, 960);
  sender.add('#', 0, 0);
  sender.add('#', 1, 0);
  const auto sent = played(sender, 960);
  ASSERT_EQ(sent.size(), 6u);
  EXPECT_TRUE(sent[0].packet.marker);
  EXPECT_TRUE(sent[0].packet.event.end);
  EXPECT_EQ(sent[0].packet.event.duration, 960);
  EXPECT_TRUE(sent[3].packet.marker);
  EXPECT_NE(sent[3].timestamp, sent[0].timestamp) << "or it would pass for the same digit";
}

// RFC 4733 §2.5.1.3: 20 s at 8000 are 160,000 ticks: 65,535 + 65,535 + 28,930.
TEST(TelephoneEventSender, long_event_goes_in_segments) {
  TelephoneEventSender sender(8000, 160);
  sender.add('9', 20'000, 0);
  const auto sent = played(sender);
  std::vector<Sent> finals;
  std::uint32_t markers = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].interval, i) << "a packet in each interval";
    markers += sent[i].packet.marker ? 1 : 0;
    const bool segment_final = sent[i].packet.event.duration == 0xffff;
    if (segment_final || sent[i].packet.event.end) finals.push_back(sent[i]);
    EXPECT_EQ(sent[i].packet.event.end, i + 3 >= sent.size()) << i;
  }
  EXPECT_EQ(markers, 1u) << "none on a further segment";
  ASSERT_EQ(finals.size(), 9u) << "three of each segment";
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(finals[i].timestamp, i / 3 * 0xffff) << i;
    EXPECT_EQ(finals[i].packet.event.duration, i < 6 ? 0xffff : 28'930) << i;
  }
  EXPECT_EQ(sent.size(), 1000u + 2);
}

TEST(TelephoneEventSender, event_of_exactly_one_segment_is_not_split) {
  TelephoneEventSender sender(65'535, 1000);
  sender.add('1', 1000, 0);
  const auto sent = played(sender, 1000);
  ASSERT_EQ(sent.size(), 66u + 2);
  EXPECT_EQ(sent[65].packet.event.duration, 0xffff);
  EXPECT_TRUE(sent[65].packet.event.end);
  EXPECT_EQ(sent.back().timestamp, 0u);
}

TEST(TelephoneEventSender, bounds_hold_whatever_an_info_asks_for) {
  TelephoneEventSender sender(8000, 160);
  EXPECT_FALSE(sender.add('x'));
  EXPECT_FALSE(sender.active());
  EXPECT_TRUE(sender.add('1', 0xffffffff, 0xffffffff));
  for (std::size_t i = 1; i < limits::kDtmfQueueDigits; ++i) EXPECT_TRUE(sender.add('2', 40, 40));
  EXPECT_FALSE(sender.add('3')) << "the queue is full";
  std::uint32_t intervals_of_first = 0;
  for (; intervals_of_first < 10'000; ++intervals_of_first) {
    const auto packet = sender.next();
    if (packet && packet->event.event == 2) break;
  }
  EXPECT_EQ(intervals_of_first, 2 * 60'000u / 20) << "60 s of digit and 60 s of gap";
  EXPECT_TRUE(sender.add('3')) << "room again";
}

TEST(TelephoneEventSender, odd_rates_end_all_the_same) {
  for (const auto& [rate, ticks] : {std::pair{0u, 0u},
                                    {1u, 0u},
                                    {8000u, 0u},
                                    {8000u, 70'000u},
                                    {0xffffffffu, 0xffffu},
                                    {8000u, 1u << 29}}) {
    TelephoneEventSender sender(rate, ticks);
    ASSERT_TRUE(sender.add('1', 100, 20));
    int calls = 0;
    for (; sender.active() && calls < 200'000; ++calls) sender.next();
    EXPECT_FALSE(sender.active()) << rate << ' ' << ticks;
  }
}

/// What a receiver makes of the sender's packets after a network did its worst.
std::string heard(const std::vector<Sent>& sent, SeededRandom& random, std::uint64_t loss_percent) {
  TelephoneEventReceiver receiver;
  std::string digits;
  std::vector<Sent> arriving;
  for (const Sent& one : sent) {
    if (random.below(100) < loss_percent) continue;
    arriving.push_back(one);
    if (random.below(5) == 0) arriving.push_back(one);
  }
  for (std::size_t i = 1; i < arriving.size(); ++i) {
    if (random.below(5) == 0) std::swap(arriving[i - 1], arriving[i]);
  }
  for (const Sent& one : arriving) {
    if (const auto digit = receiver.on_packet(one.timestamp, one.packet.event)) digits += *digit;
  }
  return digits;
}

TEST(TelephoneEventReceiver, hears_each_digit_once_through_loss_reordering_and_repeats) {
  const std::string number =
      "0123456789*#ABCD"
      "5555"
      "11";
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TelephoneEventSender sender(8000, 160);
    for (const char digit : number) ASSERT_TRUE(sender.add(digit, 100, 60));
    SeededRandom random(seed);
    // At 10 % a digit is lost with all its seven packets once in ten million.
    EXPECT_EQ(heard(played(sender), random, 10), number);
  }
}

TEST(TelephoneEventReceiver, long_event_is_one_digit) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TelephoneEventSender sender(8000, 160);
    sender.add('7', 30'000, 100);
    sender.add('7', 100, 100);
    SeededRandom random(seed);
    EXPECT_EQ(heard(played(sender), random, 20), "77");
  }
}

TEST(TelephoneEventReceiver, end_alone_is_enough) {
  TelephoneEventReceiver receiver;
  EXPECT_EQ(receiver.on_packet(1000, {3, true, 10, 800}), '3');
  EXPECT_EQ(receiver.on_packet(1000, {3, true, 10, 800}), std::nullopt);
}

TEST(TelephoneEventReceiver, late_end_of_an_earlier_digit_is_not_a_new_one) {
  TelephoneEventReceiver receiver;
  EXPECT_EQ(receiver.on_packet(1000, {3, false, 10, 160}), '3');
  EXPECT_EQ(receiver.on_packet(3000, {4, false, 10, 160}), '4');
  EXPECT_EQ(receiver.on_packet(1000, {3, true, 10, 800}), std::nullopt);
  EXPECT_EQ(receiver.on_packet(3000, {4, true, 10, 800}), std::nullopt);
}

TEST(TelephoneEventReceiver, same_digit_right_after_its_end_is_new) {
  TelephoneEventReceiver receiver;
  EXPECT_EQ(receiver.on_packet(1000, {3, true, 10, 800}), '3');
  EXPECT_EQ(receiver.on_packet(1800, {3, false, 10, 160}), '3');
}

TEST(TelephoneEventReceiver, other_events_are_no_digits) {
  TelephoneEventReceiver receiver;
  EXPECT_EQ(receiver.on_packet(1000, {16, false, 10, 160}), std::nullopt) << "hook flash";
  EXPECT_EQ(receiver.on_packet(1000, {1, false, 10, 160}), '1');
}

}  // namespace
}  // namespace isthmus::rtp
