// Serial fail-over (RFC 3263 §4.3): which failures move a request on, where to, and what the caller
// and the router hear of it.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct FailoverBench : BridgeBench {
  const sip::Flow third = sip::Flow::udp(*Endpoint::parse("203.0.113.3:5060"));
  RouteTarget target{carol, {}};
  std::vector<int> statuses;

  FailoverBench() {
    target.alternatives = {RouteTarget{other, {}}, RouteTarget{third, "sip:+49@third.example"}};
    target.alternatives[1].other_provider = true;
    target.alternatives[1].headers = {{"X-Trunk", "3"}};
    router.decide = [this](const sip::Message&) { return RouteTargets{{target}, statuses}; };
  }
  sip::Message start(std::string_view method = "INVITE") {
    sip::Message sent_request =
        request(method, "sip:carol@example.org", method == "INVITE" ? sdp() : std::string());
    give(sent_request, alice);
    return sent_request;
  }
  /// "carol>other timeout; " for every step from place to place.
  std::string moved() {
    const auto name = [this](const sip::Flow& flow) {
      return flow == carol ? "carol" : flow == other ? "other" : "third";
    };
    static const char* const kNames[] = {"answered", "timeout", "unreachable", "unavailable"};
    std::string text;
    for (const Move& move : router.moves) {
      text += std::string(name(move.from)) + ">" + name(move.to) + " " +
              kNames[static_cast<std::size_t>(move.why)] + "; ";
    }
    return text;
  }
  /// "carol timeout", "other unavailable 7"… in order.
  std::string told() {
    std::string text;
    for (const Outcome& entry : router.outcomes) {
      static const char* const kNames[] = {"answered", "timeout", "unreachable", "unavailable"};
      text += entry.flow == carol ? "carol " : entry.flow == other ? "other " : "third ";
      text += kNames[static_cast<std::size_t>(entry.outcome)];
      if (entry.retry_after_s) text += " " + std::to_string(entry.retry_after_s);
      text += "; ";
    }
    return text;
  }
};

