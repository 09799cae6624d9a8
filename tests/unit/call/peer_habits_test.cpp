// What phones and providers do though no RFC says so, and forgeries that look like it.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

using PeerHabits = BridgeBench;

TEST_F(PeerHabits, a_dialog_request_with_a_wrong_tag_on_either_side_gets_481) {
  sip::Message ok = answered_call();
  sip::Message to_tag = by_callee(invite, "c1", "BYE", 1);
  to_tag.set(HeaderId::to, "<sip:alice@example.org>;tag=wrong");
  sip::Message from_tag = by_caller(ok, "BYE", 2);
  from_tag.set(HeaderId::from, "<sip:alice@example.org>;tag=wrong");
  give(to_tag, carol);
  give(from_tag, alice);
  EXPECT_EQ(count(carol, "BYE", 481), 1u);
  EXPECT_EQ(count(alice, "BYE", 481), 1u);
  EXPECT_EQ(count(carol, "BYE"), 0u);
  EXPECT_EQ(count(alice, "BYE"), 0u);
  EXPECT_EQ(bridge.call_count(), 1u);
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_caller_that_hangs_up_in_place_of_its_ack_leaves_the_callee_acknowledged) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", sdp()), carol);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "BYE", 2), alice);
  sip::Message ack = last(carol, "ACK"), bye = last(carol, "BYE");
  EXPECT_EQ(ack.cseq()->number, 1u);
  EXPECT_EQ(ack.to_tag(), "c1");
  EXPECT_EQ(bye.cseq()->number, 2u);
  give(response(bye, 200), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_callee_without_contact_is_reached_as_the_invite_was) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  sip::Message answer = response(invite, 200, "c1", sdp());
  answer.remove(HeaderId::contact);
  give(answer, carol);
  sip::Message ok = last(alice, "INVITE", 200);
  ASSERT_TRUE(ok.contact());  // ours: alice finds the dialog by it
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(last(carol, "ACK").request_uri(), invite.request_uri());
  close_session(1);
  EXPECT_EQ(last(carol, "BYE").request_uri(), invite.request_uri());
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_caller_without_contact_is_reached_at_its_from) {
  sip::Message first = request("INVITE", "sip:carol@example.org", sdp());
  first.remove(HeaderId::contact);
  give(first, alice);
  invite = last(carol, "INVITE");
  give(response(invite, 200, "c1", sdp()), carol);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);
  give(by_callee(invite, "c1", "BYE", 1), carol);
  EXPECT_EQ(last(alice, "BYE").request_uri(), "sip:alice@example.org");
  give(response(last(alice, "BYE"), 200), alice);
  expect_nothing_left();
}

TEST_F(PeerHabits, a_notify_answered_481_ends_its_subscription) {
  sip::Message subscribe = request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "presence");
  give(subscribe, alice);
  sip::Message subscribed = last(carol, "SUBSCRIBE");
  sip::Message ok = response(subscribed, 200, "c1");
  ok.add(HeaderId::expires, "3600");
  give(ok, carol);
  sip::Message notify = by_callee(subscribed, "c1", "NOTIFY", 1);
  notify.add(HeaderId::event, "presence");
  notify.add(HeaderId::subscription_state, "active");
  give(notify, carol);
  give(response(last(alice, "NOTIFY"), 481), alice);
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
