// What goes wrong in a call, on virtual time: refusals, CANCEL races, lost links and providers,
// limits, bad input.
#include <gtest/gtest.h>

#include "support/sim_site.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;

call::BridgeConfig small_limits() {
  call::BridgeConfig config;
  config.max_calls_per_session = 2;
  config.max_calls = 3;
  return config;
}

struct CallFailure : TwoUsers {
  CallFailure() : TwoUsers(43, small_limits()) {}

  int status_of(Phone& phone, const std::string& id) { return phone.find(id)->final_status; }
  bool run_to_final(Phone& phone, const std::string& id) {
    return world.run_until([&] { return status_of(phone, id) != 0; });
  }
};

TEST_F(CallFailure, failure_codes_pass_with_their_headers) {
  for (int status : {302, 404, 486, 503, 603}) {
    provider.answer_with = status;
    provider.redirect = "sip:elsewhere@example.net";
    std::string id = alice.call("sip:carol@example.org");
    ASSERT_TRUE(run_to_final(alice, id));
    EXPECT_EQ(status_of(alice, id), status);
    EXPECT_EQ(alice.responses.back().get(HeaderId::warning), "399 phone.example \"as told\"");
    EXPECT_EQ(alice.responses.back().contact()->uri, "sip:elsewhere@example.net");
  }
  expect_nothing_left();
}

TEST_F(CallFailure, cancel_ends_the_ringing_on_both_sides) {
  provider.answer_with = 0;
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return !alice.find(id)->provisional.empty(); }));
  alice.cancel(id);
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->ended; }));
  ASSERT_TRUE(run_to_final(alice, id));
  EXPECT_EQ(status_of(alice, id), 487);
  EXPECT_EQ(provider.find(id)->final_status, 487);
  expect_nothing_left();
}

TEST_F(CallFailure, cancel_that_crosses_the_answer_hangs_the_answer_up) {
  for (int offset_ms = -3; offset_ms <= 30; ++offset_ms) {
    provider.answer_after = milliseconds(200);
    std::string id = alice.call("sip:carol@example.org");
    world.run_for(milliseconds(211 + offset_ms));
    alice.cancel(id);
    world.run_for(seconds(5));
    Phone::CallState* callee = provider.find(id);
    ASSERT_TRUE(callee);
    if (alice.find(id)->final_status == 200) {
      EXPECT_FALSE(callee->ended) << offset_ms;  // CANCEL came too late: an ordinary call
      alice.hang_up(id);
      world.run_for(seconds(5));
    }
    EXPECT_TRUE(callee->ended) << offset_ms;
    EXPECT_FALSE(callee->resend_at) << "callee still waits for an ACK, offset " << offset_ms;
  }
  expect_nothing_left();
}

TEST_F(CallFailure, provider_that_is_down_gives_408_and_an_icmp_gives_503) {
  world.detach_udp(kProvider);
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(run_to_final(alice, id));
  EXPECT_EQ(status_of(alice, id), 408);
  id = alice.call("sip:carol@example.org");
  world.run_for(milliseconds(50));
  call::Actions actions;
  gateway.node.bridge.on_flow_failed(sip::Flow::udp(kProvider), world.now, actions);
  gateway.node.on_timeout(world.now);
  for (auto& action : actions) {
    if (auto* send = std::get_if<call::SendSip>(&action))
      world.send_link(gateway.node, send->flow.session, send->bytes);
  }
  ASSERT_TRUE(run_to_final(alice, id));
  EXPECT_EQ(status_of(alice, id), 503);
  expect_nothing_left();
}

TEST_F(CallFailure, lost_link_ends_the_other_leg_with_a_reason) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(
      world.run_until([&] { return alice.find(id)->confirmed && provider.find(id)->confirmed; }));
  world.detach_link(alice, 101);
  gateway.close_session(1);
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->ended; }));
  EXPECT_EQ(provider.requests.back().get(HeaderId::reason), "SIP;cause=503;text=\"Link lost\"");
  expect_nothing_left();
}

TEST_F(CallFailure, lost_link_while_ringing_cancels) {
  provider.answer_with = 0;
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return !alice.find(id)->provisional.empty(); }));
  world.detach_link(alice, 101);
  gateway.close_session(1);
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->ended; }));
  EXPECT_EQ(provider.find(id)->final_status, 487);
  expect_nothing_left();
}

TEST_F(CallFailure, lost_link_of_the_callee_is_480_while_ringing_and_bye_after) {
  alice.domain = "home.example";
  bob.register_at("home.example");
  bob.answer_with = 0;
  world.run_for(seconds(1));
  std::string id = alice.call("sip:bob@home.example");
  ASSERT_TRUE(world.run_until([&] { return !alice.find(id)->provisional.empty(); }));
  world.detach_link(bob, 102);
  gateway.close_session(2);
  ASSERT_TRUE(run_to_final(alice, id));
  EXPECT_EQ(status_of(alice, id), 480);
  expect_nothing_left();
}

TEST_F(CallFailure, other_calls_go_on_when_one_link_dies) {
  std::string a = alice.call("sip:carol@example.org"), b = bob.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return alice.find(a)->confirmed && bob.find(b)->confirmed; }));
  world.detach_link(alice, 101);
  gateway.close_session(1);
  world.run_for(seconds(5));
  EXPECT_TRUE(provider.find(a)->ended);
  EXPECT_FALSE(provider.find(b)->ended);
  bob.hang_up(b);
  expect_nothing_left();
}

