// When UDP is tried again after it let a session down, and whether media passes it at all.
#include "net/udp_trust.hpp"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "net/media_proof.hpp"

namespace isthmus::net {
namespace {

struct Trust {
  SeededRandom random{7};
  UdpTrust udp{random};
  Instant now{};

  /// A link that served for so long, and went down.
  void served(Duration time, bool media_alone = false) {
    udp.on_up(now);
    udp.on_proved();
    now += time;
    udp.on_down(now, media_alone);
  }
};

void expect_about(Duration found, Duration expected) {
  EXPECT_GE(found, expected * 3 / 4);
  EXPECT_LE(found, expected * 5 / 4);
}

TEST(UdpTrust, is_there_at_the_start_and_the_first_trial_comes_soon) {
  Trust trust;
  EXPECT_TRUE(trust.udp.trusted(trust.now));
  expect_about(trust.udp.next_trial(trust.now) - trust.now, UdpTrust::kFirst);
}

TEST(UdpTrust, trials_that_come_to_nothing_come_ever_later_and_the_wait_is_bounded) {
  Trust trust;
  Duration expected = UdpTrust::kFirst;
  for (int i = 0; i < 12; ++i) {
    trust.udp.on_trial_failed(trust.now);
    expect_about(trust.udp.next_trial(trust.now) - trust.now, expected);
    expected = std::min(2 * expected, UdpTrust::kLast);
    trust.now = trust.udp.next_trial(trust.now);
  }
}

TEST(UdpTrust, a_link_that_served_long_is_taken_up_again_at_once) {
  Trust trust;
  trust.served(UdpTrust::kStable);
  EXPECT_TRUE(trust.udp.trusted(trust.now));
}

TEST(UdpTrust, one_that_did_not_is_not) {
  Trust trust;
  trust.served(seconds(3));
  EXPECT_FALSE(trust.udp.trusted(trust.now));
  EXPECT_TRUE(trust.udp.trusted(trust.now + UdpTrust::kFirst * 2));
}

TEST(UdpTrust, nor_one_that_lets_the_handshake_through_and_no_media_however_long_it_was_up) {
  Trust trust;
  trust.udp.on_up(trust.now);
  trust.now += std::chrono::hours(1);
  trust.udp.on_down(trust.now, true);
  EXPECT_FALSE(trust.udp.trusted(trust.now + UdpTrust::kAfterMedia / 2));
  expect_about(trust.udp.next_trial(trust.now) - trust.now, UdpTrust::kAfterMedia);
  Trust silent;
  silent.served(std::chrono::hours(1), true);
  EXPECT_FALSE(silent.udp.trusted(silent.now));
}

/// A network that drops UDP three seconds after each handshake.
TEST(UdpTrust, a_network_that_drops_it_again_and_again_is_asked_ever_more_rarely) {
  Trust trust;
  int ups = 0;
  for (const Instant end = trust.now + std::chrono::hours(2); trust.now < end; ++ups) {
    trust.served(seconds(3));
    trust.now = trust.udp.next_trial(trust.now);
  }
  EXPECT_GE(ups, 10);
  EXPECT_LE(ups, 24);
}

TEST(UdpTrust, another_network_begins_anew) {
  Trust trust;
  for (int i = 0; i < 6; ++i) trust.served(seconds(1));
  EXPECT_FALSE(trust.udp.trusted(trust.now));
  trust.udp.on_network_changed();
  EXPECT_TRUE(trust.udp.trusted(trust.now));
  expect_about(trust.udp.next_trial(trust.now) - trust.now, UdpTrust::kFirst);
}

TEST(UdpTrust, a_link_that_serves_at_last_forgets_what_was) {
  Trust trust;
  for (int i = 0; i < 6; ++i) trust.served(seconds(1));
  trust.served(UdpTrust::kStable);
  trust.served(seconds(1));
  EXPECT_TRUE(trust.udp.trusted(trust.now + UdpTrust::kFirst * 5 / 4));
}

TEST(UdpTrust, what_goes_down_with_its_session_was_no_failure) {
  Trust trust;
  trust.udp.on_up(trust.now);
  trust.udp.on_over();
  trust.udp.on_down(trust.now, false);
  EXPECT_TRUE(trust.udp.trusted(trust.now));
}

struct Proof {
  MediaProof proof;
  Instant now{};
  int asked = 0, failed = 0;

  void run(Duration time) {
    const Instant end = now + time;
    while (true) {
      const auto next = proof.next_deadline();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      const auto step = proof.on_timeout(now);
      asked += step == MediaProof::Step::ask ? 1 : 0;
      failed += step == MediaProof::Step::failed ? 1 : 0;
    }
    now = end;
  }
};

TEST(MediaProof, a_new_link_is_asked_at_once_and_one_answer_will_do) {
  Proof one;
  one.proof.begin(one.now, {});
  one.run(milliseconds(50));
  EXPECT_EQ(one.asked, 1);
  EXPECT_TRUE(one.proof.on_heard(one.now));
  EXPECT_FALSE(one.proof.asking_since());
  one.run(std::chrono::hours(1));
  EXPECT_EQ(one.asked, 1) << "an idle link is left alone";
  EXPECT_EQ(one.failed, 0);
}

TEST(MediaProof, a_link_that_answers_nothing_fails_within_about_a_second) {
  Proof one;
  one.proof.begin(one.now, {});
  one.run(milliseconds(900));
  EXPECT_EQ(one.failed, 0);
  EXPECT_GE(one.asked, 6) << "losing one or two must not decide";
  one.run(milliseconds(300));
  EXPECT_EQ(one.failed, 1);
}

TEST(MediaProof, a_slow_path_has_three_round_trips) {
  Proof one;
  one.proof.begin(one.now, seconds(1));
  one.run(milliseconds(2900));
  EXPECT_EQ(one.failed, 0);
  one.run(milliseconds(300));
  EXPECT_EQ(one.failed, 1);
}

TEST(MediaProof, media_that_nothing_comes_back_to_is_asked_after_and_then_given_up) {
  Proof one;
  one.proof.begin(one.now, {});
  one.proof.on_heard(one.now);
  for (int i = 0; i < 100; ++i) {  // a call whose other end is silent, but answers pings
    one.proof.on_sent(one.now);
    one.run(milliseconds(20));
    if (one.proof.asking_since()) one.proof.on_heard(one.now);
  }
  EXPECT_EQ(one.failed, 0);
  EXPECT_GE(one.asked, 2);
  EXPECT_LE(one.asked, 5);
  const Instant silent = one.now;
  while (one.failed == 0 && one.now < silent + seconds(5)) {
    one.proof.on_sent(one.now);
    one.run(milliseconds(20));
  }
  EXPECT_LE(one.now - silent, milliseconds(1300));
}

TEST(MediaProof, a_call_that_is_heard_asks_nothing) {
  Proof one;
  one.proof.begin(one.now, {});
  one.run({});
  for (int i = 0; i < 500; ++i) {
    one.proof.on_sent(one.now);
    one.proof.on_heard(one.now);
    one.run(milliseconds(20));
  }
  EXPECT_EQ(one.asked, 1);
}

}  // namespace
}  // namespace isthmus::net
