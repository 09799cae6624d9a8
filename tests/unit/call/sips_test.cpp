// SIPS URIs: no hop in the clear, and Contacts that say so (RFC 3261 §8.1.1.8, §12.1.1, §26.2.2,
// RFC 5630).
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct SipsBench : BridgeBench {
  const sip::Flow secure =
      sip::Flow::to(sip::Transport::tls, *Endpoint::parse("198.51.100.5:5061"));

  void route_to(std::vector<RouteTarget> places) {
    RouteTarget first = std::move(places.front());
    first.alternatives.assign(places.begin() + 1, places.end());
    router.decide = [first](const sip::Message&) { return RouteTargets{{first}}; };
  }
  static constexpr const char* kCarol = "<sips:carol@198.51.100.5:5061>";
  static sip::Message at_carol(sip::Message message) {
    message.set(HeaderId::contact, kCarol);
    return message;
  }
  static bool is_secure(const sip::Message& message) {
    return message.contact()->uri.starts_with("sips:");
  }
};

TEST_F(SipsBench, a_request_that_no_tls_leads_to_is_refused) {
  for (const char* method : {"INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER"}) {
    give(request(method, "sips:carol@example.org"), alice);
    sip::Message refusal = last(alice, method, 480);
    EXPECT_EQ(refusal.get(HeaderId::warning), "380 Isthmus \"SIPS Not Allowed\"") << method;
    EXPECT_EQ(count(carol, method), 0u);
  }
  expect_nothing_left();
}

TEST_F(SipsBench, of_several_places_those_with_tls_are_asked) {
  route_to({{carol, {}}, {secure, {}}, {other, {}}});
  give(request("INVITE", "sips:carol@example.org", sdp()), alice);
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  EXPECT_EQ(last(secure, "INVITE").top_via()->transport, "TLS");
  flow_failed(secure);
  EXPECT_EQ(count(other, "INVITE"), 0u);
  EXPECT_EQ(count(alice, "INVITE", 503), 1u);
  expect_nothing_left();
}

TEST_F(SipsBench, contacts_of_a_secure_dialog_are_sips_on_both_legs) {
  route_to({{secure, {}}});
  router.places["sips:carol@198.51.100.5:5061"] = {secure};
  give(request("INVITE", "sips:carol@example.org", sdp()), alice);
  invite = last(secure, "INVITE");
  EXPECT_TRUE(is_secure(invite)) << invite.contact()->uri;
  EXPECT_EQ(invite.contact()->uri.find("transport"), std::string::npos);
  give(at_carol(response(invite, 200, "c1", sdp())), secure);
  sip::Message ok = last(alice, "INVITE", 200);
  EXPECT_TRUE(is_secure(ok));
  give(by_caller(ok, "ACK", 1), alice);
  EXPECT_EQ(last(secure, "ACK").request_uri(), "sips:carol@198.51.100.5:5061");
  give(by_caller(ok, "INVITE", 2, sdp()), alice);
  EXPECT_TRUE(is_secure(last(secure, "INVITE")));
  give(at_carol(response(last(secure, "INVITE"), 200, "c1", sdp())), secure);
  EXPECT_TRUE(is_secure(last(alice, "INVITE", 200)));
  give(by_caller(ok, "ACK", 2), alice);
  sip::Message update = at_carol(by_callee(invite, "c1", "UPDATE", 1));
  EXPECT_TRUE(update.request_uri().starts_with("sips:"));
  give(update, secure);
  give(response(last(alice, "UPDATE"), 200), alice);
  EXPECT_TRUE(is_secure(last(secure, "UPDATE", 200)));
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(secure, "BYE"), 200), secure);
  expect_nothing_left();
}

TEST_F(SipsBench, what_is_asked_with_sip_stays_sip) {
  route_to({{secure, {}}});
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  EXPECT_FALSE(is_secure(last(secure, "INVITE")));
  EXPECT_NE(last(secure, "INVITE").contact()->uri.find(";transport=tls"), std::string::npos);
}

/// A client's link is secure whatever its Contact says; who calls over TLS is told so.
TEST_F(SipsBench, a_provider_that_calls_with_sips_is_answered_with_sips) {
  router.decide = [](const sip::Message&) {
    return RouteTargets{{{sip::Flow::link(2), "sip:dave@dave.invalid"}}};
  };
  give(request("INVITE", "sips:dave@example.org", sdp()), secure);
  EXPECT_EQ(last(dave, "INVITE").request_uri(), "sip:dave@dave.invalid");
  give(response(last(dave, "INVITE"), 200, "d1", sdp()), dave);
  EXPECT_TRUE(is_secure(last(secure, "INVITE", 200)));
  // By its Contact alone, too, and by a route; but not where nobody could follow it.
  for (const auto& [flow, header, expected] : {std::tuple(secure, HeaderId::contact, true),
                                               std::tuple(secure, HeaderId::record_route, true),
                                               std::tuple(other, HeaderId::contact, false)}) {
    sip::Message opening = request("INVITE", "sip:dave@example.org", sdp());
    opening.set(header, "<sips:edge.example;lr>");
    give(opening, flow);
    give(response(last(dave, "INVITE"), 200, "d2", sdp()), dave);
    EXPECT_EQ(is_secure(last(flow, "INVITE", 200)), expected);
  }
}

TEST_F(SipsBench, a_service_is_secure_on_a_link) {
  give(request("INVITE", "sips:echo@example.org", sdp()), alice);
  EXPECT_TRUE(is_secure(last(alice, "INVITE", 200)));
}

/// RFC 3261 §8.1.3.4: giving up TLS is the caller's to decide.
TEST_F(SipsBench, a_redirection_into_the_clear_is_not_followed) {
  router.policies[secure].follow_redirects = true;
  route_to({{secure, {}}});
  router.places["sip:desk@desk.example"] = {other};
  give(request("INVITE", "sips:carol@example.org", sdp()), alice);
  sip::Message moved = response(last(secure, "INVITE"), 302, "c1");
  moved.add(HeaderId::contact, "<sip:desk@desk.example>");
  give(moved, secure);
  EXPECT_EQ(count(other, "INVITE"), 0u);
  EXPECT_EQ(count(alice, "INVITE", 302), 1u);
  expect_nothing_left();
}

TEST_F(SipsBench, a_target_that_turns_to_sips_is_not_asked_in_the_clear) {
  sip::Message ok = answered_call();
  sip::Message moved = by_callee(invite, "c1", "UPDATE", 1);
  moved.set(HeaderId::contact, "<sips:carol@nowhere.example>");
  give(moved, carol);
  give(response(last(alice, "UPDATE"), 200), alice);
  give(by_caller(ok, "INFO", 2), alice);
  EXPECT_EQ(count(carol, "INFO"), 0u);
  EXPECT_TRUE(last(alice, "INFO", 480).has(HeaderId::warning));
  give(by_caller(ok, "BYE", 3), alice);
  give(response(last(carol, "BYE"), 200), carol);
  expect_nothing_left();
}

}  // namespace
}  // namespace isthmus::call