TEST_F(CallFailure, silence_on_both_legs_ends_the_call_but_not_on_hold) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(
      world.run_until([&] { return alice.find(id)->confirmed && provider.find(id)->confirmed; }));
  alice.hold(id);
  world.run_for(seconds(1));
  gateway.node.media.idle = 100'000;
  world.run_for(seconds(100));
  EXPECT_FALSE(provider.find(id)->ended);
  alice.hold(id, false);
  world.run_for(seconds(2));
  EXPECT_TRUE(provider.find(id)->ended);
  EXPECT_TRUE(alice.find(id)->ended);
  EXPECT_EQ(gateway.node.bridge.counters().media_timeouts, 1u);
  expect_nothing_left();
}

TEST_F(CallFailure, exhausted_ports_refuse_one_call_and_leave_the_others) {
  gateway.node.media = FakeMediaPlane(kGateway.address, 20000, 1);
  std::string first = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return alice.find(first)->confirmed; }));
  std::string second = bob.call("sip:carol@example.org");
  ASSERT_TRUE(run_to_final(bob, second));
  EXPECT_EQ(status_of(bob, second), 503);
  EXPECT_EQ(bob.responses.back().reason(), "No media port is free");
  EXPECT_TRUE(bob.responses.back().has(HeaderId::retry_after));
  EXPECT_FALSE(alice.find(first)->ended);
  alice.hang_up(first);
  world.run_for(seconds(5));
  std::string third = bob.call("sip:carol@example.org");
  ASSERT_TRUE(run_to_final(bob, third));
  EXPECT_EQ(status_of(bob, third), 200);
  bob.hang_up(third);
  expect_nothing_left();
}

TEST_F(CallFailure, limits_of_calls_are_counted_per_link_and_in_all) {
  std::string a = alice.call("sip:carol@example.org"), b = alice.call("sip:carol@example.org");
  std::string over = alice.call("sip:carol@example.org");
  ASSERT_TRUE(run_to_final(alice, over));
  EXPECT_EQ(alice.responses.back().reason(), "Too many calls on this link");
  std::string c = bob.call("sip:carol@example.org"), over_all = bob.call("sip:carol@example.org");
  ASSERT_TRUE(run_to_final(bob, over_all));
  EXPECT_EQ(status_of(bob, over_all), 503);
  world.run_for(seconds(2));
  for (auto* id : {&a, &b}) alice.hang_up(*id);
  bob.hang_up(c);
  expect_nothing_left();
  std::string again = alice.call("sip:carol@example.org");
  ASSERT_TRUE(run_to_final(alice, again));
  EXPECT_EQ(status_of(alice, again), 200);
}

TEST_F(CallFailure, malformed_description_is_refused_with_the_line_named) {
  sip::Message invite = alice.new_request("INVITE", "sip:carol@example.org");
  invite.set_body(
      "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=audio x RTP/AVP "
      "0\r\n",
      "application/sdp");
  alice.send_request(invite);
  ASSERT_TRUE(world.run_until([&] { return !alice.responses.empty(); }));
  EXPECT_EQ(alice.responses.back().status(), 400);
  EXPECT_NE(alice.responses.back().reason().find("line 6"), std::string_view::npos)
      << alice.responses.back().reason();
  EXPECT_TRUE(provider.requests.empty());
  expect_nothing_left();
}

TEST_F(CallFailure, nobody_speaks_for_another_user_or_takes_part_in_another_session) {
  alice.domain = "home.example";
  sip::Message forged = alice.new_request("INVITE", "sip:bob@home.example");
  forged.set(HeaderId::from, "<sip:bob@home.example>;tag=x");
  alice.send_request(forged);
  ASSERT_TRUE(world.run_until([&] { return !alice.responses.empty(); }));
  EXPECT_EQ(alice.responses.back().status(), 403);
  // A BYE with the right Call-ID and tags, but from bob's link, does not end alice's call.
  alice.domain = "example.org";
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->confirmed; }));
  sip::Dialog stolen = alice.find(id)->dialog;
  bob.send_request(stolen.request("BYE"));
  ASSERT_TRUE(world.run_until([&] { return !bob.responses.empty(); }));
  EXPECT_EQ(bob.responses.back().status(), 481);
  EXPECT_FALSE(provider.find(id)->ended);
  alice.hang_up(id);
  expect_nothing_left();
}

TEST_F(CallFailure, loops_end_at_max_forwards) {
  sip::Message options = alice.new_request("OPTIONS", "sip:carol@example.org");
  options.set(HeaderId::max_forwards, "0");
  alice.send_request(options);
  ASSERT_TRUE(world.run_until([&] { return !alice.responses.empty(); }));
  EXPECT_EQ(alice.responses.back().status(), 483);
  EXPECT_TRUE(provider.requests.empty());
}

TEST_F(CallFailure, unknown_users_and_domains_are_named) {
  alice.domain = "home.example";
  std::string nobody = alice.call("sip:nobody@home.example"),
              away = alice.call("sip:bob@home.example");
  ASSERT_TRUE(run_to_final(alice, nobody) && run_to_final(alice, away));
  EXPECT_EQ(status_of(alice, nobody), 404);
  EXPECT_EQ(status_of(alice, away), 480);  // known, but no device of his is registered
  EXPECT_TRUE(alice.responses.back().has(HeaderId::retry_after));
}

TEST_F(CallFailure, administrator_ends_both_legs) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(
      world.run_until([&] { return alice.find(id)->confirmed && provider.find(id)->confirmed; }));
  gateway.node.end_call(gateway.node.bridge.calls(world.now).at(0).id);
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->ended && provider.find(id)->ended; }));
  EXPECT_EQ(alice.requests.back().get(HeaderId::reason),
            "SIP;cause=503;text=\"Ended by administrator\"");
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::sim
