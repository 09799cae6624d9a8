// Many calls over a provider network that loses, delays and reorders: every call ends as it should,
// and nothing is left.
#include <gtest/gtest.h>

#include "support/sim_bridge.hpp"
#include "support/sim_phone.hpp"

namespace isthmus::sim {
namespace {

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");

struct Outcome {
  int answered = 0, refused = 0, cancelled = 0, other = 0;
  std::uint64_t datagrams = 0;
  auto operator<=>(const Outcome&) const = default;
};

Outcome run_calls(std::uint64_t seed, double loss) {
  World world(seed);
  world.udp_loss = loss;
  world.udp_delay_min = milliseconds(5);
  world.udp_delay_max = milliseconds(120);
  GatewayNode gateway(world, kGateway, kProvider);
  Phone alice(world, "alice", *Endpoint::parse("10.0.0.1:40000"), 101);
  Phone provider(world, "carol", kProvider, kGateway);
  world.attach_link(alice, 101, gateway.node, 1);
  gateway.router.add_session(1, {"alice", {"alice"}});
  Outcome outcome;
  for (int i = 0; i < 40; ++i) {
    int kind = static_cast<int>(world.random.below(4));
    provider.answer_with = kind == 1 ? 486 : kind == 2 ? 0 : 200;
    provider.answer_after = milliseconds(world.random.below(1500));
    std::string id = alice.call("sip:carol@example.org");
    world.run_for(milliseconds(world.random.below(3000)));
    if (kind == 2) alice.cancel(id);
    world.run_for(seconds(40));
    Phone::CallState* call = alice.find(id);
    if (call->confirmed) {
      if (kind == 3) {
        provider.hang_up(id);
      } else {
        alice.hang_up(id);
      }
      world.run_for(seconds(40));
      EXPECT_TRUE(call->ended && provider.find(id)->ended) << "seed " << seed << " call " << i;
      ++outcome.answered;
    } else if (call->final_status == 486) {
      ++outcome.refused;
    } else if (call->final_status == 487) {
      ++outcome.cancelled;
    } else {
      ++outcome.other;
    }
  }
  world.run_for(seconds(200));
  EXPECT_EQ(gateway.node.bridge.call_count(), 0u) << "seed " << seed;
  EXPECT_TRUE(gateway.node.media.ends.empty()) << "seed " << seed;
  EXPECT_EQ(gateway.node.bridge.transactions().open_client_transactions(), 0u) << "seed " << seed;
  EXPECT_EQ(gateway.node.bridge.transactions().open_server_transactions(), 0u) << "seed " << seed;
  outcome.datagrams = world.udp_sent;
  return outcome;
}

TEST(LossyNetwork, every_call_ends_as_meant_at_a_fifth_of_all_packets_lost) {
  Outcome sum;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    Outcome outcome = run_calls(seed, 0.2);
    sum.answered += outcome.answered;
    sum.refused += outcome.refused;
    sum.cancelled += outcome.cancelled;
    sum.other += outcome.other;
  }
  RecordProperty("answered", sum.answered);
  EXPECT_GT(sum.answered, 400);
  EXPECT_GT(sum.refused, 150);
  EXPECT_GT(sum.cancelled, 150);
  EXPECT_LE(
      sum.other,
      2);  // seven retransmissions lost in a row are possible, twice in a thousand are not likely
}

// A client sends its 2xx once, over its link; over the provider's lossy network the bridge repeats
// it until the ACK comes.
TEST(LossyNetwork, calls_from_the_provider_are_confirmed_on_both_sides_or_on_neither) {
  int confirmed = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    World world(seed);
    world.udp_delay_min = milliseconds(5);
    world.udp_delay_max = milliseconds(120);
    GatewayNode gateway(world, kGateway, kProvider);
    Phone bob(world, "bob", *Endpoint::parse("10.0.0.1:40000"), 102);
    Phone provider(world, "carol", kProvider, kGateway);
    world.attach_link(bob, 102, gateway.node, 2);
    gateway.router.add_session(2, {"bob", {"bob"}});
    bob.register_at("home.example");
    world.run_for(seconds(1));
    world.udp_loss = 0.3;
    for (int i = 0; i < 20; ++i) {
      bob.answer_after = milliseconds(world.random.below(1500));
      std::string id = provider.call("sip:bob@home.example");
      world.run_for(seconds(70));
      Phone::CallState *caller = provider.find(id), *callee = bob.find(id);
      if (!caller->confirmed || !callee) continue;
      // Six ACKs lost in a row end the call, and say so.
      EXPECT_TRUE(callee->confirmed || caller->ended) << "seed " << seed << " call " << i;
      confirmed += callee->confirmed;
      provider.hang_up(id);
      world.run_for(seconds(70));
      EXPECT_TRUE(callee->ended) << "seed " << seed << " call " << i;
    }
    EXPECT_EQ(gateway.node.bridge.call_count(), 0u) << "seed " << seed;
    EXPECT_TRUE(gateway.node.media.ends.empty()) << "seed " << seed;
  }
  EXPECT_GT(confirmed, 195);
}

TEST(LossyNetwork, the_same_seed_gives_the_same_run) {
  EXPECT_EQ(run_calls(7, 0.3), run_calls(7, 0.3));
}

}  // namespace
}  // namespace isthmus::sim
