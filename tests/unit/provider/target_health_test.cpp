#include "provider/target_health.hpp"

#include <gtest/gtest.h>

namespace isthmus::provider {
namespace {

using call::HopOutcome;
using sip::Transport;

const TargetKey kFirst{Transport::udp, *Endpoint::parse("192.0.2.1:5060")};
const TargetKey kSecond{Transport::udp, *Endpoint::parse("192.0.2.2:5060")};

class TargetHealthTest : public ::testing::Test {
 protected:
  void watch(Duration probe_interval = {}) {
    health.emplace(TargetHealth::Config{probe_interval, seconds(32)}, random);
    health->set_targets({kFirst, kSecond}, now);
  }
  void outcome(HopOutcome what, unsigned retry_after_s = 0, const TargetKey& target = kFirst) {
    changes.clear();
    health->on_outcome(target, what, retry_after_s, now, changes);
  }
  /// The probes that are due by now.
  std::vector<TargetKey> due() {
    std::vector<TargetKey> probes;
    changes.clear();
    health->on_timeout(now, probes, changes);
    return probes;
  }
  void probe_ends(HopOutcome what, unsigned retry_after_s = 0) {
    outcome(what, retry_after_s);
    bool answered = what == HopOutcome::answered || what == HopOutcome::unavailable;
    health->on_probe_ended(kFirst, answered, now);
  }
  bool alive() const { return health->alive(kFirst); }

