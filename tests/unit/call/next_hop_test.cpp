// Where requests inside a dialog go: Contacts and routes that name hosts (RFC 3263).
#include "bridge_bench.hpp"
#include "call/dialog_peers.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct NextHopBench : BridgeBench {
  const sip::Flow desk = {sip::Transport::tcp, *Endpoint::parse("198.51.100.9:5062"), 0, 0};
  const sip::Flow spare = sip::Flow::udp(*Endpoint::parse("198.51.100.10:5060"));
  static constexpr const char* kUri = "sip:desk@desk.example;transport=tcp";

  sip::Message answered_at_desk() {
    give(request("INVITE", "sip:carol@example.org", sdp()), alice);
    invite = last(carol, "INVITE");
    sip::Message ok = response(invite, 200, "c1", sdp());
    ok.set(HeaderId::contact, "<" + std::string(kUri) + ">");
    give(ok, carol);
    return last(alice, "INVITE", 200);
  }
};

TEST_F(NextHopBench, contact_that_names_a_host_is_located) {
  router.places[kUri] = {desk};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(last(desk, "ACK").request_uri(), kUri);
  EXPECT_EQ(last(desk, "ACK").top_via()->transport, "TCP");
  give(by_caller(ok, "INFO", 2), alice);
  EXPECT_NE(last(desk, "INFO").contact()->uri.find(";transport=tcp"), std::string::npos);
  give(response(last(desk, "INFO"), 200), desk);
  EXPECT_EQ(count(alice, "INFO", 200), 1u);
}

TEST_F(NextHopBench, ack_and_bye_wait_for_the_name_in_their_order) {
  router.lookups[kUri] = "desk";
  sip::Message ok = answered_at_desk();
  EXPECT_EQ(lookups_asked, (std::vector<std::string>{"desk"}));  // asked when the 200 came
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "BYE", 2), alice);
  EXPECT_EQ(lookups_asked.size(), 1u);
  EXPECT_EQ(count(carol, "ACK") + count(carol, "BYE"), 0u);
  router.places[kUri] = {desk};
  lookup_done("desk");
  ASSERT_GE(sent.size(), 2u);
  EXPECT_EQ(sent[sent.size() - 2].message.method_text(), "ACK");
  EXPECT_EQ(sent.back().message.method_text(), "BYE");
  give(response(last(desk, "BYE"), 200), desk);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(NextHopBench, name_that_is_not_found_is_left_to_the_host_that_set_the_dialog_up) {
  router.lookups[kUri] = "desk";
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  pass(seconds(6));
  EXPECT_EQ(last(carol, "ACK").request_uri(), kUri);
  give(response(invite, 200, "c1", sdp()), carol);  // its ACK was lost
  EXPECT_EQ(count(carol, "ACK"), 2u);
}

TEST_F(NextHopBench, requests_that_wait_when_the_call_ends_are_answered) {
  router.lookups[kUri] = "desk";
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "INFO", 2), alice);
  give(by_callee(invite, "c1", "BYE", 1), carol);
  give(response(last(alice, "BYE"), 200), alice);
  lookup_done("desk");
  EXPECT_EQ(count(alice, "INFO", 481), 1u);
  expect_nothing_left();
}

TEST_F(NextHopBench, next_address_of_the_peer_is_tried_inside_a_dialog_too) {
  router.places[kUri] = {desk, spare};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "INVITE", 2, sdp("a=sendonly\r\n")), alice);
  sip::Message first = last(desk, "INVITE");
  flow_failed(desk);
  sip::Message second = last(spare, "INVITE");
  EXPECT_EQ(second.cseq()->number, 2u);
  EXPECT_EQ(second.body(), first.body());
  EXPECT_NE(second.top_via()->branch(), first.top_via()->branch());
  sip::Message held = response(second, 200, "c1", sdp("a=recvonly\r\n"));
  held.set(HeaderId::contact, "<" + std::string(kUri) + ">");
  give(held, spare);
  EXPECT_EQ(count(alice, "INVITE", 200), 2u);
  give(by_caller(ok, "BYE", 3), alice);
  pass(seconds(9));  // nothing is heard: twice the time of an INVITE
  give(response(last(spare, "BYE"), 200), spare);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  expect_nothing_left();
}

