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

/// RFC 6665 §4.1.2.4: Timer N, 64*T1.
TEST_F(ForkedSubscription, a_fork_that_comes_after_timer_n_is_refused) {
  subscribe();
  accept();
  pass(seconds(31));
  EXPECT_TRUE(notified("fork2", "active;expires=500"));
  pass(seconds(2));
  notify("fork3", "active;expires=500");
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
  EXPECT_EQ(count(alice, "NOTIFY"), 1u);
  EXPECT_TRUE(notified("s", "terminated"));
  EXPECT_TRUE(notified("fork2", "terminated"));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

/// RFC 5057 §5.2: several subscriptions in one dialog end each for itself.
struct SharedDialog : ForkedSubscription {
  void subscribe_also(std::string_view event, unsigned cseq, unsigned expires_s = 600) {
    sip::Message out = by_caller(ok, "SUBSCRIBE", cseq);
    out.add(HeaderId::event, event);
    out.add(HeaderId::expires, std::to_string(expires_s));
    give(out, alice);
    grant(expires_s);
  }
  bool notified_of(std::string_view event, std::string_view state, int status = 200) {
    sip::Message out = by_callee(subscribed, "s", "NOTIFY", ++number_);
    out.add(HeaderId::event, event);
    out.add(HeaderId::subscription_state, state);
    const std::size_t seen = count(alice, "NOTIFY");
    give(out, carol);
    if (count(alice, "NOTIFY") == seen) return false;
    give(response(last(alice, "NOTIFY"), status), alice);
    return true;
  }
  unsigned number_ = 100;
};

TEST_F(SharedDialog, the_first_subscription_ends_for_itself) {
  subscribe();
  accept();
  subscribe_also("dialog", 2);
  EXPECT_TRUE(notified_of("presence", "terminated;reason=noresource"));
  EXPECT_EQ(bridge.call_count(), 1u);
  EXPECT_TRUE(notified_of("dialog", "active;expires=300"));
  subscribe_also("dialog", 3);
  EXPECT_TRUE(notified_of("dialog", "terminated"));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(SharedDialog, another_subscription_ends_for_itself) {
  subscribe();
  accept();
  subscribe_also("presence;id=2", 2);
  EXPECT_TRUE(notified_of("presence;id=2", "terminated"));
  EXPECT_TRUE(notified_of("presence", "active;expires=500"));
  subscribe_also("dialog", 3);
  EXPECT_TRUE(notified_of("dialog", "active", 481));
  EXPECT_TRUE(notified_of("presence", "active;expires=400"));
  EXPECT_TRUE(notified_of("presence", "terminated"));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(SharedDialog, subscriptions_lapse_each_at_its_own_time) {
  subscribe();
  accept();
  subscribe_also("dialog", 2, 60);
  EXPECT_TRUE(notified_of("presence", "terminated"));
  pass(seconds(50));
  EXPECT_TRUE(notified_of("dialog", "active;expires=10"));
  pass(seconds(70));
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

/// RFC 5057 §4.1: a BYE is about an INVITE usage. Whoever is asked says what it makes of it.
TEST_F(SharedDialog, a_bye_ends_no_subscription) {
  subscribe();
  accept();
  give(by_caller(ok, "BYE", 2), alice);
  give(response(last(carol, "BYE"), 481), carol);
  EXPECT_EQ(count(alice, "BYE", 481), 1u);
  EXPECT_TRUE(notified_of("presence", "active;expires=500"));
  EXPECT_TRUE(notified_of("presence", "terminated"));
  expect_nothing_left();
}

/// Nothing would carry its media.
TEST_F(SharedDialog, no_call_begins_in_it) {
  subscribe();
  accept();
  give(by_caller(ok, "INVITE", 2, sdp()), alice);
  EXPECT_EQ(count(alice, "INVITE", 488), 1u);
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  EXPECT_TRUE(notified_of("presence", "terminated"));
  expect_nothing_left();
}

/// The numbers of REFERs differ between the legs once one was challenged (RFC 3515 §2.4.6).
TEST_F(SharedDialog, a_notify_names_a_refer_by_the_number_of_its_leg) {
  router.credentials["alice"] = "secret";
  sip::Message refer = request("REFER", "sip:carol@example.org");
  refer.add(HeaderId::refer_to, "<sip:bob@example.org>");
  give(refer, alice);
  sip::Message challenge = response(last(carol, "REFER"), 401);
  challenge.add(HeaderId::www_authenticate, "Digest realm=\"r\", nonce=\"n\"");
  give(challenge, carol);
  subscribed = last(carol, "REFER");
  ASSERT_EQ(subscribed.cseq()->number, 2u);
  give(response(subscribed, 202, "s"), carol);
  EXPECT_TRUE(notified_of("refer;id=2", "active;expires=60"));
  EXPECT_EQ(last(alice, "NOTIFY").get(HeaderId::event), "refer;id=1");
  EXPECT_TRUE(notified_of("refer;id=2", "terminated;reason=noresource"));
  EXPECT_EQ(bridge.call_count(), 0u);
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
