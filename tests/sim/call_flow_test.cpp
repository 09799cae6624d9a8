// Calls through the real bridge on virtual time: a client on a link, a provider on UDP, and what
// each of them sees.
#include <gtest/gtest.h>

#include "sdp/session_description.hpp"
#include "support/sim_site.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using sip::Method;

struct CallFlow : TwoUsers {
  CallFlow() : TwoUsers(42) {}

  void TearDown() override { EXPECT_EQ(gateway.node.malformed, 0); }
  bool confirmed(Phone& phone) { return phone.only_call() && phone.only_call()->confirmed; }
  sdp::SessionDescription parse_sdp(const std::string& text) {
    auto parsed = sdp::SessionDescription::parse(text);
    EXPECT_TRUE(parsed) << text;
    return *parsed;
  }
};

TEST_F(CallFlow, client_calls_provider_and_hangs_up) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice) && confirmed(provider); }));
  EXPECT_EQ(alice.find(id)->provisional, (std::vector<int>{180}));
  alice.hang_up(id);
  ASSERT_TRUE(world.run_until([&] { return provider.only_call()->ended; }));
  expect_nothing_left();
  ASSERT_EQ(gateway.node.ended.size(), 1u);
  EXPECT_EQ(gateway.node.ended[0].end_reason, "BYE from caller");
  EXPECT_EQ(gateway.node.ended[0].owner, (std::array<std::string, 2>{"alice", "provider"}));
}

TEST_F(CallFlow, what_the_bridge_has_no_reason_to_touch_crosses_as_it_is) {
  std::string id = alice.call("sip:carol@example.org", {{"Subject", "a  b"}, {"x-Odd", "1;2,3"}});
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice); }));
  const sip::Message& sent = alice.find(id)->invite;
  const sip::Message& seen = provider.requests.at(0);
  EXPECT_EQ(seen.request_uri(), "sip:carol@example.org");
  EXPECT_EQ(seen.call_id(), sent.call_id());
  for (HeaderId header : {HeaderId::from, HeaderId::to, HeaderId::cseq, HeaderId::subject}) {
    EXPECT_EQ(seen.get(header), sent.get(header)) << sip::to_text(header);
  }
  EXPECT_EQ(seen.get("X-Kept"), "as  it   is");
  EXPECT_EQ(seen.get("x-odd"), "1;2,3");
  EXPECT_EQ(seen.number(HeaderId::max_forwards), 69u);
  EXPECT_EQ(seen.fields(HeaderId::via).size(), 1u);
  EXPECT_EQ(seen.contact()->uri.substr(seen.contact()->uri.find('@')), "@192.0.2.1:5060");
  // The answer came back with alice's own Via and tags.
  const sip::Message& ok = alice.responses.back();
  EXPECT_EQ(ok.top_via()->host, "alice.invalid");
  EXPECT_EQ(ok.fields(HeaderId::via).size(), 1u);
  EXPECT_EQ(ok.to_tag(), provider.find(id)->dialog.local_tag);
}

TEST_F(CallFlow, descriptions_name_our_ports_outside_and_channels_inside) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice) && confirmed(provider); }));
  auto outside = parse_sdp(provider.find(id)->remote_sdp);
  EXPECT_EQ(outside.connection()->address, "192.0.2.1");
  EXPECT_GE(outside.media()[0].port(), 20000);
  EXPECT_EQ(outside.media()[0].attribute("x-unknown"), "kept");
  auto inside = parse_sdp(alice.find(id)->remote_sdp);
  EXPECT_EQ(inside.connection()->address, "192.0.0.8");
  EXPECT_EQ(inside.media()[0].port(), 16);
  // The plane was told both ends: alice's channel 16, carol's port 40000.
  ASSERT_EQ(gateway.node.media.ends.size(), 2u);
  for (auto& [end_id, end] : gateway.node.media.ends) {
    EXPECT_EQ(end.remote.port, end.link ? 16 : 40000);
    EXPECT_EQ(gateway.node.media.ends.at(end.peer).peer, end_id);
    if (!end.link) {
      EXPECT_EQ(end.remote.address, kProvider.address);
    }
  }
}

TEST_F(CallFlow, callee_hangs_up) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice) && confirmed(provider); }));
  provider.hang_up(id);
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->ended; }));
  expect_nothing_left();
  EXPECT_EQ(gateway.node.ended.at(0).end_reason, "BYE from callee");
}

TEST_F(CallFlow, early_media_reaches_the_caller_before_the_answer) {
  provider.early_media = true;
  provider.answer_after = seconds(3);
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return !alice.find(id)->remote_sdp.empty(); }));
  EXPECT_FALSE(confirmed(alice));
  EXPECT_EQ(alice.find(id)->provisional, (std::vector<int>{180, 183}));
  EXPECT_EQ(parse_sdp(alice.find(id)->remote_sdp).media()[0].port(), 16);
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice); }));
  EXPECT_EQ(gateway.node.media.ends.size(), 2u);  // the same stream goes on
}

