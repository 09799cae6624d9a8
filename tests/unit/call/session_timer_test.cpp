// Session timers (RFC 4028): passed through, or kept on a leg by the bridge.
#include "call/session_timer.hpp"

#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct SessionTimers : BridgeBench {
  SessionTimers() {
    router.policies[carol].session_expires = seconds(600);
    router.policies[carol].min_session_expires = seconds(120);
    media.idle = 0;
  }
  sip::Message start(std::string_view session_expires = {}) {
    sip::Message call = request("INVITE", "sip:carol@example.org", sdp());
    call.add(HeaderId::supported, "100rel, timer, replaces");
    if (!session_expires.empty()) call.add(HeaderId::session_expires, session_expires);
    give(call, alice);
    return invite = last(carol, "INVITE");
  }
  sip::Message answer(std::string_view session_expires, std::string_view allow = "INVITE, UPDATE") {
    sip::Message ok = response(invite, 200, "c1", sdp());
    if (!session_expires.empty()) {
      ok.add(HeaderId::session_expires, session_expires);
      ok.add(HeaderId::require, "timer");
    }
    ok.add(HeaderId::allow, allow);
    give(ok, carol);
    sip::Message seen = last(alice, "INVITE", 200);
    give(by_caller(seen, "ACK", 1), alice);
    return seen;
  }
  sip::Message refreshed(const sip::Message& update) {
    sip::Message ok = response(update, 200);
    ok.add(HeaderId::session_expires, "600;refresher=uac");
    return ok;
  }
};

TEST_F(SessionTimers, pass_between_the_end_points_where_no_leg_has_its_own) {
  router.policies.clear();
  start("1800;refresher=uac;x=y");
  EXPECT_EQ(invite.get(HeaderId::session_expires), "1800;refresher=uac;x=y");
  EXPECT_EQ(invite.get(HeaderId::supported), "100rel, timer, replaces");
  sip::Message small = response(invite, 422, "c1");
  small.add(HeaderId::min_se, "3600");
  give(small, carol);
  EXPECT_EQ(last(alice, "INVITE", 422).get(HeaderId::min_se), "3600");
}

TEST_F(SessionTimers, bridge_asks_for_its_own_and_tells_the_caller_nothing_of_it) {
  start();
  EXPECT_EQ(invite.get(HeaderId::session_expires), "600");
  EXPECT_EQ(invite.get(HeaderId::min_se), "120");
  EXPECT_TRUE(invite.lists(HeaderId::supported, "timer"));
  EXPECT_TRUE(invite.lists(HeaderId::supported, "100rel"));
  sip::Message ok = answer("600;refresher=uac");
  EXPECT_FALSE(ok.has(HeaderId::session_expires));
  EXPECT_FALSE(ok.has(HeaderId::require));
}