/// RFC 3263 §4.3 knows no exception for requests inside a dialog, where its next hop is a name.
TEST_F(NextHopBench, next_address_is_tried_after_a_503_inside_a_dialog) {
  router.places[kUri] = {desk, spare};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "INVITE", 2, sdp("a=sendonly\r\n")), alice);
  give(response(last(desk, "INVITE"), 100), desk);
  sip::Message busy = response(last(desk, "INVITE"), 503, "c1");
  busy.add(HeaderId::retry_after, "30");
  give(busy, desk);
  EXPECT_EQ(count(desk, "ACK"), 2u);  // of the call's 200, and of this
  EXPECT_EQ(count(alice, "INVITE", 503), 0u);
  EXPECT_EQ(router.outcomes.back().outcome, HopOutcome::unavailable);
  EXPECT_EQ(router.outcomes.back().retry_after_s, 30u);
  sip::Message held = response(last(spare, "INVITE"), 200, "c1", sdp("a=recvonly\r\n"));
  held.set(HeaderId::contact, "<" + std::string(kUri) + ">");
  give(held, spare);
  EXPECT_EQ(count(alice, "INVITE", 200), 2u);
  // The last address that refuses has the last word.
  give(by_caller(ok, "INFO", 3), alice);
  give(response(last(desk, "INFO"), 503, "c1"), desk);
  give(response(last(spare, "INFO"), 503, "c1"), spare);
  EXPECT_EQ(count(alice, "INFO", 503), 1u);
}

TEST_F(NextHopBench, a_503_inside_a_dialog_with_one_address_is_the_callers_to_hear) {
  router.places[kUri] = {desk};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "INFO", 2), alice);
  give(response(last(desk, "INFO"), 503, "c1"), desk);
  EXPECT_EQ(count(alice, "INFO", 503), 1u);
  EXPECT_EQ(bridge.call_count(), 1u);
}

TEST_F(NextHopBench, route_set_comes_before_the_contact) {
  router.places["sip:edge.example;lr"] = {desk};
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  invite = last(carol, "INVITE");
  sip::Message ok = response(invite, 200, "c1", sdp());
  ok.add(HeaderId::record_route, "<sip:edge.example;lr>");
  give(ok, carol);
  give(by_caller(last(alice, "INVITE", 200), "ACK", 1), alice);
  EXPECT_EQ(last(desk, "ACK").request_uri(), "sip:carol@198.51.100.1:5060");
  EXPECT_EQ(last(desk, "ACK").get(HeaderId::route), "<sip:edge.example;lr>");
}

/// RFC 3263 §4.1 has the Contact decide; where nobody listens, the way that the dialog came.
TEST_F(NextHopBench,
       a_contact_over_tcp_where_nobody_listens_is_left_for_the_way_that_the_answer_came) {
  router.places[kUri] = {desk};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(count(desk, "ACK"), 1u);
  flow_failed(desk);
  give(response(invite, 200, "c1", sdp()), carol);  // again, since no ACK came
  sip::Message ack = last(carol, "ACK");
  EXPECT_EQ(ack.request_uri(), kUri);
  EXPECT_EQ(ack.top_via()->transport, "UDP");
  give(by_caller(ok, "BYE", 2), alice);
  EXPECT_EQ(count(desk, "BYE"), 0u);
  give(response(last(carol, "BYE"), 200), carol);
  EXPECT_EQ(count(alice, "BYE", 200), 1u);
  expect_nothing_left();
}

TEST_F(NextHopBench, a_request_that_finds_nobody_over_tcp_goes_on_over_udp) {
  router.places[kUri] = {desk};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "INFO", 2), alice);
  EXPECT_EQ(count(desk, "INFO"), 1u);
  flow_failed(desk);
  sip::Message info = last(carol, "INFO");
  EXPECT_EQ(info.top_via()->transport, "UDP");
  EXPECT_EQ(info.cseq()->number, 2u);
  give(response(info, 200), carol);
  EXPECT_EQ(count(alice, "INFO", 200), 1u);
  close_session(1);  // a BYE of ours
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

TEST_F(NextHopBench, a_contact_over_tls_has_no_way_in_the_clear) {
  sip::Flow secure = desk;
  secure.transport = sip::Transport::tls;
  router.places[kUri] = {secure};
  sip::Message ok = answered_at_desk();
  give(by_caller(ok, "ACK", 1), alice);
  give(by_caller(ok, "INFO", 2), alice);
  flow_failed(secure);
  EXPECT_EQ(count(carol, "INFO"), 0u);
  EXPECT_EQ(count(alice, "INFO", 503), 1u);
}

/// RFC 3261 §12.2.1.1: what a caller sends in its dialog does not pass a proxy that recorded no
/// route.
struct DialogPeerBench : NextHopBench {
  const Endpoint phone = *Endpoint::parse("203.0.113.77:5062");