TEST_F(CallFlow, hold_and_resume_cross_with_their_direction) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice) && confirmed(provider); }));
  std::string port_before =
      std::to_string(parse_sdp(provider.find(id)->remote_sdp).media()[0].port());
  alice.hold(id);
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->final_status == 200; }));
  auto held = parse_sdp(provider.find(id)->remote_sdp);
  EXPECT_EQ(held.direction_of(held.media()[0]), sdp::Direction::sendonly);
  EXPECT_EQ(std::to_string(held.media()[0].port()), port_before);
  auto answer = parse_sdp(alice.find(id)->remote_sdp);
  EXPECT_EQ(answer.direction_of(answer.media()[0]), sdp::Direction::recvonly);
  provider.hold(id, false);
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->final_status == 200; }));
  auto resumed = parse_sdp(alice.find(id)->remote_sdp);
  EXPECT_EQ(resumed.direction_of(resumed.media()[0]), sdp::Direction::sendrecv);
  provider.hang_up(id);
  expect_nothing_left();
}

TEST_F(CallFlow, late_offer_is_answered_in_the_ack) {
  alice.late_offer = true;
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice) && confirmed(provider); }));
  EXPECT_EQ(parse_sdp(alice.find(id)->remote_sdp).media()[0].port(), 16);
  EXPECT_EQ(parse_sdp(provider.find(id)->remote_sdp).connection()->address, "192.0.2.1");
  alice.hang_up(id);
  expect_nothing_left();
}

TEST_F(CallFlow, requests_of_any_method_cross_inside_a_dialog) {
  std::string id = alice.call("sip:carol@example.org");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice) && confirmed(provider); }));
  alice.send_in_dialog(id, "INFO", "Signal=5\r\nDuration=160\r\n", "application/dtmf-relay");
  provider.send_in_dialog(id, "FROBNICATE", "x", "text/plain");
  world.run_for(seconds(2));
  const sip::Message& info = provider.requests.back();
  EXPECT_EQ(info.method_text(), "INFO");
  EXPECT_EQ(info.body(), "Signal=5\r\nDuration=160\r\n");
  EXPECT_EQ(info.content_type(), "application/dtmf-relay");
  EXPECT_EQ(alice.requests.back().method_text(), "FROBNICATE");
  alice.hang_up(id);
  expect_nothing_left();
}

TEST_F(CallFlow, peers_that_repeat_the_first_request_uri_are_found_by_tags) {
  for (const char* uri : {"sip:carol@example.org", "sip:echo@home.example"}) {
    std::string id = alice.call(uri);
    ASSERT_TRUE(world.run_until([&] { return alice.find(id)->confirmed; }));
    world.run_for(seconds(1));
    sip::Dialog dialog = alice.find(id)->dialog;
    sip::Message bye = dialog.request("BYE");
    bye.set_request_uri(uri);
    bob.send_request(bye);  // right tags, but not alice's link
    world.run_for(seconds(1));
    EXPECT_EQ(bob.responses.back().status(), 481);
    alice.send_request(bye);
    world.run_for(seconds(1));
    EXPECT_EQ(alice.responses.back().status(), 200);
  }
  EXPECT_TRUE(provider.only_call()->ended);
  expect_nothing_left();
}

TEST_F(CallFlow, a_proxy_that_record_routes_stays_in_the_path) {
  provider.calls.clear();
  // The provider puts itself in the path as a proxy would: its own responses carry the Record-Route
  // it asks for.
  alice.call("sip:carol@example.org", {{"Record-Route", "<sip:ghost.example;lr>"}});
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice); }));
  EXPECT_FALSE(provider.requests[0].has(HeaderId::record_route));  // never crosses
}

TEST_F(CallFlow, two_clients_of_one_gateway_call_each_other) {
  bob.register_at("home.example");
  alice.domain = "home.example";
  ASSERT_TRUE(world.run_until([&] { return bob.last_register_status == 200; }));
  std::string id = alice.call("sip:bob@home.example");
  ASSERT_TRUE(
      world.run_until([&] { return confirmed(alice) && bob.find(id) && bob.find(id)->confirmed; }));
  EXPECT_EQ(bob.requests.back().request_uri(), bob.contact_uri());
  EXPECT_EQ(world.udp_sent, 0u);
  bob.hang_up(id);
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->ended; }));
  expect_nothing_left();
}

