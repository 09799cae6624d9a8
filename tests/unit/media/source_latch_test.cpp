#include "media/source_latch.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::media {
namespace {

const Endpoint kSdp = *Endpoint::parse("192.0.2.1:4000");
const Endpoint kSdpHost = *Endpoint::parse("192.0.2.1:4777");
const Endpoint kNat = *Endpoint::parse("198.51.100.1:9000");
const Endpoint kOther = *Endpoint::parse("203.0.113.1:9000");
constexpr auto kAccepted = SourceVerdict::accepted;
constexpr auto kUnproven = SourceVerdict::unproven;
constexpr auto kWrong = SourceVerdict::wrong_source;

class SourceLatchTest : public ::testing::Test {
 protected:
  SourceVerdict media(const Endpoint& source, std::uint16_t sequence, std::uint32_t ssrc = 1) {
    return latch.on_media(source, ssrc, sequence, now);
  }
  void prove(const Endpoint& source) {
    EXPECT_EQ(kUnproven, media(source, 1));
    EXPECT_EQ(kAccepted, media(source, 2));
    EXPECT_EQ(source, latch.locked());
  }

  Instant now{};
  SourceLatch latch;
};

TEST_F(SourceLatchTest, nothing_is_heard_or_sent_before_the_sdp) {
  EXPECT_EQ(SourceVerdict::no_remote, media(kSdp, 1));
  EXPECT_EQ(SourceVerdict::no_remote, latch.on_muxed_control(kSdp));
  EXPECT_EQ(SourceVerdict::no_remote, latch.on_control(kSdp, latch));
  EXPECT_EQ(std::nullopt, latch.destination());
}

TEST_F(SourceLatchTest, the_sdp_address_locks_at_once_and_nothing_else_redirects) {
  latch.set_remote(kSdp, now);
  EXPECT_EQ(kSdp, latch.destination());
  EXPECT_EQ(std::nullopt, latch.locked());
  EXPECT_EQ(kAccepted, media(kSdp, 1));
  EXPECT_EQ(kSdp, latch.locked());
  for (const auto& source : {kSdpHost, kNat}) {
    for (std::uint16_t i = 0; i < 10; ++i) EXPECT_EQ(kWrong, media(source, i));
  }
  EXPECT_EQ(kSdp, latch.destination());
}

TEST_F(SourceLatchTest, another_source_needs_two_packets_of_one_stream_in_sequence) {
  latch.set_remote(kSdp, now);
  EXPECT_EQ(kUnproven, media(kNat, 10, 1));
  EXPECT_EQ(kUnproven, media(kNat, 11, 2)) << "another SSRC";
  EXPECT_EQ(kUnproven, media(kNat, 10, 1)) << "a repetition";
  EXPECT_EQ(kUnproven, media(kNat, 9, 1)) << "backwards";
  EXPECT_EQ(kUnproven, media(kNat, 900, 1)) << "a leap";
  EXPECT_EQ(kSdp, latch.destination());
  EXPECT_EQ(kAccepted, media(kNat, 903, 1)) << "two lost";
  EXPECT_EQ(kNat, latch.destination());
}

TEST_F(SourceLatchTest, sequence_numbers_prove_a_stream_across_their_wrap) {
  latch.set_remote(kSdp, now);
  EXPECT_EQ(kUnproven, media(kNat, 65535));
  EXPECT_EQ(kAccepted, media(kNat, 0));
}

TEST_F(SourceLatchTest, single_packets_from_many_sources_do_not_crowd_a_stream_out) {
  latch.set_remote(kSdp, now);
  EXPECT_EQ(kUnproven, media(kNat, 1));
  for (std::uint16_t port = 1; port <= 3; ++port) {
    EXPECT_EQ(kUnproven, media({kOther.address, port}, 1));
  }
  EXPECT_EQ(kAccepted, media(kNat, 2));
}

TEST_F(SourceLatchTest, a_better_source_takes_over_within_the_window_only) {
  latch.set_remote(kSdp, now);
  prove(kNat);
  EXPECT_EQ(kWrong, media(kOther, 1)) << "no better than the one before";
  prove(kSdpHost);
  EXPECT_EQ(kWrong, media(kNat, 3));
  now += limits::kLearnWindow - milliseconds(1);
  EXPECT_EQ(kAccepted, media(kSdp, 1));
  EXPECT_EQ(kSdp, latch.locked());
  EXPECT_EQ(kWrong, media(kSdpHost, 3));
}

TEST_F(SourceLatchTest, after_the_window_even_the_sdp_address_cannot_take_over) {
  latch.set_remote(kSdp, now);
  prove(kNat);
  now += limits::kLearnWindow;
  EXPECT_EQ(kWrong, media(kSdp, 1));
  EXPECT_EQ(kWrong, media(kOther, 1));
  EXPECT_EQ(kAccepted, media(kNat, 3));
  EXPECT_EQ(kNat, latch.destination());
}

TEST_F(SourceLatchTest, after_a_silent_window_only_the_sdp_address_locks) {
  latch.set_remote(kSdp, now);
  now += limits::kLearnWindow;
  EXPECT_EQ(kWrong, media(kNat, 1));
  EXPECT_EQ(kWrong, media(kNat, 2));
  EXPECT_EQ(kWrong, media(kSdpHost, 1));
  EXPECT_EQ(kSdp, latch.destination());
  EXPECT_EQ(kAccepted, media(kSdp, 1));
}

/// An offerer behind NAT, whose call rings for longer than the window.
TEST_F(SourceLatchTest, the_window_opens_again_when_the_other_side_answers) {
  latch.renew(now);
  EXPECT_EQ(SourceVerdict::no_remote, media(kNat, 1));
  latch.set_remote(kSdp, now);
  now += seconds(30);
  EXPECT_EQ(kWrong, media(kNat, 1));
  latch.renew(now);
  prove(kNat);
  now += seconds(30);
  latch.renew(now);
  EXPECT_EQ(kWrong, media(kOther, 1));
  EXPECT_EQ(kWrong, media(kOther, 2)) << "what is locked stays so";
}

/// An answerer behind NAT, whose 200 repeats the description of its 183.
TEST_F(SourceLatchTest, the_same_sdp_again_opens_the_window_again_while_nothing_is_locked) {
  latch.set_remote(kSdp, now);
  now += seconds(30);
  EXPECT_EQ(kWrong, media(kNat, 1));
  latch.set_remote(kSdp, now);
  prove(kNat);
}

TEST_F(SourceLatchTest, the_ssrc_may_change_at_the_locked_address) {
  latch.set_remote(kSdp, now);
  prove(kNat);
  now += limits::kLearnWindow;
  EXPECT_EQ(kAccepted, media(kNat, 40000, 77));
  EXPECT_EQ(77u, latch.ssrc());
}

TEST_F(SourceLatchTest, the_same_sdp_again_keeps_the_lock_and_its_closed_window) {
  latch.set_remote(kSdp, now);
  prove(kNat);
  now += seconds(60);
  latch.set_remote(kSdp, now);
  EXPECT_EQ(kNat, latch.destination());
  EXPECT_EQ(kWrong, media(kSdp, 1));
}

TEST_F(SourceLatchTest, another_sdp_address_learns_anew_and_still_hears_the_old_source) {
  latch.set_remote(kSdp, now);
  prove(kNat);
  now += seconds(60);
  const Endpoint moved{kSdp.address, 6000};
  latch.set_remote(moved, now);
  EXPECT_EQ(moved, latch.destination());
  EXPECT_EQ(kAccepted, media(kNat, 3)) << "on its way when the SDP changed";
  EXPECT_EQ(moved, latch.destination()) << "heard, not sent to";
  const Endpoint new_nat{kNat.address, 9002};
  prove(new_nat);
  EXPECT_EQ(new_nat, latch.destination());
  EXPECT_EQ(kWrong, media(kNat, 4)) << "its time is over";
}

TEST_F(SourceLatchTest, strict_hears_the_sdp_address_only) {
  latch = SourceLatch(SourcePolicy::strict);
  latch.set_remote(kSdp, now);
  for (std::uint16_t i = 0; i < 5; ++i) {
    EXPECT_EQ(kWrong, media(kNat, i));
    EXPECT_EQ(kWrong, media(kSdpHost, i));
    EXPECT_EQ(kAccepted, media(kSdp, i));
  }
  now += seconds(60);
  EXPECT_EQ(kAccepted, media(kSdp, 9));
  latch.set_remote(kOther, now);
  EXPECT_EQ(kWrong, media(kSdp, 10)) << "the old one at once";
  EXPECT_EQ(kAccepted, media(kOther, 1));
}

TEST_F(SourceLatchTest, muxed_rtcp_is_heard_where_rtp_is_and_never_locks) {
  latch.set_remote(kSdp, now);
  EXPECT_EQ(kAccepted, latch.on_muxed_control(kSdp));
  EXPECT_EQ(kWrong, latch.on_muxed_control(kNat));
  EXPECT_EQ(std::nullopt, latch.locked());
  prove(kNat);
  EXPECT_EQ(kAccepted, latch.on_muxed_control(kNat));
  EXPECT_EQ(kWrong, latch.on_muxed_control(kSdp));
}

TEST_F(SourceLatchTest, rtcp_locks_to_the_host_that_rtp_is_locked_to) {
  const Endpoint sdp_control{kSdp.address, 4001}, nat_control{kNat.address, 9555};
  SourceLatch control;
  latch.set_remote(kSdp, now);
  control.set_remote(sdp_control, now);
  EXPECT_EQ(kWrong, control.on_control(nat_control, latch)) << "RTP is not locked yet";
  prove(kNat);
  EXPECT_EQ(kWrong, control.on_control({kOther.address, 9555}, latch));
  now += seconds(30);
  EXPECT_EQ(kAccepted, control.on_control(nat_control, latch)) << "reports are slow";
  EXPECT_EQ(nat_control, control.destination());
  EXPECT_EQ(kWrong, control.on_control({kNat.address, 9556}, latch));
}

TEST_F(SourceLatchTest, strict_rtcp_is_heard_from_its_sdp_address_only) {
  SourceLatch control(SourcePolicy::strict);
  latch.set_remote(kSdp, now);
  control.set_remote({kSdp.address, 4001}, now);
  EXPECT_EQ(kAccepted, media(kSdp, 1));
  EXPECT_EQ(kWrong, control.on_control({kSdp.address, 4003}, latch));
  EXPECT_EQ(kAccepted, control.on_control({kSdp.address, 4001}, latch));
}

}  // namespace
}  // namespace isthmus::media
