// Calls between two user agents on virtual time.
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

using sip::HeaderId;
using States = std::vector<CallState>;

TEST_F(Pair, call_rings_is_answered_and_ended_by_the_caller) {
  const auto [a, b] = talk();
  EXPECT_EQ(ann.states(), (States{CallState::calling, CallState::ringing, CallState::connected}));
  EXPECT_EQ(ben.states(), (States{CallState::connected}));
  EXPECT_EQ(ben.incoming_calls[0].from_uri, "sip:ann@home.example");
  EXPECT_EQ(ben.incoming_calls[0].to_uri, "sip:ben@home.example");
  ASSERT_EQ(ann.media.size(), 1u);
  ASSERT_EQ(ben.media.size(), 1u);
  EXPECT_EQ(ann.media[0].codec, "opus/48000/2");
  EXPECT_EQ(ann.media[0].remote_channel, ben.media[0].local_channel);
  EXPECT_EQ(ben.media[0].remote_channel, ann.media[0].local_channel);
  EXPECT_TRUE(ann.hang_up(a));
  EXPECT_TRUE(ann.ended());
  EXPECT_EQ(ann.last().cause, EndCause::local);
  ASSERT_TRUE(until([&] { return ben.ended(); }));
  EXPECT_EQ(ben.last().cause, EndCause::remote);
  expect_nothing_left();
}

TEST_F(Pair, call_is_ended_by_the_callee) {
  const auto [a, b] = talk();
  EXPECT_TRUE(ben.hang_up(b));
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  EXPECT_EQ(ann.last().cause, EndCause::remote);
  expect_nothing_left();
}

TEST_F(Pair, refused_call_ends_with_status_and_reason) {
  ASSERT_TRUE(ann.call("ben"));
  ASSERT_TRUE(until([&] { return ben.incoming() != 0; }));
  EXPECT_TRUE(ben.reject(ben.incoming(), 486));
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  EXPECT_EQ(ann.last().cause, EndCause::refused);
  EXPECT_EQ(ann.last().status, 486);
  EXPECT_EQ(ann.last().reason, "486 Busy Here");
  expect_nothing_left();
}

TEST_F(Pair, ringing_call_is_cancelled) {
  const auto id = ann.call("ben");
  ASSERT_TRUE(until([&] { return ann.state() == CallState::ringing; }));
  EXPECT_TRUE(ann.hang_up(*id));
  EXPECT_TRUE(ann.ended());
  ASSERT_TRUE(until([&] { return ben.ended(); }));
  EXPECT_EQ(ben.last().cause, EndCause::remote);
  EXPECT_EQ(ben.last().status, 487);
  expect_nothing_left();
}

TEST_F(Pair, call_cancelled_before_any_answer_is_cancelled_as_soon_as_it_may_be) {
  const auto id = ann.call("ben");
  EXPECT_TRUE(ann.hang_up(*id));
  EXPECT_EQ(ann.count_sent("CANCEL "), 0u) << "RFC 3261 §9.1: not before a provisional response";
  ASSERT_TRUE(until([&] { return ben.ended(); }));
  EXPECT_EQ(ann.count_sent("CANCEL "), 1u);
  expect_nothing_left();
}

TEST_F(Pair, answer_that_crosses_the_cancel_is_acknowledged_and_ended) {
  const auto id = ann.call("ben");
  ASSERT_TRUE(until([&] { return ann.state() == CallState::ringing; }));
  EXPECT_TRUE(ben.answer(ben.incoming()));
  EXPECT_TRUE(ann.hang_up(*id));
  ASSERT_TRUE(until([&] { return ben.ended(); }));
  EXPECT_EQ(ann.count_sent("ACK "), 1u);
  EXPECT_EQ(ann.count_sent("BYE "), 1u);
  EXPECT_EQ(ann.states().back(), CallState::ended);
  expect_nothing_left();
}

TEST_F(Pair, hold_and_resume_are_seen_at_both_ends) {
  const auto [a, b] = talk();
  EXPECT_TRUE(ann.hold(a));
  ASSERT_TRUE(
      until([&] { return ann.state() == CallState::held && ben.state() == CallState::held; }));
  EXPECT_TRUE(ann.last().local_hold);
  EXPECT_FALSE(ann.last().remote_hold);
  EXPECT_TRUE(ben.last().remote_hold);
  EXPECT_TRUE(ann.media.back().send && !ann.media.back().receive);
  EXPECT_TRUE(!ben.media.back().send && ben.media.back().receive);
  EXPECT_TRUE(ann.hold(a, false));
  ASSERT_TRUE(until(
      [&] { return ann.state() == CallState::connected && ben.state() == CallState::connected; }));
  EXPECT_TRUE(ann.media.back().send && ann.media.back().receive);
  EXPECT_TRUE(ben.hang_up(b));
  expect_nothing_left();
}

