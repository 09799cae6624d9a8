#include "audio/rtcp_reporter.hpp"

#include <gtest/gtest.h>

#include "audio/g711.hpp"
#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

/// One end: codec, sender, receiver, reporter; its packets are kept.
struct End {
  explicit End(std::uint64_t seed, Instant now)
      : random(seed),
        sender(codec, {}, random, [this](ByteView packet) { rtp.push_back(to_bytes(packet)); }),
        receiver(codec, {}, {}, nullptr),
        reporter(
            "cname" + std::to_string(seed), 8000, seed << 40, random,
            [this](ByteView packet) { rtcp.push_back(to_bytes(packet)); }, now) {}

  SeededRandom random;
  G711Codec codec{G711Law::a};
  std::vector<Bytes> rtp, rtcp;
  RtpSender sender;
  RtpReceiver receiver;
  RtcpReporter reporter;
};

class RtcpReporterTest : public ::testing::Test {
 protected:
  /// One 20 ms step: a sends, b hears; every tenth packet is lost.
  void step(bool a_sends) {
    now_ += milliseconds(20);
    if (a_sends) {
      ASSERT_TRUE(a_.sender.push(Samples(160, 1), 8000, now_));
      if (++count_ % 10 != 0) b_.receiver.on_rtp(a_.rtp.back(), now_);
    }
    for (End* end : {&a_, &b_}) end->reporter.on_timeout(end->sender, end->receiver, now_);
  }

  Instant now_ = Instant(seconds(500));
  End a_{1, now_}, b_{2, now_};
  int count_ = 0;
};

TEST_F(RtcpReporterTest, reports_come_every_five_seconds_or_so_but_never_in_step) {
  std::vector<Instant> times;
  std::size_t seen = 0;
  for (int i = 0; i < 50 * 300; ++i) {
    step(true);
    if (a_.rtcp.size() != seen) times.push_back(now_);
    seen = a_.rtcp.size();
  }
  ASSERT_GT(times.size(), 40u);
  Duration shortest = seconds(100);
  Duration longest = seconds(0);
  for (std::size_t i = 1; i < times.size(); ++i) {
    shortest = std::min(shortest, times[i] - times[i - 1]);
    longest = std::max(longest, times[i] - times[i - 1]);
  }
  EXPECT_GE(shortest, milliseconds(2'050));  // 5 s * 0.5 / 1.21828
  EXPECT_LE(longest, milliseconds(6'180));   // 5 s * 1.5 / 1.21828
  EXPECT_GT(longest - shortest, seconds(2));
}

TEST_F(RtcpReporterTest, sender_report_says_what_was_sent_and_receiver_report_what_was_heard) {
  for (int i = 0; i < 50 * 20; ++i) step(true);
  const auto sr = rtp::RtcpCompound::parse(a_.rtcp.back());
  ASSERT_TRUE(sr);
  ASSERT_TRUE(sr->sender);
  EXPECT_EQ(sr->sender_ssrc, a_.sender.ssrc());
  EXPECT_EQ(sr->cname, "cname1");
  EXPECT_EQ(sr->sender->octets, sr->sender->packets * 160);
  EXPECT_TRUE(sr->reports.empty());

  const auto rr = rtp::RtcpCompound::parse(b_.rtcp.back());
  ASSERT_TRUE(rr);
  EXPECT_FALSE(rr->sender);
  ASSERT_EQ(rr->reports.size(), 1u);
  EXPECT_EQ(rr->reports[0].ssrc, a_.sender.ssrc());
  EXPECT_NEAR(rr->reports[0].fraction_lost, 25.6, 2);
}

TEST_F(RtcpReporterTest, silent_sender_falls_back_to_receiver_reports) {
  for (int i = 0; i < 50 * 10; ++i) step(true);
  for (int i = 0; i < 50 * 30; ++i) step(false);
  const auto rr = rtp::RtcpCompound::parse(a_.rtcp.back());
  ASSERT_TRUE(rr);
  EXPECT_FALSE(rr->sender);
  const auto other = rtp::RtcpCompound::parse(b_.rtcp.back());
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->reports.empty());  // nothing heard since the report before
}

TEST_F(RtcpReporterTest, round_trip_and_remote_loss_are_learnt) {
  const Duration way = milliseconds(60);
  std::size_t a_sent = 0;
  std::size_t b_sent = 0;
  std::vector<std::pair<Instant, std::pair<End*, Bytes>>> flying;
  for (int i = 0; i < 50 * 30; ++i) {
    step(true);
    for (; a_sent < a_.rtcp.size(); ++a_sent)
      flying.push_back({now_ + way, {&b_, a_.rtcp[a_sent]}});
    for (; b_sent < b_.rtcp.size(); ++b_sent)
      flying.push_back({now_ + way, {&a_, b_.rtcp[b_sent]}});
    for (const auto& [when, what] : flying) {
      if (when <= now_ && when > now_ - milliseconds(20)) {
        what.first->reporter.on_rtcp(what.second, what.first->sender, what.first->receiver, now_);
      }
    }
  }
  ASSERT_TRUE(a_.reporter.round_trip());
  EXPECT_NEAR(std::chrono::duration<double>(*a_.reporter.round_trip()).count(), 0.120, 0.002);
  ASSERT_TRUE(a_.reporter.remote());
  EXPECT_NEAR(a_.reporter.remote()->loss_ratio, 0.1, 0.01);
  EXPECT_FALSE(b_.reporter.round_trip());  // b sends no audio, so no sender report answers it
}

TEST_F(RtcpReporterTest, bye_ends_the_stream_and_garbage_is_ignored) {
  for (int i = 0; i < 50; ++i) step(true);
  b_.reporter.on_rtcp(Bytes{1, 2, 3}, b_.sender, b_.receiver, now_);
  b_.reporter.on_rtcp({}, b_.sender, b_.receiver, now_);
  EXPECT_FALSE(b_.reporter.remote_bye());
  a_.reporter.send_bye(a_.sender, a_.receiver, now_);
  b_.reporter.on_rtcp(a_.rtcp.back(), b_.sender, b_.receiver, now_);
  EXPECT_TRUE(b_.reporter.remote_bye());
  const std::size_t before = b_.rtcp.size();
  b_.reporter.send_bye(b_.sender, b_.receiver, now_);  // never sent anything (RFC 3550 §6.3.7)
  EXPECT_EQ(b_.rtcp.size(), before);
}

}  // namespace
}  // namespace isthmus::audio