  sip::Message call_from_provider(std::string_view contact = "<sip:caller@203.0.113.77:5062>") {
    router.decide = [](const sip::Message&) { return RouteTargets{{{sip::Flow::link(2), {}}}}; };
    sip::Message opening = request("INVITE", "sip:dave@example.org", sdp());
    opening.set(HeaderId::contact, contact);
    give(opening, carol);
    return last(dave, "INVITE");
  }
  sip::Message ring_and_answer(const sip::Message& arrived) {
    give(response(arrived, 200, "d1", sdp()), dave);
    return last(carol, "INVITE", 200);
  }
  bool known(const IpAddress& address) const { return bridge.is_dialog_peer(address, now); }
};

TEST_F(DialogPeerBench, caller_behind_a_proxy_that_records_no_route_is_heard) {
  sip::Message arrived = call_from_provider();
  EXPECT_FALSE(known(phone.address));  // no dialog yet
  sip::Message ok = ring_and_answer(arrived);
  ASSERT_TRUE(known(phone.address));
  const sip::Flow straight = sip::Flow::udp(Endpoint{phone.address, 31000});  // its own port
  give(by_caller(ok, "ACK", 1), straight);
  EXPECT_EQ(count(dave, "ACK"), 1u);
  give(by_caller(ok, "BYE", 2), straight);
  give(response(last(dave, "BYE"), 200), dave);
  EXPECT_EQ(count(straight, "BYE", 200), 1u);
  pass(seconds(32));  // its BYE may be repeated
  EXPECT_TRUE(known(phone.address));
  expect_nothing_left();
  EXPECT_FALSE(known(phone.address));
}

TEST_F(DialogPeerBench, caller_of_a_service_is_heard_too) {
  sip::Message opening = request("INVITE", "sip:echo@example.org", sdp());
  opening.set(HeaderId::contact, "<sip:caller@203.0.113.77:5062>");
  give(opening, carol);
  ASSERT_TRUE(known(phone.address));
  const sip::Flow straight = sip::Flow::udp(phone);
  sip::Message ok = last(carol, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), straight);
  pass(seconds(33));
  EXPECT_EQ(count(carol, "BYE"), 0u);  // the ACK was heard
  give(by_caller(ok, "BYE", 2), straight);
  EXPECT_EQ(count(straight, "BYE", 200), 1u);
  expect_nothing_left();
  EXPECT_FALSE(known(phone.address));
}

/// And reached there: its proxy, which recorded no route, has no part in the dialog.
TEST_F(DialogPeerBench, caller_of_a_service_is_hung_up_at_its_contact) {
  router.lookups[kUri] = "desk";
  sip::Message opening = request("INVITE", "sip:echo@example.org", sdp());
  opening.set(HeaderId::contact, "<" + std::string(kUri) + ">");
  give(opening, carol);
  EXPECT_EQ(lookups_asked, (std::vector<std::string>{"desk"}));
  router.places[kUri] = {desk};
  lookup_done("desk");
  EXPECT_TRUE(known(desk.remote.address));
  pass(seconds(33));  // there comes no ACK
  EXPECT_EQ(last(desk, "BYE").request_uri(), kUri);
  give(response(last(desk, "BYE"), 200), desk);
  expect_nothing_left();
}

/// Its tags and our token are what it knows the dialog by; neither may be missing.
TEST_F(DialogPeerBench, a_stranger_to_the_dialog_does_not_end_a_service) {
  sip::Message opening = request("INVITE", "sip:echo@example.org", sdp());
  opening.set(HeaderId::contact, "<sip:caller@203.0.113.77:5062>");
  give(opening, carol);
  sip::Message ok = last(carol, "INVITE", 200);
  give(by_caller(ok, "ACK", 1), carol);
  const sip::Flow straight = sip::Flow::udp(phone);
  sip::Message bye = by_caller(ok, "BYE", 2);
  bye.set_request_uri("sip:echo@example.org");
  give(bye, straight);
  bye = by_caller(ok, "BYE", 3);
  bye.set(HeaderId::from, "<sip:alice@example.org>;tag=wrong");
  give(bye, straight);
  EXPECT_EQ(count(straight, "BYE", 481), 2u);
  EXPECT_EQ(bridge.call_count(), 1u);
  give(by_caller(ok, "BYE", 4), straight);
  expect_nothing_left();
}

TEST_F(DialogPeerBench, caller_is_heard_in_an_early_dialog) {
  sip::Message arrived = call_from_provider();
  give(response(arrived, 180, "d1"), dave);
  EXPECT_TRUE(known(phone.address));
}

