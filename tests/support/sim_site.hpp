#pragma once
#include <gtest/gtest.h>

#include <utility>

#include "support/sim_bridge.hpp"
#include "support/sim_phone.hpp"

namespace isthmus::sim {

inline const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
inline const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");
inline const Endpoint kAnyMedia = *Endpoint::parse("10.0.0.1:40000");

/// alice on session 1 and bob on session 2 of a gateway whose provider is one phone.
struct TwoUsers : testing::Test {
  World world;
  GatewayNode gateway;
  Phone alice{world, "alice", kAnyMedia, 101}, bob{world, "bob", kAnyMedia, 102};
  Phone provider{world, "carol", kProvider, kGateway};

  explicit TwoUsers(std::uint64_t seed, call::BridgeConfig config = {})
      : world(seed), gateway(world, kGateway, kProvider, std::move(config)) {
    world.attach_link(alice, 101, gateway.node, 1);
    world.attach_link(bob, 102, gateway.node, 2);
    gateway.router.add_session(1, {"alice", {"alice"}});
    gateway.router.add_session(2, {"bob", {"bob"}});
  }
  void expect_nothing_left() {
    world.run_for(seconds(70));
    EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
    EXPECT_TRUE(gateway.node.media.ends.empty());
    EXPECT_EQ(gateway.node.bridge.transactions().open_client_transactions(), 0u);
    EXPECT_EQ(gateway.node.bridge.transactions().open_server_transactions(), 0u);
  }
};

}  // namespace isthmus::sim
