// Subscriptions outside calls: each NOTIFY of a fork makes one of its own (RFC 6665 §4.4.1).
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct ForkedSubscription : BridgeBench {
  sip::Message subscribed = sip::Message::request("NONE", "sip:none.invalid");  ///< as carol got it
  sip::Message ok = subscribed;  ///< as alice got it: of the fork "s"

  void subscribe() {
    sip::Message out = request("SUBSCRIBE", "sip:carol@example.org");
    out.add(HeaderId::event, "presence");
    out.add(HeaderId::expires, "600");
    give(out, alice);
    subscribed = last(carol, "SUBSCRIBE");
  }
  void accept() {
    sip::Message accepted = response(subscribed, 202, "s");
    accepted.add(HeaderId::expires, "600");
    give(accepted, carol);
    ok = last(alice, "SUBSCRIBE", 202);
  }
  void notify(std::string_view tag, std::string_view state) {
    sip::Message out = by_callee(subscribed, tag, "NOTIFY", ++cseq_);
    out.add(HeaderId::event, "presence");
    out.add(HeaderId::subscription_state, state);
    give(out, carol);
  }
  /// A NOTIFY that alice answers. @return whether it crossed, and carol got that answer.
  bool notified(std::string_view tag, std::string_view state, int status = 200) {
    const std::size_t seen = count(alice, "NOTIFY"), answered = count(carol, "NOTIFY", status);
    notify(tag, state);
    if (count(alice, "NOTIFY") == seen) return false;
    give(response(last(alice, "NOTIFY"), status), alice);
    return count(carol, "NOTIFY", status) == answered + 1;
  }
  void ask(unsigned expires_s, unsigned cseq, std::string_view tag = "s") {
    sip::Message out = by_caller(ok, "SUBSCRIBE", cseq);
    std::string to(*ok.get(HeaderId::to));
    to.replace(to.find(";tag=") + 5, std::string::npos, tag);
    out.set(HeaderId::to, to);
    out.add(HeaderId::event, "presence");
    out.add(HeaderId::expires, std::to_string(expires_s));
    give(out, alice);
  }
  void grant(unsigned expires_s) {
    sip::Message granted = response(last(carol, "SUBSCRIBE"), 200);
    granted.add(HeaderId::expires, std::to_string(expires_s));
    give(granted, carol);
  }

 private:
  unsigned cseq_ = 0;
};

TEST_F(ForkedSubscription, a_fork_that_is_refused_leaves_the_others) {
  subscribe();
  accept();
  EXPECT_TRUE(notified("s", "active;expires=600"));
  EXPECT_TRUE(notified("fork2", "active;expires=600", 481));
  EXPECT_TRUE(notified("s", "active;expires=500"));
  ask(600, 2);
  EXPECT_EQ(count(carol, "SUBSCRIBE"), 2u);
  grant(600);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 200), 1u);
  EXPECT_TRUE(notified("s", "terminated;reason=noresource"));
  EXPECT_EQ(bridge.call_count(), 0u) << "it ends with the last one";
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].end_reason, "subscription terminated");
  expect_nothing_left();
}

TEST_F(ForkedSubscription, a_fork_that_ends_leaves_the_others) {
  subscribe();
  accept();
  EXPECT_TRUE(notified("s", "active;expires=600"));
  EXPECT_TRUE(notified("fork2", "terminated;reason=rejected"));
  EXPECT_TRUE(notified("s", "active;expires=500"));
  ask(0, 2);
  grant(0);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 200), 1u);
  EXPECT_TRUE(notified("s", "terminated;reason=timeout"));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(ForkedSubscription, the_fork_that_answered_may_end_before_the_others) {
  subscribe();
  accept();
  EXPECT_TRUE(notified("s", "active;expires=600"));
  EXPECT_TRUE(notified("fork2", "active;expires=600"));
  ask(600, 2);
  give(response(last(carol, "SUBSCRIBE"), 481), carol);
  EXPECT_EQ(bridge.call_count(), 1u);
  ask(600, 3);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 481), 2u) << "its dialog is gone";
  EXPECT_EQ(count(carol, "SUBSCRIBE"), 2u);
  EXPECT_TRUE(notified("fork2", "active;expires=500"));
  ask(600, 2, "fork2");
  EXPECT_EQ(count(carol, "SUBSCRIBE"), 3u);
  grant(600);
  EXPECT_TRUE(notified("fork2", "terminated"));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(ForkedSubscription, the_last_notify_may_overtake_the_answer_to_an_unsubscribe) {
  subscribe();
  accept();
  ask(0, 2);
  EXPECT_TRUE(notified("s", "terminated;reason=timeout"));
  EXPECT_EQ(count(alice, "SUBSCRIBE", 481), 0u);
  grant(0);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 200), 1u);
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(ForkedSubscription, a_fork_may_end_before_another_answers) {
  subscribe();
  EXPECT_TRUE(notified("fork2", "terminated;reason=rejected"));
  EXPECT_TRUE(notified("fork3", "active;expires=600", 481));
  accept();
  pass(seconds(120));
  EXPECT_TRUE(notified("s", "active;expires=480"));
  EXPECT_TRUE(notified("s", "terminated"));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(ForkedSubscription, a_notify_that_overtook_the_answer_may_be_refused_for_it) {
  subscribe();
  EXPECT_TRUE(notified("s", "active;expires=600", 481));
  accept();
  pass(seconds(120));
  EXPECT_TRUE(notified("s", "active;expires=480"));
  EXPECT_TRUE(notified("s", "terminated"));
  expect_nothing_left();
}

TEST_F(ForkedSubscription, each_lapses_at_its_own_time) {
  subscribe();
  accept();
  EXPECT_TRUE(notified("fork2", "active;expires=1200"));
  ask(60, 2);
  grant(60);
  pass(seconds(130));  // "s" is not refreshed
  ask(600, 3);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 481), 1u);
  EXPECT_TRUE(notified("fork2", "active;expires=1070"));
  EXPECT_EQ(bridge.call_count(), 1u);
  pass(seconds(1140));
  EXPECT_EQ(bridge.call_count(), 0u);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].end_reason, "subscription expired");
  expect_nothing_left();
}

TEST_F(ForkedSubscription, ends_in_all_forks_when_it_is_refused) {
  subscribe();
  EXPECT_TRUE(notified("fork2", "active;expires=600"));
  notify("fork3", "active;expires=600");
  give(response(subscribed, 403, "s"), carol);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 403), 1u);
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u) << "the one that waited";
  EXPECT_EQ(bridge.call_count(), 0u);
  EXPECT_FALSE(notified("fork2", "active;expires=600"));
  expect_nothing_left();
}

TEST_F(ForkedSubscription, forks_beyond_the_limit_do_not_push_out_the_one_that_answered) {
  subscribe();
  accept();
  for (int fork = 0; fork < 40; ++fork)
    EXPECT_TRUE(notified("f" + std::to_string(fork), "active;expires=600"));
  EXPECT_TRUE(notified("s", "active;expires=600"));
  close_session(alice.session);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
