// REGISTER across the bridge: further hosts of one registrar, and what a failure leaves behind.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct RegisterRelayTest : BridgeBench {
  RouteTargets route{{{router.provider, {}}}};

  RegisterRelayTest() {
    route.targets[0].alternatives.push_back({router.other, {}});
    router.decide = [this](const sip::Message&) -> std::optional<Route> { return route; };
    LegPolicy policy;
    policy.failover_after = seconds(4);
    policy.client_refresh = seconds(60);
    router.policies = {{router.provider, policy}, {router.other, policy}};
  }
  sip::Message granted(const sip::Message& to) {
    sip::Message out = sip::Message::response_to(to, 200, {}, "r");
    out.add(HeaderId::contact, *to.get(HeaderId::contact));
    return out;
  }
};

TEST_F(RegisterRelayTest, silent_host_is_left_for_the_next_of_the_same_registrar) {
  give(request("REGISTER", "sip:example.org"), alice);
  EXPECT_EQ(count(carol, "REGISTER"), 1u);
  pass(seconds(9));
  sip::Message second = last(other, "REGISTER");
  // One binding, whichever host keeps it.
  EXPECT_EQ(second.contact()->uri, last(carol, "REGISTER").contact()->uri);
  give(granted(second), other);
  EXPECT_EQ(last(alice, "REGISTER", 200).contact()->uri, "sip:alice@alice.invalid");
  EXPECT_EQ(bindings.size(), 1u);
  expect_nothing_left();
}

TEST_F(RegisterRelayTest, busy_host_is_left_at_once_and_a_refusal_stands) {
  give(request("REGISTER", "sip:example.org"), alice);
  give(response(last(carol, "REGISTER"), 503, "r"), carol);
  give(response(last(other, "REGISTER"), 403, "r"), other);
  EXPECT_EQ(count(alice, "REGISTER", 403), 1u);
  EXPECT_EQ(count(alice, "REGISTER", 503), 0u);
  EXPECT_EQ(bindings.size(), 0u);
  EXPECT_EQ(bridge.counters().registration_failures, 1u);
}

TEST_F(RegisterRelayTest, another_provider_is_another_registrar) {
  route.targets[0].alternatives[0].other_provider = true;
  route.failover_on = {503};
  give(request("REGISTER", "sip:example.org"), alice);
  give(response(last(carol, "REGISTER"), 503, "r"), carol);
  EXPECT_EQ(count(other, "REGISTER"), 0u);
  EXPECT_EQ(count(alice, "REGISTER", 503), 1u);
}

TEST_F(RegisterRelayTest, session_that_closes_meanwhile_hears_nothing_more) {
  give(request("REGISTER", "sip:example.org"), alice);
  sip::Message sent_on = last(carol, "REGISTER");
  close_session(1);
  give(granted(sent_on), carol);
  EXPECT_EQ(count(alice, "REGISTER", 200), 0u);
  pass(seconds(70));
  EXPECT_EQ(count(other, "REGISTER"), 0u);
  EXPECT_EQ(bridge.transactions().open_client_transactions(), 0u);
}

}  // namespace
}  // namespace isthmus::call
