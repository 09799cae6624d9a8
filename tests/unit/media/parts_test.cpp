// The small pure parts of the relay: port pairs, round trip, tone.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "media/port_pool.hpp"
#include "media/round_trip.hpp"
#include "media/tone.hpp"
#include "rtp/rtcp.hpp"

namespace isthmus::media {
namespace {

TEST(PortPool, gives_every_even_pair_inside_the_range_once) {
  SeededRandom random(1);
  PortPool pool(10001, 10010, random);  // 10002..10009; 10010 has no odd partner inside
  std::set<std::uint16_t> ports;
  while (const auto port = pool.take()) ports.insert(*port);
  EXPECT_EQ((std::set<std::uint16_t>{10002, 10004, 10006, 10008}), ports);
  EXPECT_EQ(4u, pool.size());
  EXPECT_EQ(0u, pool.available());
}

TEST(PortPool, ranges_without_a_pair_are_empty_and_the_whole_space_works) {
  SeededRandom random(1);
  EXPECT_EQ(0u, PortPool(10000, 10000, random).size());
  EXPECT_EQ(0u, PortPool(10001, 10002, random).size());
  EXPECT_EQ(0u, PortPool(20000, 10000, random).size());
  EXPECT_EQ(1u, PortPool(65534, 65535, random).size());
  EXPECT_EQ(32767u, PortPool(0, 65535, random).size()) << "port 0 is none";
}

TEST(PortPool, starts_anywhere_and_takes_a_freed_pair_last) {
  std::set<std::uint16_t> starts;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SeededRandom random(seed);
    PortPool pool(10000, 10009, random);
    const auto first = pool.take();
    ASSERT_TRUE(first);
    starts.insert(*first);
    pool.put_back(*first);
    for (int i = 0; i < 4; ++i) EXPECT_NE(first, pool.take());
    EXPECT_EQ(first, pool.take());
  }
  EXPECT_EQ(5u, starts.size());
}

Bytes sender_report(std::uint64_t ntp) {
  rtp::RtcpCompound compound;
  compound.sender_ssrc = 7;
  compound.sender = rtp::SenderInfo{ntp, 1, 2, 3};
  compound.cname = "a@b";
  Bytes out;
  compound.write(out);
  return out;
}

Bytes receiver_report(std::uint32_t last_sr, std::uint32_t delay) {
  rtp::RtcpCompound compound;
  compound.sender_ssrc = 8;
  rtp::ReportBlock block;
  block.ssrc = 7;
  block.last_sr = last_sr;
  block.delay_since_last_sr = delay;
  compound.reports = {rtp::ReportBlock{}, block};
  Bytes out;
  compound.write(out);
  return out;
}

TEST(RoundTrip, is_read_from_a_sender_report_that_comes_back) {
  const auto sent = glance_at_rtcp(sender_report(0x1111222233334444));
  ASSERT_EQ(0x22223333u, sent.sender_report);
  const auto received = glance_at_rtcp(receiver_report(0x22223333, 65536 / 2));
  ASSERT_EQ(2u, received.report_count);
  EXPECT_FALSE(received.sender_report);

  RoundTrip round_trip;
  const Instant start{};
  round_trip.on_sent(*sent.sender_report, start);
  for (std::size_t i = 0; i < 2; ++i) {
    round_trip.on_report(received.reports[i], start + milliseconds(580));
  }
  EXPECT_NEAR(80.0, round_trip.milliseconds(), 0.01);
}

TEST(RoundTrip, ignores_reports_that_it_never_sent_and_delays_that_cannot_be) {
  RoundTrip round_trip;
  const Instant start{};
  round_trip.on_report({0x55, 0}, start);
  round_trip.on_report({0, 0}, start + seconds(1));
  round_trip.on_sent(0x55, start);
  round_trip.on_report({0x55, 65536}, start + milliseconds(999));
  EXPECT_EQ(0, round_trip.milliseconds());
  for (std::uint32_t i = 100; i < 108; ++i) round_trip.on_sent(i, start);
  round_trip.on_report({0x55, 0}, start + seconds(1));
  EXPECT_EQ(0, round_trip.milliseconds()) << "eight are remembered";
}

TEST(RoundTrip, glance_survives_every_truncation_and_any_block_count) {
  Bytes packet = receiver_report(1, 2);
  const Bytes more = sender_report(3);
  packet.insert(packet.end(), more.begin(), more.end());
  for (std::size_t length = 0; length <= packet.size(); ++length) {
    glance_at_rtcp(ByteView(packet).first(length));
  }
  EXPECT_TRUE(glance_at_rtcp(packet).sender_report) << "compound packets are read to their end";
  packet[0] |= 0x1f;
  EXPECT_LE(glance_at_rtcp(packet).report_count, 4u);
}

/// ITU-T G.711 expansion, written from its tables independently of the encoder.
double expand_mu(std::uint8_t code) {
  const int bits = ~code & 0xff;
  const int magnitude = ((((bits & 0x0f) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84;
  return bits & 0x80 ? -magnitude : magnitude;
}
double expand_a(std::uint8_t code) {
  const int bits = code ^ 0x55;
  const int segment = (bits >> 4) & 7;
  int magnitude = ((bits & 0x0f) << 4) + 8;
  if (segment >= 1) magnitude += 0x100;
  if (segment > 1) magnitude <<= segment - 1;
  return bits & 0x80 ? magnitude : -magnitude;
}

class ToneTest : public ::testing::TestWithParam<std::uint8_t> {};

TEST_P(ToneTest, is_425_hertz_at_minus_ten_dbm_without_a_break) {
  const Tone tone;
  const auto expand = GetParam() == 0 ? expand_mu : expand_a;
  double real = 0, imaginary = 0, energy = 0;
  std::size_t n = 0;
  for (std::uint64_t packet = 0; packet < 50; ++packet) {
    const auto payload = tone.payload(GetParam(), packet);
    ASSERT_TRUE(payload);
    ASSERT_EQ(160u, payload->size());
    for (const std::uint8_t code : *payload) {
      const double sample = expand(code);
      const double phase = 2 * std::numbers::pi * 425 * static_cast<double>(n++) / 8000;
      real += sample * std::cos(phase);
      imaginary += sample * std::sin(phase);
      energy += sample * sample;
    }
  }
  const double power = energy / static_cast<double>(n);
  const double at_425 = 2 * (real * real + imaginary * imaginary) / static_cast<double>(n * n);
  EXPECT_GT(at_425 / power, 0.999) << "all of the energy is in one line";
  const double dbm = 10 * std::log10(power / (32767.0 * 32767.0 / 2)) + 3.14;
  EXPECT_NEAR(-10.0, dbm, 0.1);
}

INSTANTIATE_TEST_SUITE_P(both_laws, ToneTest, ::testing::Values(std::uint8_t{0}, std::uint8_t{8}));

TEST(Tone, other_payload_types_have_none) {
  const Tone tone;
  for (const int type : {3, 9, 18, 96, 111}) {
    EXPECT_FALSE(tone.payload(static_cast<std::uint8_t>(type), 0));
  }
}

}  // namespace
}  // namespace isthmus::media
