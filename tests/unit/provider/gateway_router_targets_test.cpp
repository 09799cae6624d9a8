#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "provider/gateway_router.hpp"
#include "support/fake_zone.hpp"

namespace isthmus::provider {
namespace {

using call::HopOutcome;
using call::RouteRejection;
using call::RouteTargets;
using sip::Flow;

/// A gateway whose provider is known by name.
class RouterTargetsTest : public ::testing::Test {
 protected:
  RouterTargetsTest() {
    router.add_session(1, {"alice", {"alice"}});
    router.set_providers({{"trunk", {"pbx.example"}, {}, {}}});
    router.set_targets(&book);
    zone.ttl = seconds(3600);
    for (int i = 1; i <= 3; ++i) {
      std::string host = "h" + std::to_string(i) + ".pbx.example";
      zone.srv("_sip._udp.pbx.example", static_cast<std::uint16_t>(i), 1, 5060, host);
      zone.a(host, "192.0.2." + std::to_string(i));
    }
    book.add_provider("trunk", *TargetName::of_uri(*sip::Uri::parse("sip:pbx.example")), {});
  }
  void settle() {
    book.on_timeout(now);
    while (book.has_news()) {
      for (const DnsQuestion& question : book.take_work().questions) {
        book.on_answer(question, zone.answer(question), now);
      }
    }
    router.set_addresses("trunk", book.addresses_of("trunk"));
  }
  call::Route route() {
    sip::Message request = sip::Message::request("INVITE", "sip:+4930@pbx.example");
    request.add(sip::HeaderId::from, "<sip:alice@home.example>;tag=1");
    request.add(sip::HeaderId::to, "<sip:+4930@pbx.example>");
    return router.route(request, Flow::link(1), now);
  }
  /// Places in the order in which they are to be tried.
  std::vector<std::string> places() {
    call::Route decision = route();
    auto* targets = std::get_if<RouteTargets>(&decision);
    if (!targets) return {};
    EXPECT_EQ(1u, targets->targets.size());
    std::vector<std::string> out = {targets->targets[0].flow.to_string()};
    for (const call::RouteTarget& other : targets->targets[0].alternatives) {
      EXPECT_FALSE(other.other_provider);
      out.push_back(other.flow.to_string());
    }
    return out;
  }
  int status() {
    call::Route decision = route();
    auto* rejection = std::get_if<RouteRejection>(&decision);
    return rejection ? rejection->status : 0;
  }

  using Texts = std::vector<std::string>;
  test::FakeZone zone;
  SeededRandom random{11};
  Instant now{};
  TargetBook book{{}, random};
  call::BindingTable bindings{Bytes(32, 7)};
  GatewayRouter router{{"home.example", "echo", "tone", {}, {}}, bindings};
};

TEST_F(RouterTargetsTest, before_the_dns_answered_requests_get_503) {
  EXPECT_EQ(503, status());
  EXPECT_EQ(nullptr, router.provider_at(*Endpoint::parse("192.0.2.1:5060")));
}

TEST_F(RouterTargetsTest, the_other_hosts_are_alternatives_of_the_best) {
  settle();
  EXPECT_EQ((Texts{"udp 192.0.2.1:5060", "udp 192.0.2.2:5060", "udp 192.0.2.3:5060"}), places());
}

TEST_F(RouterTargetsTest, every_host_may_send_to_us_dead_ones_too) {
  settle();
  router.on_outcome(Flow::udp(*Endpoint::parse("192.0.2.2:5060")), HopOutcome::timeout, 0, now);
  for (const char* source : {"192.0.2.1:5060", "192.0.2.2:5060", "192.0.2.3:40000"}) {
    EXPECT_NE(nullptr, router.provider_at(*Endpoint::parse(source))) << source;
  }
  EXPECT_EQ(nullptr, router.provider_at(*Endpoint::parse("192.0.2.4:5060")));
}

TEST_F(RouterTargetsTest, dead_hosts_are_left_out_until_none_is_left) {
  settle();
  router.on_outcome(Flow::udp(*Endpoint::parse("192.0.2.1:5060")), HopOutcome::unreachable, 0, now);
  EXPECT_EQ((Texts{"udp 192.0.2.2:5060", "udp 192.0.2.3:5060"}), places());
  router.on_outcome(Flow::udp(*Endpoint::parse("192.0.2.2:5060")), HopOutcome::unreachable, 0, now);
  router.on_outcome(Flow::udp(*Endpoint::parse("192.0.2.3:5060")), HopOutcome::unavailable, 9, now);
  EXPECT_EQ(503, status());
  EXPECT_TRUE(router.flows_to("trunk", now).empty());
}

TEST_F(RouterTargetsTest, an_outcome_at_a_link_or_a_stranger_means_nothing) {
  settle();
  router.on_outcome(Flow::link(1), HopOutcome::timeout, 0, now);
  router.on_outcome(Flow::udp(*Endpoint::parse("203.0.113.1:5060")), HopOutcome::timeout, 0, now);
  EXPECT_EQ(3u, places().size());
}

}  // namespace
}  // namespace isthmus::provider
