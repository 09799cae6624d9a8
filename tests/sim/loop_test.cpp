// Requests that come round again: refused when nothing changed on the way (RFC 3261 §8.2.2.2,
// §16.3), welcome when they lead elsewhere.
#include <gtest/gtest.h>

#include "support/sim_site.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;

/// A proxy that sends every INVITE back where it came from, hops counted or not.
class Mirror : public Node {
 public:
  Mirror(World& world, Endpoint address) : world_(world), address_(address) {
    world.attach_udp(address, *this);
    world.add(*this);
  }
  void on_udp(const Endpoint& from, const Endpoint&, std::string bytes, Instant) override {
    auto message = sip::Message::parse(std::move(bytes));
    ASSERT_TRUE(message);
    if (message->is_request()) {
      if (message->method() == sip::Method::ack) return;
      ++requests;
      message->prepend(HeaderId::via, "SIP/2.0/UDP " + address_.to_string() +
                                          ";branch=z9hG4bKmirror" + std::to_string(requests));
      if (!request_uri.empty()) message->set_request_uri(request_uri);
    } else {
      statuses.push_back(message->status());
      message->remove_first_value(HeaderId::via);
    }
    world_.send_udp(address_, from, message->serialize());
  }
  void on_link(std::uint64_t, std::string, Instant) override {}
  void on_timeout(Instant) override {}
  std::optional<Instant> next_deadline() const override { return std::nullopt; }

  std::string request_uri;  ///< changed on the way, when not empty
  int requests = 0;
  std::vector<int> statuses;

 private:
  World& world_;
  Endpoint address_;
};

struct Loop : testing::Test {
  World world{77};
  /// What comes from the provider for 0123 goes to the provider again.
  static provider::RouteRule back() {
    provider::RouteRule rule;
    rule.match.sources = {{provider::RouteSource::Kind::any_provider, {}, {}}};
    rule.match.user_prefix = "0";
    rule.to = {"provider"};
    return rule;
  }
  GatewayNode gateway{world, kGateway, kProvider, {}, {back()}};
  Mirror mirror{world, kProvider};
  Phone alice{world, "alice", kAnyMedia, 101}, bob{world, "bob", kAnyMedia, 102};
  Loop() {
    world.attach_link(alice, 101, gateway.node, 1);
    world.attach_link(bob, 102, gateway.node, 2);
    gateway.router.add_session(1, {"alice", {"alice"}});
    gateway.router.add_session(2, {"bob", {"bob"}});
  }
};

TEST_F(Loop, a_request_that_comes_back_unchanged_is_refused_at_its_first_return) {
  std::string id = alice.call("sip:0123@example.org");
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->final_status != 0; }));
  EXPECT_EQ(alice.find(id)->final_status, 482);
  EXPECT_EQ(mirror.requests, 1);
  EXPECT_EQ(gateway.node.bridge.counters().loops, 1u);
  world.run_for(seconds(70));
  EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
}

TEST_F(Loop, a_call_through_the_provider_to_another_user_is_no_loop) {
  bob.register_at("home.example");
  ASSERT_TRUE(world.run_until([&] { return bob.last_register_status == 200; }));
  mirror.request_uri = "sip:bob@192.0.2.1:5060";
  std::string id = alice.call("sip:0456@example.org");
  ASSERT_TRUE(world.run_until([&] { return alice.find(id)->final_status != 0; }));
  EXPECT_EQ(alice.find(id)->final_status, 200);
  EXPECT_EQ(gateway.node.bridge.counters().loops, 0u);
}

TEST_F(Loop, the_same_number_may_be_called_again_after_a_refusal) {
  for (int i = 0; i < 3; ++i) {
    std::string id = alice.call("sip:0123@example.org");
    ASSERT_TRUE(world.run_until([&] { return alice.find(id)->final_status != 0; }));
    EXPECT_EQ(alice.find(id)->final_status, 482);
  }
  EXPECT_EQ(mirror.requests, 3);
}

/// Two gateways that each think the other knows better.
struct TwoGateways : testing::Test {
  static provider::RouteRule over(const char* prefix) {
    provider::RouteRule rule;
    rule.match.sources = {{provider::RouteSource::Kind::links, {}, {}},
                          {provider::RouteSource::Kind::any_provider, {}, {}}};
    rule.match.user_prefix = "0";
    rule.rewrite.prefix = prefix;
    rule.to = {"provider"};
    return rule;
  }
  World world{78};
  std::unique_ptr<GatewayNode> first, second;
  Phone alice{world, "alice", kAnyMedia, 101};

  int call(const char* prefix) {
    first = std::make_unique<GatewayNode>(world, kGateway, kProvider, call::BridgeConfig{},
                                          std::vector{over("")});
    second = std::make_unique<GatewayNode>(world, kProvider, kGateway, call::BridgeConfig{},
                                           std::vector{over(prefix)});
    world.attach_link(alice, 101, first->node, 1);
    first->router.add_session(1, {"alice", {"alice"}});
    std::string id = alice.call("sip:0123@example.org");
    EXPECT_TRUE(world.run_until([&] { return alice.find(id)->final_status != 0; }));
    world.run_for(seconds(70));
    EXPECT_EQ(first->node.bridge.call_count() + second->node.bridge.call_count(), 0u);
    return alice.find(id)->final_status;
  }
};

TEST_F(TwoGateways, a_loop_through_both_ends_at_its_first_return) {
  EXPECT_EQ(call(""), 482);
  EXPECT_EQ(second->node.bridge.counters().calls_started, 1u);
}

TEST_F(TwoGateways, a_loop_that_changes_the_request_ends_with_its_hops) {
  EXPECT_EQ(call("0"), 483);
  EXPECT_LE(second->node.bridge.counters().calls_started, 35u);
}

}  // namespace
}  // namespace isthmus::sim
