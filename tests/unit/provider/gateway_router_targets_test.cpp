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
      for (const dns::Question& question : book.take_work().questions) {
        book.on_answer(question, zone.answer(question), now);
      }
    }
    router.set_addresses("trunk", book.addresses_of("trunk"));
  }
  call::Route route(const char* uri = "sip:+4930@pbx.example") {
    sip::Message request = sip::Message::request("INVITE", uri);
    request.add(sip::HeaderId::from, "<sip:alice@home.example>;tag=1");
    request.add(sip::HeaderId::to, "<sip:+4930@pbx.example>");
    return router.route(request, Flow::link(1), now);
  }
  /// Places in the order in which they are to be tried.
  std::vector<std::string> places(const char* uri = "sip:+4930@pbx.example") {
    call::Route decision = route(uri);
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

/// RFC 3263 §4.1, RFC 3261 §26.2.2: in the provider's own terms of TLS.
TEST_F(RouterTargetsTest, a_sips_uri_asks_the_dns_for_hosts_with_tls) {
  zone.srv("_sips._tcp.pbx.example", 1, 1, 5071, "secure.pbx.example");
  zone.a("secure.pbx.example", "192.0.2.9");
  settle();
  call::Route first = route("sips:+4930@pbx.example");
  auto* pending = std::get_if<call::RoutePending>(&first);
  ASSERT_TRUE(pending);
  EXPECT_EQ("sips:pbx.example", pending->lookup);
  book.lookup(pending->lookup, now);
  settle();
  EXPECT_EQ((Texts{"tls 192.0.2.9:5071"}), places("sips:+4930@pbx.example"));
  call::Route second = route("sips:+4930@pbx.example");
  const Flow& flow = std::get<RouteTargets>(second).targets[0].flow;
  EXPECT_EQ(book.identity_of("trunk"), flow.identity);
  EXPECT_EQ("udp 192.0.2.1:5060", places().front());
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

TEST_F(RouterTargetsTest, requests_that_left_a_host_are_counted_by_where_to_and_why) {
  settle();
  const Flow first = Flow::udp(*Endpoint::parse("192.0.2.1:5060")),
             second = Flow::udp(*Endpoint::parse("192.0.2.2:5060"));
  const Flow elsewhere = Flow::udp(*Endpoint::parse("203.0.113.1:5060"));
  router.on_moved(first, second, HopOutcome::timeout);
  router.on_moved(first, second, HopOutcome::timeout);
  router.on_moved(second, elsewhere, HopOutcome::answered);
  router.on_moved(elsewhere, first, HopOutcome::timeout);
  router.on_moved(Flow::link(1), Flow::link(2), HopOutcome::unreachable);
  ASSERT_EQ(1u, router.failovers().by_provider().size());
  const FailoverCounts::Counts& counts = router.failovers().by_provider().at("trunk");
  EXPECT_EQ(2u, counts.to_host[static_cast<std::size_t>(HopOutcome::timeout)]);
  EXPECT_EQ(1u, counts.to_provider[static_cast<std::size_t>(HopOutcome::answered)]);
  EXPECT_EQ("refused", to_text(HopOutcome::answered));
}

/// Two customers' trunks at one carrier's TLS address.
class SharedAddressTest : public RouterTargetsTest {
 protected:
  SharedAddressTest() {
    router.set_providers({{"trunk", {"pbx.example"}, {}, {}},
                          {"one", {"one.example"}, {}, {}},
                          {"two", {"two.example"}, {}, {}},
                          {"another", {"another.example"}, {}, {}}});
    for (const char* name : {"one", "two", "another"}) {
      book.add_provider(name, *TargetName::of_uri(*sip::Uri::parse("sips:192.0.2.7:5061")), {});
    }
    settle();
    for (const char* name : {"one", "two", "another"})
      router.set_addresses(name, book.addresses_of(name));
  }
  const Endpoint shared = *Endpoint::parse("192.0.2.7:5061");
};

TEST_F(SharedAddressTest, each_has_connections_of_its_own) {
  const Flow one = router.flows_to("one", now).at(0), two = router.flows_to("two", now).at(0);
  EXPECT_EQ(shared, one.remote);
  EXPECT_EQ(shared, two.remote);
  EXPECT_NE(one, two);
  EXPECT_NE(0u, one.identity);
  EXPECT_EQ("one", router.owner_of(one));
  EXPECT_EQ("two", router.owner_of(two));
  EXPECT_EQ("one", router.owner_of(Flow::to(sip::Transport::tls, shared))) << "the first of them";
  EXPECT_EQ(0u, router.flows_to("trunk", now).at(0).identity) << "UDP has no certificates";
  EXPECT_TRUE(router.is_host_of("two", shared));
  EXPECT_FALSE(router.is_host_of("trunk", shared));
}

TEST_F(SharedAddressTest, a_dialog_stays_with_the_provider_that_it_is_with) {
  const Flow two = router.flows_to("two", now).at(0);
  std::string lookup;
  for (const char* contact : {"sip:pbx@192.0.2.7:5061;transport=tls", "sips:pbx@192.0.2.7"}) {
    std::vector<Flow> hops = router.locate(contact, two, now, lookup);
    ASSERT_EQ(1u, hops.size()) << contact;
    EXPECT_EQ(two, hops[0]) << contact;
  }
  Flow theirs = Flow::to(sip::Transport::tls, {shared.address, 40000});
  theirs.connection = 7;  // a connection that the provider opened
  std::vector<Flow> hops =
      router.locate("sip:pbx@192.0.2.7:5061;transport=tls", theirs, now, lookup);
  ASSERT_EQ(1u, hops.size());
  EXPECT_EQ(book.identity_of("one"), hops[0].identity)
      << "verified by what the configuration says of that host, first";
  EXPECT_EQ("one", router.owner_of(theirs));
}

TEST_F(SharedAddressTest, a_failure_of_one_identity_is_not_the_other_ones) {
  const Flow two = router.flows_to("two", now).at(0);
  router.on_outcome(two, HopOutcome::unreachable, 0, now);
  EXPECT_TRUE(router.flows_to("two", now).empty());
  EXPECT_EQ(1u, router.flows_to("one", now).size());
}

TEST_F(RouterTargetsTest, an_outcome_at_a_link_or_a_stranger_means_nothing) {
  settle();
  router.on_outcome(Flow::link(1), HopOutcome::timeout, 0, now);
  router.on_outcome(Flow::udp(*Endpoint::parse("203.0.113.1:5060")), HopOutcome::timeout, 0, now);
  EXPECT_EQ(3u, places().size());
}

}  // namespace
}  // namespace isthmus::provider
