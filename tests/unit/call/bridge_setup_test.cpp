// From the first request to its answer: forks, late and unwanted answers, subscriptions, limits.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

using BridgeSetup = BridgeBench;

TEST_F(BridgeSetup, slow_end_of_a_losing_fork_does_not_cut_the_bye_short) {
  give(request("INVITE", "sip:pair@example.org", sdp()), alice);
  sip::Message lost = last(other, "INVITE"), won = last(carol, "INVITE");
  give(response(lost, 180, "o1"), other);
  give(response(won, 200, "c1", sdp()), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), alice);
  ASSERT_EQ(count(other, "CANCEL"), 1u);
  give(by_caller(ok, "BYE", 2), alice);
  give(response(lost, 487, "o1"), other);
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  give(response(last(other, "CANCEL"), 200), other);
  expect_nothing_left();
}

TEST_F(BridgeSetup, answer_of_a_losing_fork_is_hung_up_even_after_the_call_is_over) {
  give(request("INVITE", "sip:pair@example.org", sdp()), alice);
  sip::Message lost = last(other, "INVITE"), won = last(carol, "INVITE");
  give(response(lost, 180, "o1"), other);
  give(response(won, 200, "c1", sdp()), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "BYE", 2), alice);
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(bridge.call_count(), 0u);
  sip::Message late = response(lost, 200, "o1", sdp());
  late.set(HeaderId::contact, "<sip:other@198.51.100.2:5060>");
  give(late, other);
  ASSERT_EQ(count(other, "ACK"), 1u);
  EXPECT_EQ(last(other, "ACK").request_uri(), "sip:other@198.51.100.2:5060");
  ASSERT_EQ(count(other, "BYE"), 1u);
  EXPECT_EQ(last(other, "BYE").cseq()->number, 2u);
  give(response(last(other, "BYE"), 200), other);
  give(response(last(other, "CANCEL"), 200), other);
  expect_nothing_left();
}

TEST_F(BridgeSetup, answer_that_crosses_a_cancel_is_hung_up_though_the_link_died_too) {
  sip::Message sent_invite = request("INVITE", "sip:carol@example.org", sdp());
  give(sent_invite, alice);
  invite = last(carol, "INVITE");
  give(response(invite, 180, "c1"), carol);
  give(cancel_of(sent_invite), alice);
  EXPECT_EQ(count(alice, "INVITE", 487), 1u);
  close_session(1);
  give(response(invite, 200, "c1", sdp()), carol);
  EXPECT_EQ(count(carol, "ACK"), 1u);
  ASSERT_EQ(count(carol, "BYE"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  give(response(last(carol, "CANCEL"), 200), carol);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].end_reason, "cancelled by caller");
  expect_nothing_left();
}

TEST_F(BridgeSetup, unwanted_answer_is_acknowledged_where_its_contact_says) {
  sip::Message sent_invite = request("INVITE", "sip:carol@example.org", sdp());
  give(sent_invite, alice);
  invite = last(carol, "INVITE");
  give(response(invite, 180, "c1"), carol);
  give(cancel_of(sent_invite), alice);
  sip::Message late = response(invite, 200, "c1", sdp());
  late.set(HeaderId::contact, "<sip:carol@198.51.100.9:5062>");
  give(late, carol);
  const sip::Flow desk = sip::Flow::udp(*Endpoint::parse("198.51.100.9:5062"));
  EXPECT_EQ(count(desk, "ACK"), 1u);
  ASSERT_EQ(count(desk, "BYE"), 1u);
  give(response(last(desk, "BYE"), 200), desk);
  give(response(last(carol, "CANCEL"), 200), carol);
  expect_nothing_left();
}

TEST_F(BridgeSetup, several_answers_of_a_fork_upstream_are_hung_up_once_each) {
  answered_call();
  for (int round = 0; round < 3; ++round) {
    give(response(invite, 200, "c2", sdp()), carol);
    give(response(invite, 200, "c3", sdp()), carol);
  }
  EXPECT_EQ(count(carol, "BYE"), 2u);
  EXPECT_EQ(count(carol, "ACK"), 1u + 6u);  // the call's own, and one for each unwanted 2xx
  EXPECT_EQ(bridge.call_count(), 1u);
}

TEST_F(BridgeSetup, notify_that_ends_a_subscription_may_overtake_its_200) {
  sip::Message subscribe = request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "presence");
  subscribe.add(HeaderId::expires, "0");
  give(subscribe, alice);
  sip::Message seen = last(carol, "SUBSCRIBE");
  sip::Message notify = by_callee(seen, "n1", "NOTIFY", 1);
  notify.add(HeaderId::event, "presence");
  notify.add(HeaderId::subscription_state, "terminated;reason=timeout");
  give(notify, carol);
  give(response(last(alice, "NOTIFY"), 200), alice);
  sip::Message ok = response(seen, 200, "n1");
  ok.add(HeaderId::expires, "0");
  give(ok, carol);
  EXPECT_EQ(count(alice, "SUBSCRIBE", 200), 1u);
  pass(seconds(70));
  expect_nothing_left();
}

struct TwoCallsALink : BridgeBench {
  static BridgeConfig two() {
    BridgeConfig config;
    config.max_calls_per_session = 2;
    return config;
  }
  TwoCallsALink() : BridgeBench(two()) {}
};

TEST_F(TwoCallsALink, calls_to_services_count_as_well) {
  for (int i = 0; i < 3; ++i) give(request("INVITE", "sip:echo@example.org", sdp()), alice);
  EXPECT_EQ(count(alice, "INVITE", 200), 2u);
  EXPECT_EQ(count(alice, "INVITE", 503), 1u);
  EXPECT_EQ(bridge.counters().rejected_over_limit, 1u);
  give(by_caller(last(alice, "INVITE", 200), "BYE", 2), alice);
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  EXPECT_EQ(count(carol, "INVITE"), 1u);
}

TEST_F(BridgeSetup, service_refuses_extensions_that_it_does_not_know) {
  sip::Message call = request("INVITE", "sip:echo@example.org", sdp());
  call.add(HeaderId::require, "100rel, x-odd");
  give(call, alice);
  EXPECT_EQ(last(alice, "INVITE", 420).get(HeaderId::unsupported), "100rel, x-odd");
  EXPECT_EQ(bridge.call_count(), 0u);
}

TEST_F(BridgeSetup, a_peer_of_a_service_that_repeats_the_first_uri_is_found_among_others) {
  std::vector<sip::Message> answers;
  for (int i = 0; i < 5; ++i) {
    give(request("INVITE", "sip:echo@example.org", sdp()), alice);
    answers.push_back(last(alice, "INVITE", 200));
  }
  sip::Message bye = by_caller(answers[2], "BYE", 2);
  bye.set_request_uri("sip:echo@example.org");
  give(bye, dave);  // another link's session: none of its business
  EXPECT_EQ(count(dave, "BYE", 481), 1u);
  give(bye, alice);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  EXPECT_EQ(bridge.call_count(), 4u);
}

}  // namespace
}  // namespace isthmus::call
