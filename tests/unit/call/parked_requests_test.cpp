// Requests that wait: for a lookup, or for a device of the user.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct ParkedBench : BridgeBench {
  bool known = false;  ///< the router has what it needs
  std::string user;    ///< waits for this user's device rather than for a lookup
  Duration limit = seconds(20);

  ParkedBench() {
    router.decide = [this](const sip::Message&) -> std::optional<Route> {
      if (known) return RouteTargets{{RouteTarget{carol, {}}}};
      if (!user.empty()) return RouteWait{user, limit, 30};
      return RoutePending{"sip:carol.example;transport=udp"};
    };
  }
};

TEST_F(ParkedBench, invite_waits_for_the_name_and_is_answered_100_meanwhile) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  EXPECT_EQ(lookups_asked, (std::vector<std::string>{"sip:carol.example;transport=udp"}));
  pass(milliseconds(300));
  EXPECT_EQ(count(alice, "INVITE", 100), 1u);
  known = true;
  lookup_done("sip:carol.example;transport=udp");
  give(response(last(carol, "INVITE"), 486, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  lookup_done("sip:carol.example;transport=udp");  // said twice: nothing waits
  EXPECT_EQ(count(carol, "INVITE"), 1u);
  expect_nothing_left();
}

TEST_F(ParkedBench, one_lookup_serves_all_that_wait_for_it_in_their_order) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(request("MESSAGE", "sip:carol@example.org"), dave);
  give(request("OPTIONS", "sip:carol@example.org"), alice);
  EXPECT_EQ(lookups_asked.size(), 1u);
  known = true;
  lookup_done(lookups_asked[0]);
  std::vector<std::string> order;
  for (const Sent& entry : sent) {
    if (entry.flow == carol) order.emplace_back(entry.message.method_text());
  }
  EXPECT_EQ(order, (std::vector<std::string>{"INVITE", "MESSAGE", "OPTIONS"}));
}

TEST_F(ParkedBench, nothing_found_in_time_is_503_with_retry_after) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  pass(milliseconds(4900));
  EXPECT_EQ(count(alice, "INVITE", 503), 0u);
  pass(milliseconds(200));
  EXPECT_EQ(count(alice, "INVITE", 503), 1u);
  EXPECT_EQ(count(alice, "MESSAGE", 503), 1u);
  EXPECT_TRUE(last(alice, "INVITE", 503).has(HeaderId::retry_after));
  known = true;
  lookup_done(lookups_asked[0]);
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  expect_nothing_left();
}

TEST_F(ParkedBench, a_router_that_asks_on_and_on_is_cut) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  for (int i = 0; i < 20 && count(alice, "INVITE", 503) == 0; ++i)
    lookup_done(lookups_asked.back());
  EXPECT_EQ(count(alice, "INVITE", 503), 1u);
  EXPECT_LE(lookups_asked.size(), 8u);
  expect_nothing_left();
}

TEST_F(ParkedBench, cancel_of_a_waiting_invite_is_487) {
  for (const char* whom : {"", "carol"}) {
    user = whom;
    std::size_t before = count(alice, "INVITE", 487);
    sip::Message invited = request("INVITE", "sip:carol@example.org", sdp());
    give(invited, alice);
    give(cancel_of(invited), alice);
    EXPECT_EQ(count(alice, "INVITE", 487), before + 1);
  }
  known = true;
  lookup_done(lookups_asked[0]);
  user_available("carol");
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  expect_nothing_left();
}

TEST_F(ParkedBench, a_session_that_closes_takes_its_waiting_requests_along) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  user = "carol";
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  give(request("INVITE", "sip:carol@example.org", sdp()), dave);
  close_session(1);
  known = true;
  lookup_done(lookups_asked[0]);
  user_available("carol");
  EXPECT_EQ(count(carol, "INVITE"), 1u);
}

TEST_F(ParkedBench, a_user_without_device_is_woken_and_the_caller_is_told_to_wait) {
  user = "carol";
  sip::Message invited = request("INVITE", "sip:carol@example.org", sdp());
  give(invited, alice);
  ASSERT_EQ(woken.size(), 1u);
  EXPECT_EQ(woken[0].user, "carol");
  EXPECT_EQ(woken[0].from, "sip:alice@example.org");
  EXPECT_EQ(woken[0].method, "INVITE");
  EXPECT_EQ(woken[0].call_id, invited.call_id());
  EXPECT_EQ(count(alice, "INVITE", 182), 1u);
  user_available("somebody");
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  pass(seconds(3));
  user_available("carol");  // one device of hers, but not the one that takes calls
  EXPECT_EQ(woken.size(), 1u);
  EXPECT_EQ(count(alice, "INVITE", 182), 1u);
  known = true;
  user_available("carol");
  give(response(last(carol, "INVITE"), 200, "c1", sdp()), carol);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
}

TEST_F(ParkedBench, a_user_that_never_comes_is_480_after_the_limit) {
  user = "carol";
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  pass(seconds(10));
  user_available("carol");  // the limit counts from the first wait
  pass(milliseconds(9900));
  EXPECT_EQ(count(alice, "INVITE", 480), 0u);
  pass(milliseconds(200));
  EXPECT_EQ(last(alice, "INVITE", 480).get(HeaderId::retry_after), "30");
  expect_nothing_left();
}

TEST_F(ParkedBench, other_methods_get_no_provisional_and_an_answer_before_their_sender_gives_up) {
  user = "carol";
  limit = seconds(60);
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  EXPECT_EQ(woken.at(0).method, "MESSAGE");
  EXPECT_EQ(count(alice, "MESSAGE", 182), 0u);
  pass(seconds(25));
  EXPECT_EQ(count(alice, "MESSAGE", 480), 1u);
  expect_nothing_left();
}

TEST_F(ParkedBench, too_many_that_wait_are_refused) {
  for (int i = 0; i < 4096; ++i) give(request("MESSAGE", "sip:carol@example.org"), dave);
  EXPECT_EQ(count(dave, "MESSAGE", 503), 0u);
  give(request("MESSAGE", "sip:carol@example.org"), alice);
  EXPECT_EQ(count(alice, "MESSAGE", 503), 1u);
  EXPECT_EQ(lookups_asked.size(), 1u);
  pass(seconds(6));
  EXPECT_EQ(count(dave, "MESSAGE", 503), 4096u);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
