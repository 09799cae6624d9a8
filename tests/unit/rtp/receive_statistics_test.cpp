#include "rtp/receive_statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.hpp"

namespace isthmus::rtp {
namespace {

using std::chrono::microseconds;

constexpr std::uint32_t kSsrc = 0x1234;

/// A stream of 20 ms PCMU packets, on time unless told otherwise.
class Stream {
 public:
  explicit Stream(ReceiveStatistics& statistics) : statistics_(statistics) {}

  void packet(std::uint32_t index, Duration late = {}, std::uint32_t ssrc = kSsrc) {
    statistics_.on_packet(static_cast<std::uint16_t>(index), index * 160, ssrc, 160,
                          kStart + index * milliseconds(20) + late);
  }
  void packets(std::uint32_t first, std::uint32_t last, std::uint32_t ssrc = kSsrc) {
    for (std::uint32_t i = first; i <= last; ++i) packet(i, {}, ssrc);
  }

  static constexpr Instant kStart = Instant(std::chrono::hours(100));

 private:
  ReceiveStatistics& statistics_;
};

TEST(ReceiveStatistics, nothing_received_is_nothing_lost) {
  ReceiveStatistics statistics;
  EXPECT_FALSE(statistics.started());
  EXPECT_EQ(statistics.expected(), 0u);
  EXPECT_EQ(statistics.lost(), 0u);
  EXPECT_EQ(statistics.loss_ratio(), 0);
  EXPECT_EQ(statistics.jitter_ms(), 0);
  const ReportBlock block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.highest_sequence, 0u);
  EXPECT_EQ(block.cumulative_lost, 0);
}

TEST(ReceiveStatistics, even_stream_has_no_loss_and_no_jitter) {
  ReceiveStatistics statistics;
  Stream(statistics).packets(100, 599);
  EXPECT_EQ(statistics.received(), 500u);
  EXPECT_EQ(statistics.bytes(), 80'000u);
  EXPECT_EQ(statistics.expected(), 500u);
  EXPECT_EQ(statistics.lost(), 0u);
  EXPECT_EQ(statistics.max_jitter_ms(), 0);
  EXPECT_EQ(statistics.ssrc(), kSsrc);
}

TEST(ReceiveStatistics, loss_is_counted_and_reported_per_interval) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(1, 4);
  stream.packets(7, 10);  // 5 and 6 lost
  ReportBlock block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.ssrc, kSsrc);
  EXPECT_EQ(block.fraction_lost, 51) << "2 of 10, times 256, rounded down";
  EXPECT_EQ(block.cumulative_lost, 2);
  EXPECT_EQ(block.highest_sequence, 10u);
  stream.packets(11, 20);
  EXPECT_EQ(statistics.report(Stream::kStart).fraction_lost, 0);
  stream.packet(24);  // 21 to 23 lost: 3 of 4
  block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.fraction_lost, 192);
  EXPECT_EQ(block.cumulative_lost, 5);
  EXPECT_EQ(statistics.report(Stream::kStart).fraction_lost, 0) << "nothing since";
  EXPECT_EQ(statistics.lost(), 5u);
  EXPECT_DOUBLE_EQ(statistics.loss_ratio(), 5.0 / 24);
}

TEST(ReceiveStatistics, sequence_numbers_wrap_more_than_once) {
  ReceiveStatistics statistics;
  Stream(statistics).packets(65'530, 3 * 65'536 + 5);
  EXPECT_EQ(statistics.expected(), 3u * 65'536 + 5 - 65'530 + 1);
  EXPECT_EQ(statistics.lost(), 0u);
  const ReportBlock block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.highest_sequence, (3u << 16) + 5) << "cycles count from the first packet";
}

TEST(ReceiveStatistics, loss_across_the_wrap_is_seen) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(65'534, 65'535);
  stream.packets(65'538, 65'540);  // 0 and 1 lost
  EXPECT_EQ(statistics.expected(), 7u);
  EXPECT_EQ(statistics.lost(), 2u);
}

TEST(ReceiveStatistics, reordered_packets_are_not_lost) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  for (const std::uint32_t i : {65'533u, 65'535u, 65'534u, 65'537u, 65'536u, 65'538u}) {
    stream.packet(i);
  }
  EXPECT_EQ(statistics.received(), 6u);
  EXPECT_EQ(statistics.expected(), 6u);
  EXPECT_EQ(statistics.lost(), 0u);
}