TEST_F(CallFlow, echo_and_tone_answer_without_any_provider) {
  alice.domain = "home.example";
  for (const char* service : {"echo", "tone"}) {
    std::string id = alice.call("sip:" + std::string(service) + "@home.example");
    ASSERT_TRUE(world.run_until([&] { return alice.find(id)->confirmed; })) << service;
    auto answer = parse_sdp(alice.find(id)->remote_sdp);
    EXPECT_EQ(answer.connection()->address, "192.0.0.8");
    EXPECT_EQ(answer.media()[0].port(), 16 + 2 * (service[0] == 't'));
    alice.hold(id);
    ASSERT_TRUE(world.run_until([&] { return alice.find(id)->final_status == 200; }));
    alice.hang_up(id);
    ASSERT_TRUE(world.run_until([&] { return gateway.node.bridge.call_count() == 0; }));
  }
  expect_nothing_left();
}

TEST_F(CallFlow, late_offer_to_a_service_gets_an_offer_to_answer) {
  alice.domain = "home.example";
  alice.late_offer = true;
  std::string id = alice.call("sip:echo@home.example");
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->confirmed; }));
  world.run_for(seconds(1));
  for (auto& [end_id, end] : gateway.node.media.ends) {
    if (end.link) {
      EXPECT_EQ(end.remote.port, 16);
    }
  }
  alice.hang_up(id);
  expect_nothing_left();
}

TEST_F(CallFlow, parallel_forks_ring_all_devices_and_the_first_answer_wins) {
  Phone desk{world, "bob", kAnyMedia, 103};
  world.attach_link(desk, 103, gateway.node, 3);
  gateway.router.add_session(3, {"bob", {"bob"}});
  desk.answer_with = 0;
  bob.register_at("home.example");
  desk.register_at("home.example");
  world.run_for(seconds(1));
  // Same Contact text from two links would be one device: give the desk phone its own.
  ASSERT_EQ(gateway.registrar.contact_count(), 1u);
  desk.name = "bobdesk";
  sip::Message registration =
      desk.new_request("REGISTER", "sip:home.example", "sip:bob@home.example");
  registration.set(HeaderId::from, "<sip:bob@home.example>;tag=1");
  bob.register_at("home.example");
  desk.send_request(registration);
  world.run_for(seconds(1));
  ASSERT_EQ(gateway.registrar.contact_count(), 2u);
  alice.domain = "home.example";
  std::string id = alice.call("sip:bob@home.example");
  ASSERT_TRUE(world.run_until([&] { return confirmed(alice); }));
  ASSERT_TRUE(world.run_until([&] { return desk.find(id) && desk.find(id)->ended; }));
  EXPECT_EQ(desk.find(id)->final_status, 487);
  EXPECT_TRUE(world.run_until([&] { return bob.find(id)->confirmed; }));
  alice.hang_up(id);
  expect_nothing_left();
}

TEST_F(CallFlow, subscription_lives_until_its_final_notify) {
  sip::Message subscribe = alice.new_request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "dialog");
  subscribe.add(HeaderId::expires, "600");
  std::string id(subscribe.call_id());
  std::string from_tag = subscribe.from_tag();
  alice.send_request(subscribe);
  ASSERT_TRUE(world.run_until([&] { return !alice.responses.empty(); }));
  const sip::Message& seen = provider.requests.at(0);
  sip::Dialog notifier = sip::Dialog::as_uas(seen, alice.responses.back().to_tag());
  sip::Message notify = notifier.request("NOTIFY");
  notify.add(HeaderId::event, "dialog");
  notify.add(HeaderId::subscription_state, "terminated;reason=noresource");
  notify.add(HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
  provider.send_request(notify);
  ASSERT_TRUE(world.run_until([&] { return !alice.requests.empty(); }));
  EXPECT_EQ(alice.requests[0].method(), Method::notify);
  EXPECT_EQ(alice.requests[0].to_tag(), from_tag);
  expect_nothing_left();
}

TEST_F(CallFlow, last_notify_that_overtakes_the_answer_ends_the_subscription) {
  sip::Message subscribe = alice.new_request("SUBSCRIBE", "sip:carol@example.org");
  subscribe.add(HeaderId::event, "dialog");
  subscribe.add(HeaderId::expires, "600");
  // The notifier sends its last word before its answer, and both take their time.
  provider.on_each_request = [&](const sip::Message& seen) -> std::optional<sip::Message> {
    if (seen.method() != Method::subscribe) return std::nullopt;
    sip::Dialog notifier = sip::Dialog::as_uas(seen, "early");
    sip::Message notify = notifier.request("NOTIFY");
    notify.add(HeaderId::event, "dialog");
    notify.add(HeaderId::subscription_state, "terminated;reason=noresource");
    notify.add(HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
    provider.send_request(notify);
    world.udp_delay_min = world.udp_delay_max = milliseconds(200);
    sip::Message ok = sip::Message::response_to(seen, 200, {}, "early");
    ok.add(HeaderId::contact, "<sip:carol@198.51.100.1:5060>");
    ok.add(HeaderId::expires, "600");
    return ok;
  };
  alice.send_request(subscribe);
  ASSERT_TRUE(world.run_until([&] { return !alice.responses.empty() && !alice.requests.empty(); }));
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::sim