TEST_F(Pair, hold_by_both_ends_leaves_the_call_held_until_both_resume) {
  const auto [a, b] = talk();
  EXPECT_TRUE(ann.hold(a));
  ASSERT_TRUE(until([&] { return ben.state() == CallState::held; }));
  world.run_for(seconds(1));
  EXPECT_TRUE(ben.hold(b));
  ASSERT_TRUE(until([&] { return ben.last().local_hold; }));
  EXPECT_TRUE(ben.last().remote_hold);
  EXPECT_FALSE(ben.media.back().send || ben.media.back().receive);
  world.run_for(seconds(1));
  EXPECT_TRUE(ann.hold(a, false));
  ASSERT_TRUE(until([&] { return !ann.last().local_hold; }));
  EXPECT_EQ(ann.state(), CallState::held) << "ben still holds";
  world.run_for(seconds(1));
  EXPECT_TRUE(ben.hold(b, false));
  ASSERT_TRUE(until(
      [&] { return ann.state() == CallState::connected && ben.state() == CallState::connected; }));
  EXPECT_TRUE(ann.hang_up(a));
  expect_nothing_left();
}

TEST_F(Pair, glare_of_two_holds_is_resolved) {
  const auto [a, b] = talk();
  EXPECT_TRUE(ann.hold(a));
  EXPECT_TRUE(ben.hold(b));
  world.run_for(milliseconds(50));
  EXPECT_EQ(ann.count_sent("SIP/2.0 491"), 1u);
  EXPECT_EQ(ben.count_sent("SIP/2.0 491"), 1u);
  ASSERT_TRUE(until([&] {
    return ann.last().local_hold && ann.last().remote_hold && ben.last().local_hold &&
           ben.last().remote_hold;
  }));
  EXPECT_TRUE(ann.hang_up(a));
  expect_nothing_left();
}

TEST_F(Pair, late_offer_is_answered_in_the_ack) {
  const auto [a, b] = talk(true);
  EXPECT_TRUE(ann.sent("INVITE ").body().empty());
  EXPECT_FALSE(ann.sent("ACK ").body().empty());
  ASSERT_EQ(ann.media.size(), 1u);
  ASSERT_EQ(ben.media.size(), 1u);
  EXPECT_EQ(ann.media[0].codec, ben.media[0].codec);
  EXPECT_EQ(ann.media[0].remote_channel, ben.media[0].local_channel);
  EXPECT_TRUE(ben.hold(b));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::held; }));
  EXPECT_TRUE(ann.hang_up(a));
  expect_nothing_left();
}

TEST_F(Pair, lost_ack_is_sent_again_for_each_2xx) {
  int lost = 0;
  ben.drop_incoming = [&](const std::string& bytes) {
    return bytes.starts_with("ACK ") && ++lost <= 2;
  };
  const auto [a, b] = talk();
  ASSERT_TRUE(until([&] { return ann.count_sent("ACK ") == 3; }));
  EXPECT_EQ(ben.count_sent("SIP/2.0 200"), 3u) << "after 0.5 s and 1 s more";
  world.run_for(seconds(40));
  EXPECT_EQ(ben.count_sent("SIP/2.0 200"), 3u);
  EXPECT_EQ(ben.state(), CallState::connected);
  EXPECT_TRUE(ann.hang_up(a));
  expect_nothing_left();
}

TEST_F(Pair, callee_without_ack_gives_up_after_32_s_with_bye) {
  ben.drop_incoming = [](const std::string& bytes) { return bytes.starts_with("ACK "); };
  talk();
  const Instant begin = world.now;
  ASSERT_TRUE(until([&] { return ben.ended(); }));
  EXPECT_EQ(ben.last().cause, EndCause::timeout);
  EXPECT_NEAR(std::chrono::duration<double>(world.now - begin).count(), 32, 0.5);
  EXPECT_EQ(ben.count_sent("SIP/2.0 200"), 11u) << "0, 0.5, 1.5, 3.5, then every 4 s";
  EXPECT_EQ(ben.count_sent("BYE "), 1u);
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  expect_nothing_left();
}