TEST(ReceiveStatistics, duplicates_never_make_loss_negative) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  for (std::uint32_t i = 1; i <= 10; ++i) {
    stream.packet(i);
    stream.packet(i);
  }
  EXPECT_EQ(statistics.expected(), 10u);
  EXPECT_EQ(statistics.lost(), 0u);
  EXPECT_EQ(statistics.loss_ratio(), 0);
  const ReportBlock block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.cumulative_lost, -10) << "RFC 3550 §6.4.1 wants it negative";
  EXPECT_EQ(block.fraction_lost, 0);
}

TEST(ReceiveStatistics, lone_stray_packet_changes_nothing) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(100, 110);
  stream.packet(40'000);
  stream.packets(111, 120);
  EXPECT_EQ(statistics.expected(), 21u);
  EXPECT_EQ(statistics.lost(), 0u);
  EXPECT_EQ(statistics.received(), 22u) << "it came, after all";
}

TEST(ReceiveStatistics, big_jump_resynchronises_at_the_second_packet) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(1, 3);
  stream.packets(5, 10);           // one lost
  stream.packets(40'000, 40'009);  // restarted sender: the first of them only announces it
  EXPECT_EQ(statistics.expected(), 10u + 9);
  EXPECT_EQ(statistics.lost(), 1u);
  EXPECT_EQ(statistics.received(), 19u);
  EXPECT_EQ(statistics.report(Stream::kStart).highest_sequence, 40'009u);
}

TEST(ReceiveStatistics, jump_back_resynchronises_too) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(10'000, 10'009);
  stream.packets(5'000, 5'009);
  EXPECT_EQ(statistics.expected(), 10u + 9);
  EXPECT_EQ(statistics.lost(), 0u);
}

TEST(ReceiveStatistics, gap_below_the_dropout_limit_is_loss_not_a_jump) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packet(1);
  stream.packet(3'000);
  EXPECT_EQ(statistics.lost(), 2'998u);
  stream.packet(6'000);  // exactly 3000 ahead: a jump
  EXPECT_EQ(statistics.lost(), 2'998u);
}

TEST(ReceiveStatistics, new_source_counts_anew_and_totals_stay) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(1, 5);
  stream.packets(8, 10);  // two lost
  statistics.on_sender_report(0x0123456789abcdef, Stream::kStart);
  stream.packets(30'000, 30'004, 0x9999);
  stream.packets(30'006, 30'009, 0x9999);  // one lost
  EXPECT_EQ(statistics.ssrc(), 0x9999u);
  EXPECT_EQ(statistics.received(), 17u);
  EXPECT_EQ(statistics.expected(), 20u);
  EXPECT_EQ(statistics.lost(), 3u);
  EXPECT_DOUBLE_EQ(statistics.loss_ratio(), 0.15);
  const ReportBlock block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.cumulative_lost, 1);
  EXPECT_EQ(block.fraction_lost, 25);
  EXPECT_EQ(block.last_sr, 0u) << "that report was of the source before";
}

TEST(ReceiveStatistics, duplicates_of_one_source_do_not_hide_the_loss_of_another) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  for (int i = 0; i < 10; ++i) stream.packet(1);
  stream.packet(100, {}, 2);
  stream.packet(105, {}, 2);
  EXPECT_EQ(statistics.lost(), 4u);
}

// Arrivals that alternate between 0 and 5 ms late differ by 5 ms (40 ticks) each time, so after n
// differences the filter of A.8 holds 40 (1 - (15/16)^n).
TEST(ReceiveStatistics, jitter_follows_its_filter) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  for (std::uint32_t i = 0; i <= 30; ++i) {
    stream.packet(i, i % 2 == 0 ? milliseconds(0) : milliseconds(5));
    const double want_ticks = 40 * (1 - std::pow(15.0 / 16, i));
    ASSERT_NEAR(statistics.jitter_ms(), want_ticks / 8, 1e-9) << i;
  }
  const ReportBlock block = statistics.report(Stream::kStart);
  EXPECT_EQ(block.jitter, static_cast<std::uint32_t>(40 * (1 - std::pow(15.0 / 16, 30))));
  const double peak = statistics.max_jitter_ms();
  for (std::uint32_t i = 31; i < 200; ++i) stream.packet(i);
  EXPECT_LT(statistics.jitter_ms(), 0.01);
  EXPECT_GE(statistics.max_jitter_ms(), peak);
}