TEST_F(SessionTimers, refreshes_with_update_under_numbers_of_its_own_that_keep_growing) {
  start();
  sip::Message ok = answer("600;refresher=uac");
  for (int round = 0; round < 5; ++round) {
    pass(milliseconds(300'100));
    sip::Message update = last(carol, "UPDATE");
    EXPECT_EQ(count(carol, "UPDATE"), static_cast<std::size_t>(round + 1));
    EXPECT_EQ(update.get(HeaderId::session_expires), "600;refresher=uac");
    EXPECT_EQ(update.cseq()->number, static_cast<unsigned>(round + 2));
    EXPECT_TRUE(update.body().empty());
    give(refreshed(update), carol);
  }
  EXPECT_EQ(count(alice, "UPDATE"), 0u);
  give(by_caller(ok, "INFO", 2), alice);
  EXPECT_EQ(last(carol, "INFO").cseq()->number, 7u);
  give(response(last(carol, "INFO"), 200), carol);
  EXPECT_EQ(last(alice, "INFO", 200).cseq()->number, 2u);
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(SessionTimers, without_update_the_last_description_is_offered_again) {
  start();
  answer("600;refresher=uac", "INVITE, ACK, BYE");
  std::string described(invite.body());
  pass(milliseconds(300'100));
  sip::Message again = last(carol, "INVITE");
  EXPECT_EQ(again.to_tag(), "c1");
  EXPECT_EQ(again.body(), described);
  give(by_callee(invite, "c1", "INVITE", 1, sdp({}, 42000)), carol);
  EXPECT_EQ(count(carol, "INVITE", 491), 1u);
  sip::Message ok = response(again, 200, {}, sdp());
  ok.add(HeaderId::session_expires, "600;refresher=uac");
  give(ok, carol);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, again.cseq()->number);
  std::size_t acks = count(carol, "ACK");
  give(ok, carol);  // the ACK was lost
  EXPECT_EQ(count(carol, "ACK"), acks + 1);
  EXPECT_EQ(count(alice, "INVITE"), 0u);
  give(by_callee(invite, "c1", "INVITE", 2, sdp({}, 42000)), carol);
  EXPECT_EQ(count(alice, "INVITE"), 1u);
}

/// What carol answers to a refresh of ours is news for the relay, or for alice.
struct ChangedInRefresh : SessionTimers {
  ChangedInRefresh() {
    start();
    answer("600;refresher=uac", "INVITE, ACK, BYE");
  }
  /// Waits for the next refresh and answers it so.
  void refresh(const std::string& description) {
    std::size_t before = count(carol, "INVITE");
    pass(milliseconds(300'100));
    ASSERT_EQ(count(carol, "INVITE"), before + 1);
    sip::Message ok = response(last(carol, "INVITE"), 200, {}, description);
    ok.add(HeaderId::session_expires, "600;refresher=uac");
    give(ok, carol);
    pass(milliseconds(1));
  }
  const RemoteMedia& carols_media() {
    for (auto& [id, end] : media.ends) {
      if (!end.link) return end.remote;
    }
    ADD_FAILURE() << "no such end";
    static const RemoteMedia none;
    return none;
  }
};

TEST_F(ChangedInRefresh, another_port_is_followed_by_the_relay_and_told_to_nobody) {
  refresh(sdp({}, 47000, "10.0.0.9"));
  EXPECT_EQ(carols_media().port, 47000);
  EXPECT_EQ(carols_media().address.to_string(), "10.0.0.9");
  EXPECT_EQ(count(alice, "INVITE"), 0u);
}

TEST_F(ChangedInRefresh, another_direction_is_offered_to_the_other_leg_once) {
  refresh(sdp("a=sendonly\r\n"));
  ASSERT_EQ(count(alice, "INVITE"), 1u);
  sip::Message told = last(alice, "INVITE");
  EXPECT_NE(told.body().find("a=sendonly"), std::string::npos);
  EXPECT_NE(told.body().find("c=IN IP4 192.0.0.8"), std::string::npos);
  EXPECT_FALSE(told.has(HeaderId::session_expires)) << "alice keeps no timer";
  EXPECT_EQ(told.from_tag(), "c1");
  sip::Message ok = sip::Message::response_to(told, 200);
  ok.add(HeaderId::contact, "<sip:alice@alice.invalid>");
  ok.set_body(sdp("a=recvonly\r\n"), "application/sdp");
  give(ok, alice);
  EXPECT_EQ(last(alice, "ACK").cseq()->number, told.cseq()->number);
  refresh(sdp("a=sendonly\r\n"));  // to what alice says now, which is what was agreed on
  EXPECT_NE(last(carol, "INVITE").body().find("a=recvonly"), std::string::npos);
  EXPECT_EQ(count(alice, "INVITE"), 1u);
  EXPECT_EQ(bridge.call_count(), 1u);
}

TEST_F(ChangedInRefresh, offer_that_meets_one_of_the_other_leg_is_made_again) {
  refresh(sdp("a=inactive\r\n"));
  give(sip::Message::response_to(last(alice, "INVITE"), 491), alice);
  EXPECT_EQ(count(alice, "INVITE"), 1u);
  pass(seconds(3));
  ASSERT_EQ(count(alice, "INVITE"), 2u);
  EXPECT_NE(last(alice, "INVITE").body().find("a=inactive"), std::string::npos);
  give(sip::Message::response_to(last(alice, "INVITE"), 488), alice);  // then it is as it was
  pass(seconds(30));
  EXPECT_EQ(count(alice, "INVITE"), 2u);
  EXPECT_EQ(bridge.call_count(), 1u);
}

// Found in review: what was offered again had not been hidden.
TEST_F(SessionTimers, description_that_is_offered_again_shows_no_more_than_the_first) {
  router.policies[carol].topology_hiding = true;
  start();
  EXPECT_EQ(invite.body().find("10.0.0.1"), std::string_view::npos);
  answer("600;refresher=uac", "INVITE, ACK, BYE");
  pass(seconds(301));
  sip::Message again = last(carol, "INVITE");
  EXPECT_EQ(again.to_tag(), "c1");
  EXPECT_EQ(again.call_id(), invite.call_id());
  EXPECT_EQ(again.from_tag(), invite.from_tag());
  EXPECT_EQ(again.body(), invite.body());
}

TEST_F(SessionTimers, update_that_is_not_allowed_after_all_becomes_an_invite) {
  start();
  answer("600;refresher=uac");
  pass(milliseconds(300'100));
  give(response(last(carol, "UPDATE"), 405), carol);
  pass(milliseconds(1));
  EXPECT_EQ(last(carol, "INVITE").to_tag(), "c1");
}

TEST_F(SessionTimers, dead_peer_is_found_and_both_legs_are_told_why) {
  for (int status : {481, 408}) {
    start();
    answer("600;refresher=uac");
    std::size_t byes = count(alice, "BYE");
    pass(milliseconds(300'100));
    give(response(last(carol, "UPDATE"), status), carol);
    ASSERT_EQ(count(alice, "BYE"), byes + 1) << status;
    EXPECT_EQ(last(alice, "BYE").get(HeaderId::reason),
              "SIP;cause=408;text=\"Session timer expired\"");
    EXPECT_EQ(ended.back().end_reason, "Session timer expired");
  }
  start();
  answer("600;refresher=uac");
  pass(seconds(340));  // nothing at all
  EXPECT_EQ(bridge.call_count(), 0u);
}

TEST_F(SessionTimers, a_refresher_that_falls_silent_is_hung_up_before_the_interval_ends) {
  start();
  answer("600;refresher=uas");
  pass(seconds(567));
  EXPECT_EQ(bridge.call_count(), 1u);
  EXPECT_EQ(count(carol, "UPDATE"), 0u);
  pass(seconds(2));
  EXPECT_EQ(bridge.call_count(), 0u);
  EXPECT_GE(count(carol, "BYE"), 1u);
  EXPECT_EQ(count(alice, "BYE"), 1u);
}

TEST_F(SessionTimers, refreshes_of_the_peer_are_answered_here) {
  start();
  answer("600;refresher=uas");
  for (unsigned i = 1; i <= 4; ++i) {
    pass(seconds(300));
    sip::Message update = by_callee(invite, "c1", "UPDATE", i);
    update.add(HeaderId::supported, "timer");
    update.add(HeaderId::session_expires, "600;refresher=uac");
    give(update, carol);
    sip::Message ok = last(carol, "UPDATE", 200);
    EXPECT_EQ(ok.get(HeaderId::session_expires), "600;refresher=uac");
    EXPECT_TRUE(ok.lists(HeaderId::require, "timer"));
    EXPECT_TRUE(ok.has(HeaderId::contact));
  }
  EXPECT_EQ(count(alice, "UPDATE"), 0u);
  EXPECT_EQ(bridge.call_count(), 1u);
  sip::Message small = by_callee(invite, "c1", "UPDATE", 9);
  small.add(HeaderId::supported, "timer");
  small.add(HeaderId::session_expires, "60");
  give(small, carol);
  EXPECT_EQ(last(carol, "UPDATE", 422).get(HeaderId::min_se), "120");
}

TEST_F(SessionTimers, reinvite_that_crosses_refreshes_both_legs_in_their_own_terms) {
  start("300");  // alice keeps timers too
  EXPECT_EQ(invite.get(HeaderId::session_expires), "600");
  sip::Message ok = answer("600;refresher=uas");
  EXPECT_EQ(ok.get(HeaderId::session_expires), "300;refresher=uas");
  pass(seconds(100));
  sip::Message hold = by_caller(ok, "INVITE", 2, sdp("a=sendonly\r\n"));
  hold.add(HeaderId::session_expires, "300;refresher=uac");
  hold.add(HeaderId::supported, "timer");
  give(hold, alice);
  sip::Message seen = last(carol, "INVITE");
  EXPECT_EQ(seen.get(HeaderId::session_expires), "600;refresher=uas");
  sip::Message held = response(seen, 200, "c1", sdp("a=recvonly\r\n"));
  held.add(HeaderId::session_expires, "600;refresher=uas");
  give(held, carol);
  EXPECT_EQ(last(alice, "INVITE", 200).get(HeaderId::session_expires), "300;refresher=uac");
  give(by_caller(ok, "ACK", 2), alice);
  pass(seconds(260));
  EXPECT_EQ(bridge.call_count(), 1u);
  pass(seconds(10));  // alice is to refresh now, and does not
  EXPECT_EQ(bridge.call_count(), 0u);
}

TEST_F(SessionTimers, interval_that_is_too_small_for_the_provider_is_raised) {
  start();
  sip::Message small = response(invite, 422, "c1");
  small.add(HeaderId::min_se, "900");
  give(small, carol);
  sip::Message again = last(carol, "INVITE");
  EXPECT_EQ(again.get(HeaderId::session_expires), "900");
  EXPECT_EQ(again.get(HeaderId::min_se), "900");
  EXPECT_EQ(again.cseq()->number, 2u);
  EXPECT_EQ(again.body(), invite.body());
  invite = again;
  sip::Message ok = answer("900;refresher=uac");
  EXPECT_EQ(ok.cseq()->number, 1u);
  EXPECT_EQ(count(alice, "INVITE", 422), 0u);
  EXPECT_EQ(last(carol, "ACK").cseq()->number, 2u);
}

TEST_F(SessionTimers, bye_that_overtakes_a_refresh_ends_it_quietly) {
  start();
  sip::Message ok = answer("600;refresher=uac");
  pass(milliseconds(300'100));
  sip::Message update = last(carol, "UPDATE");
  give(by_caller(ok, "BYE", 2), alice);
  give(response(last(carol, "BYE"), 200), carol);
  give(response(update, 481), carol);
  EXPECT_EQ(count(alice, "BYE"), 0u);
  EXPECT_EQ(count(carol, "BYE"), 1u);
  expect_nothing_left();
}

TEST_F(SessionTimers, call_from_a_provider_gets_a_timer_of_ours) {
  sip::Message call = request("INVITE", "sip:dave@example.org", sdp());
  call.add(HeaderId::supported, "timer");
  call.add(HeaderId::session_expires, "100");
  give(call, carol);
  EXPECT_EQ(last(carol, "INVITE", 422).get(HeaderId::min_se), "120");
  EXPECT_EQ(count(dave, "INVITE"), 0u);

  call = request("INVITE", "sip:dave@example.org", sdp());
  call.add(HeaderId::allow, "INVITE, UPDATE");
  give(call, carol);
  sip::Message seen = last(dave, "INVITE");
  EXPECT_FALSE(seen.has(HeaderId::session_expires));
  sip::Message answer = response(seen, 200, "d1", sdp({}, 16));
  answer.set(HeaderId::contact, "<sip:dave@dave.invalid>");
  give(answer, dave);
  sip::Message ok = last(carol, "INVITE", 200);
  EXPECT_EQ(ok.get(HeaderId::session_expires), "600;refresher=uas");
  EXPECT_FALSE(ok.lists(HeaderId::require, "timer"));  // the caller knows no timers
  sip::Message ack = by_caller(ok, "ACK", 1);
  give(ack, carol);
  pass(milliseconds(300'100));
  std::size_t refreshes = 0;
  for (const Sent& entry : sent) refreshes += entry.message.method_text() == "UPDATE";
  EXPECT_GE(refreshes, 1u);
  EXPECT_EQ(count(dave, "UPDATE"), 0u);
}

TEST(SessionExpiresHeader, is_read_as_the_grammar_allows) {
  auto read = [](std::string_view value) {
    return SessionExpires::of(
        *sip::Message::parse("UPDATE sip:a@b SIP/2.0\r\n"
                             "Session-Expires: " +
                             std::string(value) + "\r\n\r\n"));
  };
  EXPECT_EQ(read("1800")->interval, seconds(1800));
  EXPECT_EQ(read(" 90 ;a=b; Refresher = UAS ")->uac_refreshes, false);
  EXPECT_EQ(read("99999999;refresher=uac")->interval, seconds(7 * 86400));
  for (const char* bad : {"", "x", "0", "-1", "1 2", "999999999999"})
    EXPECT_FALSE(read(bad)) << bad;
}

/// RFC 4028 §9 forbids the answer; the call is to live whichever of the two it goes by.
TEST_F(SessionTimers,
       an_interval_below_min_se_is_refreshed_in_time_and_not_held_against_its_giver) {
  start();
  answer("90;refresher=uac");
  pass(seconds(46));  // half of what it says
  sip::Message update = last(carol, "UPDATE");
  EXPECT_EQ(update.get(HeaderId::session_expires), "120;refresher=uac");  // ours to ask: Min-SE
  EXPECT_EQ(update.get(HeaderId::min_se), "120");
  sip::Message ok = response(update, 200);
  ok.add(HeaderId::session_expires, "90;refresher=uas");
  give(ok, carol);
  pass(seconds(70));  // two thirds of 90 are over, and its refresh did not come
  EXPECT_EQ(count(carol, "BYE"), 0u);
  pass(seconds(20));
  EXPECT_GT(count(carol, "BYE"), 0u);  // nor within 120, less a third
}

TEST_F(SessionTimers,
       a_refresh_of_the_caller_that_is_answered_below_its_min_se_breaks_neither_leg) {
  start("600;refresher=uac");
  sip::Message ok = answer("600;refresher=uac");
  sip::Message again = by_caller(ok, "INVITE", 2, sdp());
  again.add(HeaderId::supported, "timer");
  again.add(HeaderId::session_expires, "300");
  again.add(HeaderId::min_se, "300");
  give(again, alice);
  sip::Message carried = last(carol, "INVITE");
  sip::Message answered = response(carried, 200, "c1", sdp());
  answered.add(HeaderId::session_expires, "90;refresher=uac");
  answered.add(HeaderId::require, "timer");
  give(answered, carol);
  sip::Message told = last(alice, "INVITE", 200);
  EXPECT_EQ(SessionExpires::of(told)->interval, seconds(300));
  give(by_caller(told, "ACK", 2), alice);
  std::size_t updates = count(carol, "UPDATE");
  pass(seconds(46));
  EXPECT_GT(count(carol, "UPDATE"), updates);
  EXPECT_EQ(bridge.call_count(), 1u);
}

TEST_F(SessionTimers, min_se_of_a_422_is_asked_for_ever_after) {
  start();
  sip::Message small = response(invite, 422, "c0");
  small.add(HeaderId::min_se, "900");
  give(small, carol);
  invite = last(carol, "INVITE");
  EXPECT_EQ(invite.get(HeaderId::min_se), "900");
  answer("900;refresher=uac");
  pass(seconds(451));
  EXPECT_EQ(last(carol, "UPDATE").get(HeaderId::min_se), "900");
}

}  // namespace
}  // namespace isthmus::call