TEST_F(Pair, callee_says_bye_only_after_the_ack) {
  ASSERT_TRUE(ann.call("ben"));
  ASSERT_TRUE(until([&] { return ben.incoming() != 0; }));
  const CallId id = ben.incoming();
  EXPECT_TRUE(ben.answer(id));
  EXPECT_TRUE(ben.hang_up(id));
  EXPECT_TRUE(ben.ended());
  EXPECT_EQ(ben.count_sent("BYE "), 0u);
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  EXPECT_EQ(ben.count_sent("BYE "), 1u);
  EXPECT_EQ(ben.changes.size(), 2u) << "connected, ended, and nothing twice";
  expect_nothing_left();
}

TEST_F(Pair, hold_asked_for_before_the_ack_waits_for_it) {
  ASSERT_TRUE(ann.call("ben"));
  ASSERT_TRUE(until([&] { return ben.incoming() != 0; }));
  EXPECT_TRUE(ben.answer(ben.incoming()));
  EXPECT_TRUE(ben.hold(ben.incoming()));
  EXPECT_EQ(ben.count_sent("INVITE "), 0u);
  ASSERT_TRUE(until([&] { return ben.last().local_hold && ann.state() == CallState::held; }));
}

TEST_F(Pair, lost_link_ends_every_call_at_once) {
  talk();
  ASSERT_TRUE(ann.call("ben"));
  ann.link_down();
  EXPECT_EQ(ann.agent.call_count(), 0u);
  std::size_t ended = 0;
  for (const CallChanged& change : ann.changes) {
    if (change.state != CallState::ended) continue;
    ++ended;
    EXPECT_EQ(change.cause, EndCause::link_lost);
  }
  EXPECT_EQ(ended, 2u);
  EXPECT_TRUE(ann.agent.quiet());
  EXPECT_EQ(ann.call("ben").error(), UaError::not_connected);
}

TEST_F(Pair, digit_goes_by_info) {
  const auto [a, b] = talk();
  EXPECT_TRUE(ann.send_info_digit(a, '#'));
  EXPECT_TRUE(ann.send_info_digit(a, '7'));
  EXPECT_EQ(ann.send_info_digit(a, 'x').error(), UaError::bad_target);
  ASSERT_TRUE(until([&] { return ben.digits == "#7"; }));
  EXPECT_TRUE(ann.hang_up(a));
  expect_nothing_left();
}

TEST_F(Pair, channels_go_round_before_they_are_used_again) {
  std::set<std::uint16_t> used;
  for (int i = 0; i < 20; ++i) {
    const auto [a, b] = talk();
    EXPECT_TRUE(used.insert(ann.media.back().local_channel).second);
    EXPECT_EQ(ann.media.back().local_channel % 2, 0);
    EXPECT_TRUE(ann.hang_up(a));
    world.run_for(seconds(1));
    ann.changes.clear();
  }
  expect_nothing_left();
}

TEST_F(Pair, calls_are_bounded) {
  UserAgentOptions options = test_options("cat");
  options.max_calls = 3;
  UaNode cat(world, options, 9);
  cat.connected = false;
  cat.link_up();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(cat.call("ben"));
  EXPECT_EQ(cat.call("ben").error(), UaError::too_many_calls);
}

TEST_F(Pair, operations_in_the_wrong_state_are_refused) {
  EXPECT_EQ(ann.hang_up(77).error(), UaError::unknown_call);
  EXPECT_EQ(ann.call("two words").error(), UaError::bad_target);
  const auto id = ann.call("ben");
  EXPECT_EQ(ann.hold(*id).error(), UaError::wrong_state);
  EXPECT_EQ(ann.answer(*id).error(), UaError::wrong_state);
  ASSERT_TRUE(until([&] { return ben.incoming() != 0; }));
  EXPECT_EQ(ben.reject(ben.incoming(), 200).error(), UaError::bad_status);
  EXPECT_TRUE(ben.hang_up(ben.incoming()));
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  EXPECT_EQ(ann.last().status, 603);
  EXPECT_EQ(ann.hang_up(*id).error(), UaError::unknown_call);
}

TEST_F(Pair, long_ringing_is_kept_alive_once_a_minute) {
  ASSERT_TRUE(ann.call("ben"));
  world.run_for(seconds(150));
  EXPECT_EQ(ben.count_sent("SIP/2.0 180"), 3u) << "RFC 3261 §13.3.1.1";
}

}  // namespace
}  // namespace isthmus::ua