TEST(ReceiveStatistics, jitter_is_right_while_the_timestamp_wraps) {
  ReceiveStatistics statistics(48'000);
  for (std::uint32_t i = 0; i < 100; ++i) {
    statistics.on_packet(static_cast<std::uint16_t>(i), 0xffffff00u + i * 960, kSsrc, 80,
                         Stream::kStart + i * milliseconds(20));
  }
  EXPECT_EQ(statistics.max_jitter_ms(), 0);
}

TEST(ReceiveStatistics, telephone_event_with_one_timestamp_is_no_jitter) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(0, 9);
  for (std::uint32_t i = 10; i < 18; ++i) {  // eight packets of a digit, all with the time it began
    statistics.on_packet(static_cast<std::uint16_t>(i), 10 * 160, kSsrc, 4,
                         Stream::kStart + i * milliseconds(20));
  }
  stream.packets(18, 30);
  EXPECT_EQ(statistics.max_jitter_ms(), 0);
}

TEST(ReceiveStatistics, new_time_line_of_the_same_source_is_no_jitter) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  stream.packets(0, 9);
  for (std::uint32_t i = 10; i < 20; ++i) {
    statistics.on_packet(static_cast<std::uint16_t>(i), 0x77777777u + i * 160, kSsrc, 160,
                         Stream::kStart + i * milliseconds(20));
  }
  EXPECT_EQ(statistics.max_jitter_ms(), 0);
}

TEST(ReceiveStatistics, clock_rate_change_keeps_jitter_in_ms) {
  ReceiveStatistics statistics;
  Stream stream(statistics);
  for (std::uint32_t i = 0; i < 50; ++i) stream.packet(i, milliseconds(i % 2 * 8));
  const double before = statistics.jitter_ms();
  statistics.set_clock_rate(16'000);
  EXPECT_NEAR(statistics.jitter_ms(), before, 1e-9);
  statistics.set_clock_rate(0);
  EXPECT_NEAR(statistics.jitter_ms(), before, 1e-9) << "no rate at all is ignored";
  EXPECT_EQ(ReceiveStatistics(0).jitter_ms(), 0);
}

TEST(ReceiveStatistics, report_carries_the_last_sr_and_its_age) {
  ReceiveStatistics statistics;
  Stream(statistics).packets(1, 2);
  statistics.on_sender_report(0xb44db705'20000000, Stream::kStart);
  // RFC 3550 figure 2: 5.250 s later.
  const ReportBlock block = statistics.report(Stream::kStart + milliseconds(5250));
  EXPECT_EQ(block.last_sr, 0xb7052000u);
  EXPECT_EQ(block.delay_since_last_sr, 0x00054000u);
  EXPECT_EQ(statistics.report(Stream::kStart - seconds(1)).delay_since_last_sr, 0u);
  EXPECT_EQ(statistics.report(Stream::kStart + std::chrono::hours(40)).delay_since_last_sr,
            0xffffffffu);
}

// A network with loss, reordering and duplication, against a plain count of what it did.
TEST(ReceiveStatistics, random_network_is_counted_right) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    ReceiveStatistics statistics;
    Stream stream(statistics);
    const std::uint32_t first = static_cast<std::uint32_t>(random.below(65'536));
    std::vector<std::pair<std::uint32_t, std::uint32_t>> arrivals;  // when, which
    std::uint32_t lost = 0;
    for (std::uint32_t i = 1; i < 3'000; ++i) {
      const std::uint64_t fate = random.below(100);
      if (fate < 10 && i < 2'990) {
        ++lost;
      } else {
        arrivals.emplace_back(i + (fate < 20 ? random.below(8) : 0), i);
      }
    }
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    stream.packet(first);
    for (const auto& [when, which] : arrivals) stream.packet(first + which);
    EXPECT_EQ(statistics.expected(), 3'000u);
    EXPECT_EQ(statistics.lost(), lost);
    EXPECT_EQ(statistics.received(), 3'000u - lost);
    EXPECT_EQ(statistics.report(Stream::kStart).fraction_lost, (lost << 8) / 3'000);
  }
}

TEST(ReceiveStatistics, hostile_input_keeps_the_ratio_within_bounds) {
  SeededRandom random(77);
  ReceiveStatistics statistics;
  for (int i = 0; i < 100'000; ++i) {
    if (random.below(1000) == 0) statistics.set_clock_rate(random.u32());
    statistics.on_packet(static_cast<std::uint16_t>(random.u32()), random.u32(),
                         static_cast<std::uint32_t>(random.below(50) == 0 ? random.u32() : 1), 10,
                         Stream::kStart + microseconds(random.below(1'000'000'000)));
    ASSERT_GE(statistics.loss_ratio(), 0);
    ASSERT_LE(statistics.loss_ratio(), 1);
    ASSERT_TRUE(std::isfinite(statistics.jitter_ms()));
    if (i % 100 == 0) statistics.report(Stream::kStart + microseconds(i));
  }
}

}  // namespace
}  // namespace isthmus::rtp
