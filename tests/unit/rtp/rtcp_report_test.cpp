#include "rtp/rtcp_report.hpp"

#include <gtest/gtest.h>

namespace isthmus::rtp {
namespace {

using std::chrono::microseconds;

constexpr Instant kStart = Instant(std::chrono::hours(7));

TEST(RtcpReport, wall_clock_becomes_ntp) {
  EXPECT_EQ(to_ntp(microseconds(0)) >> 32, 0x83aa7e80u) << "1970 in NTP seconds";
  EXPECT_EQ(to_ntp(microseconds(500'000)) & 0xffffffff, 0x80000000u);
  EXPECT_EQ(to_ntp(microseconds(250'000)) & 0xffffffff, 0x40000000u);
  EXPECT_EQ(to_ntp(microseconds(1)) & 0xffffffff, 4294u);
  // 2036-02-07 06:28:16 UTC, where the seconds wrap (RFC 5905 §6, era 1).
  EXPECT_EQ(to_ntp(seconds(2'085'978'496)), 0u);
}

// The example of RFC 3550 §6.4.1, figure 2: a round trip of 6.125 s.
TEST(RtcpReport, round_trip_is_that_of_figure_2) {
  ReportBlock block;
  block.last_sr = 0xb7052000;
  block.delay_since_last_sr = 0x00054000;
  const std::uint64_t arrival = 0xb710'8000ull << 16;
  EXPECT_EQ(round_trip(block, arrival), milliseconds(6125));
}

TEST(RtcpReport, round_trip_is_unknown_without_an_sr_or_from_the_future) {
  ReportBlock block;
  EXPECT_EQ(round_trip(block, 0x12345678'00000000), std::nullopt);
  block.last_sr = 0x56780000;
  block.delay_since_last_sr = 0x20000;
  EXPECT_EQ(round_trip(block, 0x12345679'00000000), std::nullopt) << "claims 2 s of 1 s passed";
  EXPECT_EQ(round_trip(block, 0x1234567a'80000000), milliseconds(500));
}

TEST(RtcpReport, round_trip_survives_the_wrap_of_its_32_bits) {
  ReportBlock block;
  block.last_sr = 0xffff8000;
  block.delay_since_last_sr = 0x4000;
  EXPECT_EQ(round_trip(block, 0x00010000'00000000), milliseconds(250));
}

TEST(RtcpReport, sender_figures_carry_the_timestamp_of_the_moment_not_of_the_last_packet) {
  SendStatistics sent(8000);
  EXPECT_EQ(sent.info(1, kStart), std::nullopt);
  sent.on_packet(0xffffff00, 160, kStart);
  sent.on_packet(0xffffffa0, 160, kStart + milliseconds(20));
  const auto info = sent.info(99, kStart + milliseconds(1020));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->ntp, 99u);
  EXPECT_EQ(info->rtp_timestamp, 0xffffffa0u + 8000);
  EXPECT_EQ(info->packets, 2u);
  EXPECT_EQ(info->octets, 320u);
  EXPECT_EQ(sent.packets(), 2u);
}

TEST(RtcpReport, two_ends_measure_their_round_trip) {
  SendStatistics a_sent, b_sent;
  ReceiveStatistics a_received, b_received;
  const auto wall = [](Instant when) {
    return to_ntp(seconds(1'700'000'000) + std::chrono::duration_cast<microseconds>(when - kStart));
  };
  a_sent.on_packet(160, 160, kStart);
  b_received.on_packet(1, 160, 0xa, 160, kStart + milliseconds(40));

  const Instant a_reports = kStart + seconds(5);
  RtcpCompound report = make_report(0xa, "a@x", a_sent, a_received, wall(a_reports), a_reports);
  Bytes raw;
  report.write(raw);
  const auto at_b = RtcpCompound::parse(raw);
  ASSERT_TRUE(at_b && at_b->sender);
  EXPECT_TRUE(at_b->reports.empty()) << "nothing came to A yet";
  EXPECT_EQ(at_b->cname, "a@x");
  b_received.on_sender_report(at_b->sender->ntp, a_reports + milliseconds(40));

  const Instant b_reports = a_reports + seconds(2);
  report = make_report(0xb, "b@x", b_sent, b_received, 7, b_reports);
  EXPECT_FALSE(report.sender) << "B only listens: RR";
  raw.clear();
  report.write(raw);
  const auto at_a = RtcpCompound::parse(raw);
  ASSERT_TRUE(at_a && at_a->reports.size() == 1);
  EXPECT_EQ(at_a->reports[0].ssrc, 0xau);
  const Instant back = b_reports + milliseconds(60);
  const auto trip = round_trip(at_a->reports[0], wall(back));
  ASSERT_TRUE(trip);
  EXPECT_NEAR(std::chrono::duration<double>(*trip).count(), 0.1, 0.0001);
}

}  // namespace
}  // namespace isthmus::rtp
