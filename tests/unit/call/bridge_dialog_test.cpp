// Requests inside dialogs: BYE and its races, re-INVITE races, forged and repeated requests.
#include "base/limits.hpp"
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

using BridgeDialog = BridgeBench;

TEST_F(BridgeDialog, byes_that_cross_are_both_answered) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "BYE", 2), alice);
  give(by_callee(invite, "c1", "BYE", 1), carol);
  sip::Message to_carol = last(carol, "BYE"), to_alice = last(alice, "BYE");
  give(response(to_carol, 200), carol);
  give(response(to_alice, 200), alice);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  EXPECT_EQ(count(carol, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(BridgeDialog, requests_that_wait_when_the_call_ends_are_answered) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INFO", 2), alice);
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  EXPECT_EQ(count(alice, "INFO", 481), 1u);
  pass(seconds(40));
  expect_nothing_left();
}

TEST_F(BridgeDialog, bye_in_an_early_dialog_leaves_the_invite_its_own_answer) {
  for (bool bye_first : {true, false}) {
    give(request("INVITE", "sip:carol@example.org", sdp()), alice);
    invite = last(carol, "INVITE");
    give(response(invite, 180, "c1"), carol);
    sip::Message ringing = last(alice, "INVITE", 180);
    std::size_t failures = count(alice, "INVITE", 487), byes = count(alice, "BYE", 200);
    give(by_caller(ringing, "BYE", 2), alice);
    sip::Message bye = last(carol, "BYE");
    if (bye_first) give(response(bye, 200), carol);
    give(response(invite, 487, "c1"), carol);
    if (!bye_first) give(response(bye, 200), carol);
    EXPECT_EQ(count(alice, "INVITE", 487), failures + 1) << bye_first;
    EXPECT_EQ(count(alice, "BYE", 200) + count(alice, "BYE", 481), byes + 1) << bye_first;
    EXPECT_EQ(bridge.call_count(), 0u) << bye_first;
  }
  expect_nothing_left();
}

TEST_F(BridgeDialog, challenged_bye_can_be_repeated_with_credentials) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "BYE", 2), alice);
  give(response(last(carol, "BYE"), 407), carol);
  EXPECT_EQ(count(alice, "BYE", 407), 1u);
  EXPECT_EQ(bridge.call_count(), 1u);
  sip::Message again = by_caller(ok, "BYE", 3);
  again.add(HeaderId::proxy_authorization, "Digest username=\"alice\"");
  give(again, alice);
  EXPECT_EQ(last(carol, "BYE").cseq()->number, 3u);
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(BridgeDialog, challenged_bye_that_is_not_repeated_ends_the_call_all_the_same) {
  sip::Message ok = answered_call();
  media.idle = 0;
  give(by_caller(ok, "BYE", 2), alice);
  give(response(last(carol, "BYE"), 401), carol);
  pass(seconds(40));
  EXPECT_EQ(bridge.call_count(), 0u);
  EXPECT_EQ(last(carol, "BYE").cseq()->number, 3u);  // ours
  expect_nothing_left();
}

// What ASan saw: an early dialog was freed to make room while a request inside it waited.
TEST_F(BridgeDialog, early_dialogs_beyond_the_limit_do_not_free_one_in_use) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  give(response(invite, 180, "first"), carol);
  give(by_callee(invite, "first", "UPDATE", 1), carol);
  sip::Message update = last(alice, "UPDATE");
  for (int i = 0; i < 40; ++i) give(response(invite, 180, "t" + std::to_string(i)), carol);
  give(response(update, 200), alice);
  EXPECT_EQ(count(carol, "UPDATE", 200) + count(carol, "UPDATE", 481), 1u);
  give(response(invite, 486, "t39"), carol);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  expect_nothing_left();
}