TEST_F(DialogPeerBench, callers_name_is_looked_up_and_each_of_its_addresses_is_heard) {
  router.lookups[kUri] = "desk";
  ring_and_answer(call_from_provider("<" + std::string(kUri) + ">"));
  EXPECT_EQ(lookups_asked, (std::vector<std::string>{"desk"}));
  EXPECT_FALSE(known(desk.remote.address));
  router.places[kUri] = {desk, spare};
  lookup_done("desk");
  EXPECT_TRUE(known(desk.remote.address));
  EXPECT_TRUE(known(spare.remote.address));
}

TEST_F(DialogPeerBench, host_that_a_call_lost_before_its_lookup_is_not_heard) {
  router.lookups[kUri] = "desk";
  give(by_caller(ring_and_answer(call_from_provider("<" + std::string(kUri) + ">")), "BYE", 2),
       carol);
  give(response(last(dave, "BYE"), 200), dave);
  router.places[kUri] = {desk};
  lookup_done("desk");
  EXPECT_FALSE(known(desk.remote.address));
}

TEST_F(DialogPeerBench, first_recorded_route_is_heard_and_not_the_contact_behind_it) {
  router.decide = [](const sip::Message&) { return RouteTargets{{{sip::Flow::link(2), {}}}}; };
  sip::Message opening = request("INVITE", "sip:dave@example.org", sdp());
  opening.set(HeaderId::contact, "<sip:caller@203.0.113.77:5062>");
  opening.add(HeaderId::record_route, "<sip:203.0.113.5;lr>, <sip:203.0.113.6;lr>");
  give(opening, carol);
  ring_and_answer(last(dave, "INVITE"));
  EXPECT_TRUE(known(*IpAddress::parse("203.0.113.5")));
  EXPECT_FALSE(known(*IpAddress::parse("203.0.113.6")));
  EXPECT_FALSE(known(phone.address));
}

TEST_F(DialogPeerBench, target_refresh_moves_the_host_that_is_heard) {
  sip::Message ok = ring_and_answer(call_from_provider());
  give(by_caller(ok, "ACK", 1), carol);
  sip::Message moved = by_caller(ok, "INVITE", 2, sdp());
  moved.set(HeaderId::contact, "<sip:caller@203.0.113.78>");
  give(moved, carol);
  EXPECT_FALSE(known(*IpAddress::parse("203.0.113.78")));
  give(response(last(dave, "INVITE"), 200, "d1", sdp()), dave);
  EXPECT_TRUE(known(*IpAddress::parse("203.0.113.78")));
}

/// One that moves on and on holds no more hosts than others, and its first ones are forgotten.
TEST_F(DialogPeerBench, hosts_of_one_call_are_bounded) {
  sip::Message ok = ring_and_answer(call_from_provider());
  give(by_caller(ok, "ACK", 1), carol);
  for (unsigned i = 1; i <= 40; ++i) {
    sip::Message moved = by_caller(ok, "UPDATE", i + 1);
    moved.set(HeaderId::contact, "<sip:caller@203.0.114." + std::to_string(i) + ">");
    give(moved, carol);
    give(response(last(dave, "UPDATE"), 200), dave);
  }
  pass(seconds(65));
  unsigned heard = 0;
  for (unsigned i = 1; i <= 40; ++i)
    heard += known(*IpAddress::parse("203.0.114." + std::to_string(i))) ? 1 : 0;
  EXPECT_GE(heard, 14u);
  EXPECT_LE(heard, 16u);
  EXPECT_TRUE(known(*IpAddress::parse("203.0.114.40")));
}

TEST(DialogPeers, hosts_that_rest_are_bounded_and_shared_ones_kept) {
  DialogPeers peers;
  const Duration rest = seconds(64);
  Instant now{std::chrono::hours(1)};
  const IpAddress shared = *IpAddress::parse("203.0.113.77");
  DialogPeers::Held first, second;
  peers.hold(first, shared, now, rest);
  peers.hold(second, shared, now, rest);
  peers.release(first, now, rest);
  for (unsigned i = 0; i < 20'000; ++i) {
    DialogPeers::Held held;
    std::string address = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256);
    peers.hold(held, *IpAddress::parse(address), now, rest);
    peers.release(held, now, rest);
  }
  EXPECT_LE(peers.size(), 10'001u);
  EXPECT_TRUE(peers.knows(shared, now + std::chrono::hours(9)));
  peers.release(second, now, rest);
  EXPECT_TRUE(peers.knows(shared, now + seconds(63)));
  EXPECT_FALSE(peers.knows(shared, now + rest));
  now += rest;
  peers.hold(first, shared, now, rest);
  EXPECT_EQ(peers.size(), 1u);
}

}  // namespace
}  // namespace isthmus::call