TEST_F(FailoverBench, second_host_answers_when_the_first_is_silent) {
  start();
  sip::Message first = last(carol, "INVITE");
  pass(milliseconds(3900));
  EXPECT_EQ(count(other, "INVITE"), 0u);
  pass(milliseconds(200));
  sip::Message second = last(other, "INVITE");
  EXPECT_EQ(second.call_id(), first.call_id());
  EXPECT_EQ(second.cseq()->number, first.cseq()->number);
  EXPECT_NE(second.top_via()->branch(), first.top_via()->branch());
  EXPECT_EQ(second.body(), first.body());  // the same ports are on offer: nothing was opened anew
  EXPECT_EQ(media.ends.size(), 2u);
  give(response(second, 200, "o1", sdp()), other);
  sip::Message ok = last(alice, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(count(alice, "INVITE", 408), 0u);
  EXPECT_EQ(told(), "carol timeout; other answered; ");
  EXPECT_EQ(moved(), "carol>other timeout; ");
  ASSERT_EQ(bridge.calls(now).size(), 1u);
  EXPECT_EQ(bridge.calls(now)[0].owner[1], other.to_string());
  give(by_caller(ok, "BYE", 2), alice);
  give(response(last(carol, "BYE"), 200), carol);  // the answer's Contact says so
  expect_nothing_left();
}

TEST_F(FailoverBench, first_host_that_wakes_up_too_late_is_hung_up) {
  start();
  sip::Message first = last(carol, "INVITE");
  pass(seconds(5));
  sip::Message second = last(other, "INVITE");
  give(response(first, 180, "late"), carol);
  EXPECT_EQ(count(carol, "CANCEL"), 1u);  // it was waiting for a sign of life
  EXPECT_EQ(count(alice, "INVITE", 180), 0u);
  give(response(last(carol, "CANCEL"), 200), carol);
  give(response(first, 200, "late", sdp()), carol);
  EXPECT_EQ(count(carol, "ACK"), 1u);
  ASSERT_EQ(count(carol, "BYE"), 1u);
  give(response(last(carol, "BYE"), 200), carol);
  give(response(second, 486, "o1"), other);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  expect_nothing_left();
}

TEST_F(FailoverBench, transport_faults_and_503_move_on_at_once) {
  start();
  flow_failed(carol);
  sip::Message busy = response(last(other, "INVITE"), 503, "o1");
  busy.add(HeaderId::retry_after, "7 (maintenance);duration=60");
  give(busy, other);
  sip::Message last_try = last(third, "INVITE");
  EXPECT_EQ(last_try.request_uri(), "sip:+49@third.example");
  EXPECT_EQ(last_try.get("X-Trunk"), "3");
  give(response(last_try, 404, "t1"), third);
  EXPECT_EQ(count(alice, "INVITE", 404), 1u);
  EXPECT_EQ(count(alice, "INVITE", 503), 0u);
  EXPECT_EQ(told(), "carol unreachable; other unavailable 7; third answered; ");
  EXPECT_EQ(moved(), "carol>other unreachable; other>third unavailable; ");
  expect_nothing_left();
}

TEST_F(FailoverBench, named_statuses_go_to_another_provider_and_skip_the_hosts_of_this_one) {
  statuses = {486, 500};
  start();
  give(response(last(carol, "INVITE"), 500, "c1"), carol);
  EXPECT_EQ(count(other, "INVITE"), 0u);
  EXPECT_EQ(moved(), "carol>third answered; ") << "a status that the route names";
  give(response(last(third, "INVITE"), 486, "t1"), third);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  expect_nothing_left();
}

TEST_F(FailoverBench, other_statuses_stand) {
  for (int status : {302, 401, 404, 486, 500, 504, 603}) {
    start();
    give(response(last(carol, "INVITE"), status, "c1"), carol);
    EXPECT_EQ(count(alice, "INVITE", status), 1u) << status;
  }
  EXPECT_EQ(count(other, "INVITE"), 0u);
  expect_nothing_left();
}

TEST_F(FailoverBench, a_host_that_rang_is_not_left_for_another) {
  start();
  sip::Message first = last(carol, "INVITE");
  give(response(first, 180, "c1"), carol);
  give(response(first, 503, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 503), 1u);
  EXPECT_EQ(count(other, "INVITE"), 0u);
  expect_nothing_left();
}

TEST_F(FailoverBench, trying_keeps_the_first_host_beyond_the_bound) {
  start();
  give(sip::Message::response_to(last(carol, "INVITE"), 100), carol);
  pass(seconds(20));
  EXPECT_EQ(count(other, "INVITE"), 0u);
  give(response(last(carol, "INVITE"), 503, "c1"), carol);  // no dialog was made yet
  EXPECT_EQ(count(other, "INVITE"), 1u);
}

TEST_F(FailoverBench, what_the_caller_hears_when_all_are_silent_is_408) {
  start();
  pass(seconds(8));
  ASSERT_EQ(count(third, "INVITE"), 1u);
  pass(seconds(33));
  EXPECT_EQ(count(alice, "INVITE", 408), 1u);
  EXPECT_EQ(told(), "carol timeout; other timeout; third timeout; ");
  expect_nothing_left();
}

TEST_F(FailoverBench, words_of_an_earlier_host_count_more_than_silence_of_the_last) {
  statuses = {486};
  start();
  flow_failed(carol);
  give(response(last(other, "INVITE"), 486, "o1"), other);
  pass(seconds(33));
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  EXPECT_EQ(count(alice, "INVITE", 408), 0u);
  expect_nothing_left();
}

TEST_F(FailoverBench, cancel_and_a_caller_that_is_gone_stop_it) {
  sip::Message invited = start();
  give(cancel_of(invited), alice);
  EXPECT_EQ(count(alice, "INVITE", 487), 1u);
  pass(seconds(40));
  start();
  start("MESSAGE");
  close_session(1);
  pass(seconds(40));
  EXPECT_EQ(count(other, "INVITE") + count(other, "MESSAGE"), 0u);
  expect_nothing_left();
}

TEST_F(FailoverBench, bound_is_the_providers_and_zero_is_none) {
  router.policies[carol].failover_after = milliseconds(500);
  router.policies[other].failover_after = Duration::zero();
  start();
  pass(milliseconds(600));
  ASSERT_EQ(count(other, "INVITE"), 1u);
  pass(seconds(31));
  EXPECT_EQ(count(third, "INVITE"), 0u);
  pass(seconds(2));
  EXPECT_GE(count(third, "INVITE"), 1u);
}

TEST_F(FailoverBench, requests_outside_calls_move_on_too) {
  for (const char* method : {"MESSAGE", "OPTIONS", "SUBSCRIBE", "FROBNICATE"}) {
    router.outcomes.clear();
    router.moves.clear();
    start(method);
    sip::Message first = last(carol, method);
    pass(milliseconds(7900));
    EXPECT_EQ(count(other, method), 0u) << method;
    pass(milliseconds(200));
    give(response(last(other, method), 503, "o1"), other);
    give(response(last(third, method), 202, "t1"), third);
    EXPECT_EQ(count(alice, method, 202), 1u) << method;
    EXPECT_EQ(told(), "carol timeout; other unavailable; third answered; ") << method;
    EXPECT_EQ(moved(), "carol>other timeout; other>third unavailable; ") << method;
    give(response(first, 200, "c1"), carol);  // too late to be of interest
    EXPECT_EQ(count(alice, method, 200), 0u) << method;
  }
}

TEST_F(FailoverBench, ports_change_when_the_next_host_speaks_another_family) {
  const sip::Flow six = sip::Flow::udp(*Endpoint::parse("[2001:db8::5]:5060"));
  target.alternatives = {RouteTarget{six, {}}};
  start();
  give(response(last(carol, "INVITE"), 503, "c1"), carol);
  EXPECT_EQ(media.ends.size(), 2u);
  give(response(last(six, "INVITE"), 488, "s1"), six);
  EXPECT_EQ(count(alice, "INVITE", 488), 1u);
  expect_nothing_left();
}

TEST_F(FailoverBench, one_link_cannot_take_all_the_room_for_requests) {
  target.alternatives.clear();
  for (int i = 0; i < 600; ++i) start("MESSAGE");
  EXPECT_EQ(count(carol, "MESSAGE"), 512u);
  EXPECT_EQ(count(alice, "MESSAGE", 503), 88u);
  give(request("MESSAGE", "sip:carol@example.org"), dave);
  EXPECT_EQ(count(carol, "MESSAGE"), 513u);
  give(response(last(carol, "MESSAGE"), 200), carol);
  pass(seconds(33));
  std::size_t before = count(alice, "MESSAGE", 503);
  start("MESSAGE");
  EXPECT_EQ(count(alice, "MESSAGE", 503), before);
}

TEST_F(FailoverBench, endless_lists_are_cut) {
  target.alternatives.assign(100, RouteTarget{other, {}});
  start();
  give(response(last(carol, "INVITE"), 503, "c1"), carol);
  for (int i = 0; i < 100 && count(alice, "INVITE", 503) == 0; ++i) {
    give(response(last(other, "INVITE"), 503, "o1"), other);
  }
  EXPECT_EQ(count(other, "INVITE"), 15u);
  EXPECT_EQ(count(alice, "INVITE", 503), 1u);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