  using Keys = std::vector<TargetKey>;
  SeededRandom random{7};
  Instant now{};
  std::optional<TargetHealth> health;
  std::vector<TargetChange> changes;
};

TEST_F(TargetHealthTest, a_host_is_alive_until_it_fails) {
  watch();
  EXPECT_TRUE(alive());
  EXPECT_TRUE(due().empty());
  EXPECT_EQ(std::nullopt, health->next_deadline());
  for (HopOutcome failure :
       {HopOutcome::timeout, HopOutcome::unreachable, HopOutcome::unavailable}) {
    watch();
    outcome(failure);
    EXPECT_FALSE(alive());
    ASSERT_EQ(1u, changes.size());
    EXPECT_FALSE(changes[0].alive);
    EXPECT_TRUE(health->alive(kSecond));
    outcome(failure);
    EXPECT_TRUE(changes.empty()) << "told once";
  }
}

TEST_F(TargetHealthTest, a_dead_host_is_probed_until_it_answers) {
  watch();
  outcome(HopOutcome::timeout);
  EXPECT_EQ(Keys{kFirst}, due());
  EXPECT_TRUE(due().empty()) << "one probe at a time";
  now += seconds(32);
  probe_ends(HopOutcome::timeout);
  EXPECT_TRUE(due().empty());
  EXPECT_GE(*health->next_deadline(), now + milliseconds(4500));
  EXPECT_LE(*health->next_deadline(), now + milliseconds(5500));
  now = *health->next_deadline();
  EXPECT_EQ(Keys{kFirst}, due());
  probe_ends(HopOutcome::answered);
  EXPECT_TRUE(alive());
  EXPECT_EQ(std::nullopt, health->next_deadline());
}

TEST_F(TargetHealthTest, a_probe_answered_503_leaves_the_host_dead) {
  watch();
  outcome(HopOutcome::unreachable);
  ASSERT_EQ(Keys{kFirst}, due());
  probe_ends(HopOutcome::unavailable);
  EXPECT_FALSE(alive());
  EXPECT_TRUE(health->next_deadline());
}

TEST_F(TargetHealthTest, retry_after_holds_the_probe_back) {
  watch();
  outcome(HopOutcome::unavailable, 20);
  EXPECT_FALSE(alive());
  EXPECT_TRUE(due().empty());
  EXPECT_EQ(now + seconds(20), health->next_deadline());
  EXPECT_EQ(seconds(20), health->until_probe(kFirst, now));
  now += seconds(3);
  outcome(HopOutcome::answered);
  EXPECT_FALSE(alive()) << "a BYE may be answered in that pause";
  now += seconds(17);
  EXPECT_EQ(Keys{kFirst}, due());
  probe_ends(HopOutcome::answered);
  EXPECT_TRUE(alive());
}

TEST_F(TargetHealthTest, retry_after_is_bounded) {
  watch();
  outcome(HopOutcome::unavailable, 4'000'000'000u);
  EXPECT_EQ(now + seconds(3600), health->next_deadline());
}

TEST_F(TargetHealthTest, any_answer_brings_a_dead_host_back) {
  watch();
  outcome(HopOutcome::timeout);
  outcome(HopOutcome::answered);
  EXPECT_TRUE(alive());
  ASSERT_EQ(1u, changes.size());
  EXPECT_TRUE(changes[0].alive);
}

// One client's request that the provider never answers must not take the provider from all others.
TEST_F(TargetHealthTest, one_timeout_among_answers_is_that_requests_own_fault) {
  watch();
  now += seconds(100);
  outcome(HopOutcome::answered);
  now += seconds(10);
  outcome(HopOutcome::timeout);
  EXPECT_TRUE(alive());
  EXPECT_EQ(Keys{kFirst}, due()) << "asked at once, though";
  now += seconds(32);
  probe_ends(HopOutcome::timeout);
  EXPECT_FALSE(alive());
}

TEST_F(TargetHealthTest, a_host_that_ignores_options_but_answers_calls_stays_alive) {
  watch();
  outcome(HopOutcome::answered);
  now += seconds(10);
  outcome(HopOutcome::timeout);
  ASSERT_EQ(Keys{kFirst}, due());
  now += seconds(31);
  outcome(HopOutcome::answered);  // of another call
  now += seconds(1);
  probe_ends(HopOutcome::timeout);
  EXPECT_TRUE(alive());
}

TEST_F(TargetHealthTest, a_host_that_never_answered_a_probe_gets_another_chance) {
  watch();
  outcome(HopOutcome::answered);
  now += seconds(60);
  outcome(HopOutcome::timeout);
  ASSERT_FALSE(alive());
  Instant died = now;
  while (!alive() && now < died + seconds(200)) {
    for (const TargetKey& probe : due()) {
      now += seconds(32);
      outcome(HopOutcome::timeout, 0, probe);
      health->on_probe_ended(probe, false, now);
    }
    if (!alive()) now = std::max(now, *health->next_deadline());
  }
  EXPECT_GE(now - died, seconds(60));
  EXPECT_LE(now - died, seconds(70));
}

TEST_F(TargetHealthTest, a_host_that_answered_probes_before_gets_no_chance_without_one) {
  watch(seconds(30));
  ASSERT_EQ((Keys{kFirst, kSecond}), due());
  probe_ends(HopOutcome::answered);
  now += seconds(60);
  outcome(HopOutcome::timeout);
  ASSERT_FALSE(alive());
  for (int i = 0; i < 20; ++i) {
    for (const TargetKey& probe : due()) {
      now += seconds(32);
      outcome(HopOutcome::timeout, 0, probe);
      health->on_probe_ended(probe, false, now);
    }
    now += seconds(6);
  }
  EXPECT_FALSE(alive());
}

TEST_F(TargetHealthTest, living_hosts_are_probed_every_interval_when_there_is_one) {
  watch(seconds(30));
  EXPECT_EQ((Keys{kFirst, kSecond}), due()) << "at once, at first";
  probe_ends(HopOutcome::answered);
  health->on_probe_ended(kSecond, true, now);
  EXPECT_GE(*health->next_deadline(), now + seconds(27));
  EXPECT_LE(*health->next_deadline(), now + seconds(33));
  now += seconds(33);
  EXPECT_EQ((Keys{kFirst, kSecond}), due());
  probe_ends(HopOutcome::unreachable);
  EXPECT_FALSE(alive());
}

TEST_F(TargetHealthTest, hosts_that_stay_keep_their_state_when_the_list_changes) {
  watch();
  outcome(HopOutcome::timeout);
  TargetKey third{Transport::tcp, kSecond.endpoint};
  health->set_targets({kFirst, third}, now);
  EXPECT_FALSE(alive());
  EXPECT_FALSE(health->has(kSecond));
  EXPECT_TRUE(health->alive(third));
  outcome(HopOutcome::timeout, 0, kSecond);
  EXPECT_TRUE(changes.empty());
}

}  // namespace
}  // namespace isthmus::provider