TEST_F(BridgeDialog, strange_tags_of_the_callee_do_not_push_out_the_answered_dialog) {
  sip::Message ok = answered_call();
  for (unsigned i = 0; i < 40; ++i) {
    give(by_callee(invite, "x" + std::to_string(i), "INFO", i + 1), carol);
  }
  EXPECT_EQ(count(alice, "INFO"), 0u);
  EXPECT_EQ(count(carol, "INFO", 481), 40u);
  give(by_caller(ok, "BYE", 2), alice);
  EXPECT_EQ(count(carol, "BYE"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(BridgeDialog, one_call_cannot_take_all_transactions) {
  sip::Message ok = answered_call();
  for (unsigned i = 0; i < 200; ++i) give(by_caller(ok, "INFO", i + 2), alice);
  EXPECT_LE(count(carol, "INFO"), 64u);
  EXPECT_EQ(count(carol, "INFO") + count(alice, "INFO", 503), 200u);
  EXPECT_TRUE(last(alice, "INFO", 503).has(HeaderId::retry_after));
  give(by_caller(ok, "BYE", 300), alice);  // the end is always let through
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(bridge.call_count(), 0u);
  expect_nothing_left();
}

TEST_F(BridgeDialog, cancel_of_a_reinvite_crosses) {
  sip::Message ok = answered_call();
  sip::Message hold = by_caller(ok, "INVITE", 2, sdp("a=sendonly\r\n"));
  give(hold, alice);
  sip::Message seen = last(carol, "INVITE");
  give(response(seen, 180, "c1"), carol);
  sip::Message cancel = sip::Message::request("CANCEL", hold.request_uri());
  for (HeaderId id :
       {HeaderId::via, HeaderId::max_forwards, HeaderId::from, HeaderId::to, HeaderId::call_id}) {
    cancel.add(id, *hold.get(id));
  }
  cancel.add(HeaderId::cseq, "2 CANCEL");
  give(cancel, alice);
  ASSERT_EQ(count(carol, "CANCEL"), 1u);
  give(response(last(carol, "CANCEL"), 200), carol);
  give(response(seen, 487, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 487), 1u);
  EXPECT_EQ(bridge.call_count(), 1u);  // the call itself goes on
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

/// RFC 3261 §13.3.1.4: whatever the transport, for there may be UDP behind the next hop.
TEST_F(BridgeDialog, an_answer_is_repeated_over_tcp_too_until_its_ack) {
  const sip::Flow trunk = sip::Flow::to(sip::Transport::tcp, *Endpoint::parse("198.51.100.7:5060"));
  give(request("INVITE", "sip:dave@example.org", sdp()), trunk);
  give(response(last(dave, "INVITE"), 200, "d1", sdp()), dave);
  pass(milliseconds(3600));
  EXPECT_EQ(count(trunk, "INVITE", 200), 4u);  // at 0, 0.5, 1.5 and 3.5 s
  give(by_caller(last(trunk, "INVITE", 200), "ACK", 1), trunk);
  pass(seconds(10));
  EXPECT_EQ(count(trunk, "INVITE", 200), 4u);
  give(by_caller(last(trunk, "INVITE", 200), "BYE", 2), trunk);
  give(response(last(dave, "BYE"), 200), dave);
  expect_nothing_left();
}

TEST_F(BridgeDialog, repeated_answer_gets_the_ack_of_its_own_leg) {
  answered_call();
  // Carol's re-INVITE bears the same CSeq number as alice's INVITE.
  give(by_callee(invite, "c1", "INVITE", 1, sdp()), carol);
  sip::Message ok = response(last(alice, "INVITE"), 200, {}, sdp());
  ok.set(HeaderId::contact, "<sip:alice@alice.invalid>");
  give(ok, alice);
  give(by_callee(invite, "c1", "ACK", 1), carol);
  std::size_t before = count(carol, "ACK");
  give(response(invite, 200, "c1", sdp()), carol);  // alice's ACK was lost after all
  ASSERT_EQ(count(carol, "ACK"), before + 1);
  EXPECT_EQ(last(carol, "ACK").request_uri(), "sip:carol@198.51.100.1:5060");
}

TEST_F(BridgeDialog, offers_that_cross_and_are_both_refused_change_nothing) {
  sip::Message ok = answered_call();
  auto ports = [&] {
    std::multiset<int> all;
    for (auto& [id, end] : media.ends) all.insert(end.remote.port);
    return all;
  };
  const std::multiset<int> before = ports();
  give(by_caller(ok, "INVITE", 2, sdp({}, 41000)), alice);
  give(by_callee(invite, "c1", "INVITE", 1, sdp({}, 42000)), carol);
  EXPECT_EQ(count(alice, "INVITE"), 0u);
  give(response(last(carol, "INVITE"), 491), carol);
  EXPECT_EQ(ports(), before);
  EXPECT_EQ(count(alice, "INVITE", 491), 1u);
  EXPECT_EQ(count(carol, "INVITE", 491), 1u);
}

TEST_F(BridgeDialog, refused_reinvite_gives_the_ports_of_its_new_stream_back) {
  sip::Message ok = answered_call();
  std::size_t before = media.ends.size();
  give(by_caller(ok, "INVITE", 2, sdp("m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n")),
       alice);
  EXPECT_EQ(media.ends.size(), before + 2);
  give(response(last(carol, "INVITE"), 488), carol);
  EXPECT_EQ(media.ends.size(), before);
}

TEST_F(BridgeDialog, hold_by_a_zero_address_is_no_silence_to_end_the_call_for) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "INVITE", 2, sdp({}, 40000, "0.0.0.0")), alice);
  give(response(last(carol, "INVITE"), 200, {}, sdp()), carol);
  give(by_caller(ok, "ACK", 2), alice);
  media.idle = 600'000;
  pass(seconds(120));
  EXPECT_EQ(bridge.call_count(), 1u);
}

// Found in an adversarial test: a refused request moved the caller's and callee's target all the
// same (RFC 3261 §12.2.2, RFC 6141 §4).
struct TargetRefresh : BridgeBench {
  sip::Message ok = answered_call();

  void ask(std::string_view method, unsigned cseq, const std::string& contact) {
    sip::Message out =
        by_callee(invite, "c1", method, cseq, method == "INVITE" ? sdp() : std::string());
    out.set(HeaderId::contact, "<" + contact + ">");
    give(out, carol);
  }
  /// Where a request to carol goes now.
  std::string target() {
    give(by_caller(ok, "INFO", ++cseq_), alice);
    sip::Message info = last(carol, "INFO");
    give(response(info, 200), carol);
    return std::string(info.request_uri());
  }

 private:
  unsigned cseq_ = 1;
};

TEST_F(TargetRefresh, a_late_update_that_is_refused_does_not_move_the_target) {
  ask("UPDATE", 60, "sip:good@198.51.100.1:5060");
  EXPECT_EQ(target(), "sip:carol@198.51.100.1:5060") << "not agreed to yet";
  give(response(last(alice, "UPDATE"), 200), alice);
  EXPECT_EQ(target(), "sip:good@198.51.100.1:5060");
  ask("UPDATE", 55, "sip:old@198.51.100.1:5060");
  give(response(last(alice, "UPDATE"), 500), alice);
  EXPECT_EQ(count(carol, "UPDATE", 500), 1u);
  EXPECT_EQ(target(), "sip:good@198.51.100.1:5060");
}

TEST_F(TargetRefresh, a_refused_reinvite_does_not_move_the_target) {
  ask("INVITE", 2, "sip:moved@198.51.100.1:5060");
  sip::Message ringing = response(last(alice, "INVITE"), 180);
  give(ringing, alice);
  EXPECT_EQ(target(), "sip:carol@198.51.100.1:5060");
  give(response(last(alice, "INVITE"), 488), alice);
  EXPECT_EQ(count(carol, "INVITE", 488), 1u);
  EXPECT_EQ(target(), "sip:carol@198.51.100.1:5060");
}

TEST_F(TargetRefresh, a_reliable_provisional_response_to_a_reinvite_moves_the_target) {
  ask("INVITE", 2, "sip:moved@198.51.100.1:5060");
  sip::Message progress = response(last(alice, "INVITE"), 183);
  progress.add(HeaderId::require, "100rel");
  progress.add(HeaderId::rseq, "1");
  give(progress, alice);
  EXPECT_EQ(target(), "sip:moved@198.51.100.1:5060");
}

TEST_F(TargetRefresh, the_newest_of_two_refreshes_wins_in_whichever_order_they_are_answered) {
  ask("UPDATE", 2, "sip:second@198.51.100.1:5060");
  sip::Message older = last(alice, "UPDATE");
  ask("UPDATE", 3, "sip:third@198.51.100.1:5060");
  give(response(last(alice, "UPDATE"), 200), alice);
  give(response(older, 200), alice);
  EXPECT_EQ(count(carol, "UPDATE", 200), 2u);
  EXPECT_EQ(target(), "sip:third@198.51.100.1:5060");
}

// RFC 5057: the BYE ends the call; what a REFER subscribed to goes on in its dialog.
TEST_F(BridgeDialog, notifies_of_a_transfer_cross_after_the_bye) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "REFER", 2), alice);
  give(response(last(carol, "REFER"), 202, "c1"), carol);
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200, "c1"), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  EXPECT_EQ(bridge.call_count(), 0u);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(media.ends.empty());
  unsigned cseq = 0;
  for (const char* state : {"active;expires=60", "terminated;reason=noresource"}) {
    sip::Message notify = by_callee(invite, "c1", "NOTIFY", ++cseq);
    notify.add(HeaderId::event, "refer");
    notify.add(HeaderId::subscription_state, state);
    give(notify, carol);
    give(response(last(alice, "NOTIFY"), 200), alice);
    EXPECT_EQ(count(carol, "NOTIFY", 200), cseq);
    // The call itself is over.
    give(by_callee(invite, "c1", "INFO", ++cseq), carol);
    --cseq;
    EXPECT_EQ(count(carol, "INFO", 481), cseq);
  }
  sip::Message late = by_callee(invite, "c1", "NOTIFY", 9);
  late.add(HeaderId::event, "refer");
  give(late, carol);
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
  EXPECT_EQ(ended.size(), 1u);
  expect_nothing_left();
}

