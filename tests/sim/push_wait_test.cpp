// Calls that wait for a client to be woken, on virtual time.
#include <gtest/gtest.h>

#include "support/sim_site.hpp"

namespace isthmus::sim {
namespace {

struct PushWait : testing::Test {
  World world{57};
  GatewayNode gateway{
      world, kGateway, kProvider, {}, {}, [](provider::GatewayRouter::Config& config) {
        config.push_wait = seconds(20);
        config.local_users = {"bob"};
      }};
  Phone bob{world, "bob", kAnyMedia, 102};
  Phone provider{world, "carol", kProvider, kGateway};

  /// The client that was told comes, and registers.
  void bob_wakes_after(Duration wait) {
    world.run_for(wait);
    world.attach_link(bob, 102, gateway.node, 2);
    gateway.router.add_session(2, {"bob", {"bob"}});
    bob.register_at("home.example");
    ASSERT_TRUE(world.run_until([&] { return bob.last_register_status == 200; }));
    gateway.node.user_available("bob");
  }
};

TEST_F(PushWait, a_call_reaches_the_device_that_registers_in_time) {
  std::string id = provider.call("sip:bob@192.0.2.1:5060");
  bob_wakes_after(seconds(5));
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->final_status != 0; }));
  EXPECT_EQ(provider.find(id)->final_status, 200);
  ASSERT_EQ(gateway.node.woken.size(), 1u);
  EXPECT_EQ(gateway.node.woken[0].user, "bob");
  EXPECT_EQ(gateway.node.woken[0].method, "INVITE");
  provider.hang_up(id);
  world.run_for(seconds(70));
  EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
}

TEST_F(PushWait, without_a_device_the_caller_hears_480_and_when_to_try_again) {
  std::string id = provider.call("sip:bob@192.0.2.1:5060");
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->final_status != 0; }));
  EXPECT_EQ(provider.find(id)->final_status, 480);
  EXPECT_TRUE(provider.responses.back().has(sip::HeaderId::retry_after));
  // Too late is too late: nothing rings for a caller who has gone.
  bob_wakes_after(seconds(1));
  world.run_for(seconds(5));
  EXPECT_FALSE(bob.find(id));
}

TEST_F(PushWait, a_caller_who_gives_up_wakes_nobody_in_vain) {
  std::string id = provider.call("sip:bob@192.0.2.1:5060");
  world.run_for(seconds(2));
  provider.cancel(id);
  ASSERT_TRUE(world.run_until([&] { return provider.find(id)->final_status != 0; }));
  EXPECT_EQ(provider.find(id)->final_status, 487);
  bob_wakes_after(seconds(1));
  world.run_for(seconds(5));
  EXPECT_FALSE(bob.find(id));
}

}  // namespace
}  // namespace isthmus::sim
