#include "audio/jitter_buffer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <optional>

#include "base/random.hpp"

namespace isthmus::audio {
namespace {

using Kind = JitterBuffer::Kind;
using Inserted = JitterBuffer::Inserted;

constexpr std::uint32_t kTicks = 160;  // 20 ms at 8000 Hz

Instant at_ms(double ms) {
  return Instant(std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(1'000'000 + ms)));
}
double to_ms(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// What a packet's payload says: its index in the trace.
Bytes payload_of(std::uint32_t index) {
  Bytes out;
  Writer(out).u32(index);
  return out;
}

struct Packet {
  double arrival_ms = 0;
  rtp::RtpHeader header;
  std::uint32_t index = 0;
};

struct Trace {
  std::size_t count = 1500;  // 30 s
  std::uint64_t seed = 1;
  double sender_rate = 8000;  ///< real samples a second of a clock that calls itself 8000
  std::uint16_t first_sequence = 100;
  std::uint32_t first_timestamp = 5000;
  /// Delay of packet i sent at t ms; nothing: lost.
  std::function<std::optional<double>(std::size_t i, double sent_ms, SeededRandom&)> path{};

  std::vector<Packet> packets() const {
    SeededRandom random(seed);
    std::vector<Packet> all;
    for (std::size_t i = 0; i < count; ++i) {
      const double sent = static_cast<double>(i) * 20 * 8000 / sender_rate;
      const auto delay = path ? path(i, sent, random) : std::optional<double>(50);
      if (!delay) continue;
      const auto index = static_cast<std::uint32_t>(i);
      all.push_back({sent + *delay,
                     {.marker = i == 0,
                      .payload_type = 0,
                      .sequence = static_cast<std::uint16_t>(first_sequence + i),
                      .timestamp = first_timestamp + kTicks * index,
                      .ssrc = 77},
                     index});
    }
    return all;
  }
};

/// Plays a buffer as a sound card would: 20 ms wanted every 20 ms, frames shortened or lengthened
/// by 5 ms when asked for, if the consumer is obedient.
class Player {
 public:
  explicit Player(const JitterConfig& config = {}, bool obedient = true)
      : buffer(config), obedient_(obedient) {}

  void run(std::vector<Packet> packets, double from_ms, double until_ms) {
    std::stable_sort(packets.begin(), packets.end(),
                     [](const Packet& a, const Packet& b) { return a.arrival_ms < b.arrival_ms; });
    std::size_t next = 0;
    for (double now = from_ms; now < until_ms; now += 20) {
      for (; next < packets.size() && packets[next].arrival_ms <= now; ++next) {
        const Packet& packet = packets[next];
        buffer.insert(packet.header, payload_of(packet.index), kTicks, at_ms(packet.arrival_ms));
      }
      for (; ready_ms_ < 20; pop(now)) {
      }
      ready_ms_ -= 20;
    }
  }

  double concealed_ratio() const { return buffer.statistics(at_ms(0)).concealed_ratio; }
  JitterStatistics statistics() const { return buffer.statistics(at_ms(last_ms_)); }
  double mean_delay_ms() const { return delay_sum_ / std::max<double>(1, delays_); }

  JitterBuffer buffer;
  std::vector<std::uint32_t> played;
  int lost = 0, empty = 0, fec = 0;
  int shortened = 0, lengthened = 0;
  double latest_delay_ms = 0;

 private:
  void pop(double now) {
    last_ms_ = now;
    const JitterBuffer::Playout out = buffer.pop(at_ms(now));
    ASSERT_EQ(out.ticks, kTicks);
    ready_ms_ += 20;
    if (out.kind == Kind::lost) ++lost;
    if (out.kind == Kind::lost && !out.next.empty()) ++fec;
    if (out.kind == Kind::empty) ++empty;
    if (out.kind != Kind::frame) return;
    played.push_back(Reader(out.payload).u32());
    latest_delay_ms = to_ms(buffer.statistics(at_ms(now)).delay);
    delay_sum_ += latest_delay_ms;
    delays_ += 1;
    if (!obedient_) return;
    if (out.adjust == JitterBuffer::Adjust::shorten) {
      ready_ms_ -= 5;
      ++shortened;
    }
    if (out.adjust == JitterBuffer::Adjust::lengthen) {
      ready_ms_ += 5;
      ++lengthened;
    }
  }

  bool obedient_;
  double ready_ms_ = 0, last_ms_ = 0;
  double delay_sum_ = 0, delays_ = 0;
};

void expect_in_order(const Player& player) {
  EXPECT_TRUE(std::is_sorted(player.played.begin(), player.played.end()));
  EXPECT_EQ(std::adjacent_find(player.played.begin(), player.played.end()), player.played.end());
}

double exponential(SeededRandom& random, double mean) {
  return -mean * std::log(1 - static_cast<double>(random.below(1'000'000)) / 1e6);
}

TEST(JitterBuffer, perfect_path_plays_everything_with_little_delay) {
  Player player;
  player.run(Trace{}.packets(), 3, 30'000);
  EXPECT_EQ(player.statistics().lost, 0u);
  EXPECT_EQ(player.lost, 0);
  EXPECT_GT(player.played.size(), 1490u);
  expect_in_order(player);
  EXPECT_LT(player.latest_delay_ms, 50);
  EXPECT_GE(player.latest_delay_ms, 18);
}

class Jitter : public ::testing::TestWithParam<std::tuple<std::uint64_t, double>> {};

TEST_P(Jitter, few_packets_are_late_and_the_delay_stays_in_bounds) {
  const auto [seed, mean] = GetParam();
  std::cout << "seed " << seed << ", exponential jitter, mean " << mean << " ms\n";
  Trace trace{.count = 6000, .seed = seed};
  trace.path = [mean = mean](std::size_t, double, SeededRandom& random) {
    return std::optional(40 + exponential(random, mean));
  };
  Player player;
  player.run(trace.packets(), 7, 120'000);
  const JitterStatistics all = player.statistics();
  expect_in_order(player);
  EXPECT_EQ(all.lost, 0u);
  EXPECT_LT(static_cast<double>(all.late) / static_cast<double>(all.received), 0.015);
  EXPECT_LT(all.concealed_ratio, 0.025);
  // 98 % of an exponential distribution lie below 3.9 means.
  EXPECT_LT(player.mean_delay_ms(), 4 * mean + 60);
}

INSTANTIATE_TEST_SUITE_P(SeedsAndMeans, Jitter,
                         ::testing::Combine(::testing::Values(1, 2, 3),
                                            ::testing::Values(3.0, 10.0, 25.0)));

TEST(JitterBuffer, consumer_that_never_stretches_is_served_nearly_as_well) {
  Trace trace{.count = 6000, .seed = 4};
  trace.path = [](std::size_t, double, SeededRandom& random) {
    return std::optional(40 + exponential(random, 10));
  };
  Player player({}, false);
  player.run(trace.packets(), 7, 120'000);
  expect_in_order(player);
  EXPECT_LT(player.concealed_ratio(), 0.03);
  EXPECT_LT(player.mean_delay_ms(), 160);
}

class RandomLoss : public ::testing::TestWithParam<double> {};

TEST_P(RandomLoss, only_what_is_lost_is_concealed) {
  const double loss = GetParam();
  Trace trace{.count = 6000, .seed = 9};
  trace.path = [loss](std::size_t, double, SeededRandom& random) -> std::optional<double> {
    if (static_cast<double>(random.below(10'000)) < loss * 10'000) return std::nullopt;
    return 30 + static_cast<double>(random.below(8));
  };
  const auto packets = trace.packets();
  Player player;
  player.run(packets, 5, 120'000);
  const JitterStatistics all = player.statistics();
  const double real = 1 - static_cast<double>(packets.size()) / 6000;
  expect_in_order(player);
  EXPECT_EQ(all.late, 0u);
  EXPECT_NEAR(static_cast<double>(all.lost), real * 6000, 5);
  EXPECT_NEAR(all.concealed_ratio, real, 0.005);
  EXPECT_LT(player.mean_delay_ms(), 60);
}

INSTANTIATE_TEST_SUITE_P(Rates, RandomLoss, ::testing::Values(0.01, 0.05, 0.20));

TEST(JitterBuffer, codec_with_fec_gets_the_packet_after_the_lost_one) {
  Trace trace{.count = 3000, .seed = 12};
  trace.path = [](std::size_t i, double, SeededRandom& random) -> std::optional<double> {
    if (i % 12 == 11) return std::nullopt;
    return 30 + static_cast<double>(random.below(5));
  };
  Player player({.fec = true});
  player.run(trace.packets(), 5, 60'000);
  EXPECT_GT(player.lost, 240);
  EXPECT_GT(player.fec, player.lost * 9 / 10);
}

TEST(JitterBuffer, reordered_packets_are_played_in_order) {
  Trace trace{.seed = 5};
  trace.path = [](std::size_t i, double, SeededRandom&) {
    return std::optional(i % 7 == 3 ? 75.0 : 30.0);  // overtaken by two
  };
  Player player;
  player.run(trace.packets(), 5, 30'000);
  expect_in_order(player);
  EXPECT_EQ(player.statistics().lost, 0u);
  // Only until the buffer has learnt of it.
  EXPECT_LE(player.statistics().late, 2u);
  EXPECT_LT(player.lost, 6);
}

TEST(JitterBuffer, duplicates_are_counted_and_played_once) {
  Trace trace{};
  auto packets = trace.packets();
  const auto originals = packets;
  for (Packet copy : originals) {
    copy.arrival_ms += copy.index % 2 ? 3 : 90;  // before and after play-out
    packets.push_back(copy);
  }
  Player player;
  player.run(packets, 5, 30'000);
  expect_in_order(player);
  EXPECT_GT(player.statistics().duplicates, 1490u);
  EXPECT_EQ(player.statistics().late, 0u);
  EXPECT_EQ(player.lost, 0);
}

TEST(JitterBuffer, sequence_and_timestamp_wrap_around_unnoticed) {
  Trace trace{.first_sequence = 65'300, .first_timestamp = 0xffffff00U - 300 * kTicks};
  trace.path = [](std::size_t i, double, SeededRandom&) {
    return std::optional(i % 9 == 0 ? 55.0 : 35.0);  // reordered across the wrap too
  };
  Player player;
  player.run(trace.packets(), 5, 30'000);
  expect_in_order(player);
  EXPECT_EQ(player.statistics().restarts, 0u);
  EXPECT_EQ(player.statistics().lost, 0u);
  EXPECT_GT(player.played.size(), 1490u);
}

TEST(JitterBuffer, new_ssrc_takes_over_at_once) {
  auto first = Trace{.count = 500}.packets();
  auto second = Trace{.count = 500, .first_sequence = 40'000, .first_timestamp = 99}.packets();
  for (Packet& packet : second) {
    packet.header.ssrc = 4242;
    packet.arrival_ms += 10'000;
    packet.index += 1000;
  }
  first.insert(first.end(), second.begin(), second.end());
  Player player;
  player.run(first, 5, 20'200);
  expect_in_order(player);
  EXPECT_EQ(player.statistics().restarts, 1u);
  EXPECT_GT(player.played.size(), 985u);
  EXPECT_EQ(player.played.back(), 1499u);
}

TEST(JitterBuffer, sender_that_restarts_its_numbers_is_followed_after_two_packets) {
  auto first = Trace{.count = 300}.packets();
  auto second =
      Trace{.count = 300, .first_sequence = 31'000, .first_timestamp = 2'000'000'000}.packets();
  for (Packet& packet : second) {
    packet.arrival_ms += 6'000;
    packet.index += 1000;
  }
  first.insert(first.end(), second.begin(), second.end());
  Player player;
  player.run(first, 5, 12'000);
  EXPECT_EQ(player.statistics().restarts, 1u);
  EXPECT_EQ(player.statistics().rejected, 1u);
  EXPECT_GT(player.played.size(), 590u);
}

TEST(JitterBuffer, timestamps_that_jump_without_the_sequence_are_followed) {
  auto packets = Trace{.count = 600}.packets();
  for (Packet& packet : packets) {
    if (packet.index >= 300) packet.header.timestamp += 1'000'000'000;
  }
  Player player;
  player.run(packets, 5, 12'000);
  EXPECT_GT(player.played.size(), 590u);
  EXPECT_LT(player.lost, 5);
  EXPECT_EQ(player.statistics().lost, 0u);
}

TEST(JitterBuffer, outage_of_three_seconds_ends_without_lasting_delay) {
  Trace trace{.count = 1000};
  trace.path = [](std::size_t, double sent, SeededRandom&) -> std::optional<double> {
    if (sent > 5'000 && sent < 8'000) return std::nullopt;
    return 40;
  };
  Player player;
  player.run(trace.packets(), 5, 20'200);
  expect_in_order(player);
  EXPECT_NEAR(static_cast<double>(player.statistics().lost), 150, 2);
  EXPECT_LT(player.latest_delay_ms, 60);
  EXPECT_EQ(player.played.back(), 999u);
  EXPECT_GT(player.played.size(), 840u);
}

TEST(JitterBuffer, freeze_and_burst_keeps_within_the_longest_delay) {
  for (const double freeze : {150.0, 700.0, 2'500.0}) {
    Trace trace{.count = 2000};
    trace.path = [freeze](std::size_t, double sent, SeededRandom&) {
      const double held = sent > 5'000 && sent < 5'000 + freeze ? 5'000 + freeze - sent : 0;
      return std::optional(40 + held);
    };
    Player player;
    player.run(trace.packets(), 5, 7'000 + freeze);
    EXPECT_LT(player.latest_delay_ms, 345) << freeze;
    expect_in_order(player);
    // 150 ms fit into the longest delay: nothing may be thrown away.
    if (freeze < 200) {
      EXPECT_EQ(player.statistics().late + player.statistics().trimmed, 0u);
    }
  }
}

TEST(JitterBuffer, delay_step_is_learnt_quickly_and_forgotten_slowly) {
  Trace trace{.count = 4000};
  trace.path = [](std::size_t i, double sent, SeededRandom& random) {
    const bool rough = sent > 10'000 && sent < 25'000;
    return std::optional(40 + (rough && i % 2 ? static_cast<double>(random.below(120)) : 0));
  };
  const auto packets = trace.packets();
  Player player;
  player.run(packets, 5, 10'000);
  EXPECT_LT(player.latest_delay_ms, 50);
  std::vector<Packet> rest;
  for (const Packet& packet : packets) {
    if (packet.arrival_ms > 10'000 - 15) rest.push_back(packet);
  }
  const int lost_before = player.lost;
  player.run(rest, 10'005, 80'000);
  // The first seconds cost a few frames; then 15 s of roughness cost next to nothing.
  EXPECT_LT(player.lost - lost_before, 30);
  EXPECT_LT(player.latest_delay_ms, 60);
  EXPECT_GT(player.shortened, 5);
  EXPECT_GT(player.lengthened + player.lost, 5);
}

TEST(JitterBuffer, talk_spurts_are_played_whole_and_silence_is_not_loss) {
  auto packets = Trace{.count = 3000}.packets();
  std::vector<Packet> spurts;
  std::uint16_t sequence = 0;
  for (Packet packet : packets) {
    const std::uint32_t within = packet.index % 100;
    if (within >= 60) continue;  // 1.2 s of speech, 0.8 s of silence
    packet.header.sequence = sequence++;
    packet.header.marker = within == 0;
    packet.arrival_ms += packet.index % 3 * 4;
    spurts.push_back(packet);
  }
  Player player;
  player.run(spurts, 5, 61'000);
  expect_in_order(player);
  EXPECT_EQ(player.played.size(), spurts.size());
  EXPECT_EQ(player.statistics().lost, 0u);
  EXPECT_LT(player.statistics().concealed_ratio, 0.02);
  EXPECT_LT(player.mean_delay_ms(), 70);
}

TEST(JitterBuffer, short_pause_within_the_stream_waits_and_conceals_nothing_for_good) {
  auto packets = Trace{.count = 400}.packets();
  std::vector<Packet> kept;
  std::uint16_t sequence = 0;
  for (Packet packet : packets) {
    if (packet.index % 40 >= 30) continue;  // pauses of 200 ms, no idle time-out
    packet.header.sequence = sequence++;
    kept.push_back(packet);
  }
  Player player;
  player.run(kept, 5, 8'200);
  EXPECT_EQ(player.played.size(), kept.size());
  EXPECT_EQ(player.statistics().lost, 0u);
  EXPECT_LT(player.latest_delay_ms, 65);
}

TEST(JitterBuffer, telephone_events_between_audio_are_not_missing) {
  Player player;
  for (std::uint32_t i = 0; i < 300; ++i) {
    const rtp::RtpHeader header = {
        .sequence = static_cast<std::uint16_t>(i), .timestamp = i * kTicks, .ssrc = 1};
    const double now = i * 20.0;
    if (i % 50 >= 40) {
      player.buffer.insert_other(header);
      player.run({}, now + 1, now + 2);
    } else {
      player.run({{now, header, i}}, now + 1, now + 2);
    }
  }
  EXPECT_EQ(player.statistics().lost, 0u);
  EXPECT_GE(player.played.size(), 236u);
}

class Drift : public ::testing::TestWithParam<std::tuple<double, bool>> {};

TEST_P(Drift, ten_minutes_without_overflow_or_underflow) {
  const auto [rate, obedient] = GetParam();
  std::cout << "sender at " << rate << " Hz, seed 21\n";
  Trace trace{.count = 30'000, .seed = 21, .sender_rate = rate};
  trace.path = [](std::size_t, double, SeededRandom& random) {
    return std::optional(40 + static_cast<double>(random.below(6)));
  };
  Player player({}, obedient);
  player.run(trace.packets(), 5, 599'000);
  const JitterStatistics all = player.statistics();
  expect_in_order(player);
  EXPECT_EQ(all.lost, 0u);
  EXPECT_LT(player.mean_delay_ms(), obedient ? 65 : 130);
  if (obedient) {
    // 750 ms of difference in ten minutes; all of it stretched away.
    EXPECT_LE(player.lost, 5);
    EXPECT_EQ(all.trimmed, 0u);
    EXPECT_LE(all.late, 3u);
    EXPECT_GT(rate > 8000 ? player.shortened : player.lengthened, 100);
  } else {
    EXPECT_LT(player.lost, 60);
    EXPECT_LT(all.trimmed, 60u);
  }
}

INSTANTIATE_TEST_SUITE_P(Clocks, Drift,
                         ::testing::Combine(::testing::Values(8010.0, 7990.0), ::testing::Bool()));

TEST(JitterBuffer, nobody_popping_keeps_memory_and_restarts_cleanly) {
  JitterBuffer buffer({});
  for (std::uint32_t i = 0; i < 5000; ++i) {
    buffer.insert({.sequence = static_cast<std::uint16_t>(i), .timestamp = i * kTicks, .ssrc = 1},
                  payload_of(i), kTicks, at_ms(i * 20.0));
  }
  const JitterBuffer::Playout out = buffer.pop(at_ms(100'100));
  ASSERT_EQ(out.kind, Kind::frame);
  EXPECT_GT(Reader(out.payload).u32(), 4980u);  // the freshest, not five seconds ago
}

TEST(JitterBuffer, impossible_durations_are_rejected) {
  JitterBuffer buffer({});
  const rtp::RtpHeader header = {.sequence = 1, .timestamp = 1, .ssrc = 1};
  EXPECT_EQ(buffer.insert(header, payload_of(1), 0, at_ms(0)), Inserted::rejected);
  EXPECT_EQ(buffer.insert(header, payload_of(1), 961, at_ms(0)), Inserted::rejected);
  EXPECT_EQ(buffer.insert(header, Bytes(3000), kTicks, at_ms(0)), Inserted::rejected);
  EXPECT_EQ(buffer.insert(header, payload_of(1), 960, at_ms(0)), Inserted::buffered);
  EXPECT_EQ(buffer.statistics(at_ms(0)).rejected, 3u);
}

TEST(JitterBuffer, hostile_headers_never_break_it) {
  constexpr std::uint64_t kSeed = 99;
  std::cout << "seed " << kSeed << '\n';
  SeededRandom random(kSeed);
  JitterBuffer buffer({.fec = true});
  rtp::RtpHeader header = {.ssrc = 1};
  double now = 0;
  std::uint64_t frames = 0;
  for (int i = 0; i < 300'000; ++i) {
    now += static_cast<double>(random.below(30));
    const auto dice = random.below(20);
    header.sequence =
        static_cast<std::uint16_t>(header.sequence + (dice == 0 ? random.u32() : random.below(4)));
    header.timestamp += dice == 1 ? random.u32() : static_cast<std::uint32_t>(random.below(1000));
    if (dice == 2) header.timestamp -= static_cast<std::uint32_t>(random.below(5000));
    if (random.below(2000) == 0) header.ssrc = random.u32();
    header.marker = dice == 3;
    if (dice == 4) {
      buffer.insert_other(header);
    } else {
      buffer.insert(header, payload_of(7), static_cast<std::uint32_t>(random.below(1000)),
                    at_ms(now));
    }
    if (random.below(2) == 0) continue;
    const JitterBuffer::Playout out = buffer.pop(at_ms(now));
    ASSERT_GT(out.ticks, 0u);
    ASSERT_LE(out.ticks, 960u);
    if (out.kind == Kind::frame) ++frames;
    const JitterStatistics all = buffer.statistics(at_ms(now));
    ASSERT_GE(all.concealed_ratio, 0);
    ASSERT_LE(all.concealed_ratio, 1);
    ASSERT_LE(all.target, milliseconds(300));
    ASSERT_GE(all.target, milliseconds(20));
  }
  EXPECT_GT(frames, 1000u);
}

}  // namespace
}  // namespace isthmus::audio