TEST_F(BridgeDialog, a_transfer_that_is_never_reported_on_lapses) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "REFER", 2), alice);
  give(response(last(carol, "REFER"), 202, "c1"), carol);
  give(by_callee(invite, "c1", "BYE", 1), carol);
  give(response(last(alice, "BYE"), 200), alice);
  pass(limits::kReferUsageLife + seconds(2));
  sip::Message late = by_callee(invite, "c1", "NOTIFY", 9);
  late.add(HeaderId::event, "refer");
  give(late, carol);
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
  expect_nothing_left();
}

struct BridgeWithOneCall : BridgeBench {
  BridgeWithOneCall()
      : BridgeBench([] {
          BridgeConfig config;
          config.max_calls = 1;
          return config;
        }()) {}
};

// Found in review: calls that were over, but for a subscription, had no bound.
TEST_F(BridgeWithOneCall, dialogs_kept_for_subscriptions_are_bounded) {
  for (int i = 0; i < 2; ++i) {
    sip::Message ok = answered_call();
    give(by_caller(ok, "REFER", 2), alice);
    give(response(last(carol, "REFER"), 202, "c1"), carol);
    give(by_caller(ok, "BYE", 3), alice);
    give(response(last(carol, "BYE"), 200, "c1"), carol);
    sip::Message notify = by_callee(invite, "c1", "NOTIFY", 1);
    notify.add(HeaderId::event, "refer");
    notify.add(HeaderId::subscription_state, "active;expires=60");
    give(notify, carol);
    EXPECT_EQ(count(alice, "NOTIFY"), 1u) << i;  // the second one's dialog was not kept
  }
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
}

TEST_F(BridgeDialog, refused_and_silent_refers_leave_nothing_behind) {
  sip::Message ok = answered_call();
  give(by_caller(ok, "REFER", 2), alice);
  give(response(last(carol, "REFER"), 603, "c1"), carol);
  give(by_caller(ok, "REFER", 3), alice);
  sip::Message silent = response(last(carol, "REFER"), 200, "c1");
  silent.add("Refer-Sub", "false");
  give(silent, carol);
  give(by_caller(ok, "BYE", 4), alice);
  give(response(last(carol, "BYE"), 200, "c1"), carol);
  sip::Message late = by_callee(invite, "c1", "NOTIFY", 9);
  late.add(HeaderId::event, "refer");
  give(late, carol);
  EXPECT_EQ(count(carol, "NOTIFY", 481), 1u);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
