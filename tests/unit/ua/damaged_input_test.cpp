// Whatever a gateway sends, the user agent stays whole: damaged, repeated and shuffled messages.
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

/// Everything that one good call of each kind makes the other end send.
std::vector<std::string> recorded() {
  sim::World world(74);
  UaNode ann(world, test_options("ann"), 1), ben(world, test_options("ben"), 1);
  world.attach_link(ann, 1, ben, 1);
  ann.link_up();
  ben.link_up();
  ben.register_for(600);
  const auto id = ann.call("ben");
  world.run_for(seconds(1));
  EXPECT_TRUE(ben.answer(ben.incoming()));
  world.run_for(seconds(1));
  EXPECT_TRUE(ben.hold(ben.incoming()));
  world.run_for(seconds(1));
  EXPECT_TRUE(ben.send_info_digit(ben.incoming(), '1'));
  world.run_for(seconds(1));
  EXPECT_TRUE(ann.hang_up(*id));
  world.run_for(seconds(1));
  std::vector<std::string> all = ann.received;
  all.insert(all.end(), ben.received.begin(), ben.received.end());
  return all;
}

void damage(std::string& bytes, SeededRandom& random) {
  for (std::uint64_t edits = random.below(4); edits > 0 && !bytes.empty(); --edits) {
    const std::size_t at = random.below(bytes.size());
    switch (random.below(3)) {
      case 0:
        bytes[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        bytes.erase(at, random.below(20));
        break;
      default:
        bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(40)));
    }
  }
}

TEST(DamagedInput, leaves_bounds_and_order_intact) {
  const std::vector<std::string> samples = recorded();
  ASSERT_GT(samples.size(), 12u);
  constexpr std::uint64_t kSeed = 75;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  SeededRandom random(kSeed);
  sim::World world(76);
  UserAgentOptions options = test_options("ann");
  options.max_calls = 8;
  UaNode ann(world, options, 1);
  ann.connected = false;
  ann.link_up();
  ann.register_for(600);
  for (int i = 0; i < 20'000; ++i) {
    if (random.below(50) == 0) (void)ann.call("ben");
    if (random.below(20) == 0) (void)ann.answer(random.below(ann.incoming() + 2));
    if (random.below(40) == 0) (void)ann.hang_up(random.below(ann.incoming() + 2));
    if (random.below(40) == 0) (void)ann.hold(random.below(ann.incoming() + 2), i % 2 == 0);
    std::string bytes = samples[random.below(samples.size())];
    if (random.below(2) == 0 && !ann.sent_messages.empty()) {
      // Their half of a transaction of ours: what we sent, turned into an answer.
      auto ours = sip::Message::parse(
          ann.sent_messages[random.below(std::min<std::size_t>(ann.sent_messages.size(), 500))]);
      if (ours && ours->is_request()) {
        constexpr int kStatus[] = {100, 180, 183, 200, 200, 401, 407, 423, 481, 486, 491, 503};
        sip::Message answer = sip::Message::response_to(
            *ours, kStatus[random.below(std::size(kStatus))], {}, "t" + std::to_string(i % 3));
        if (random.below(2) == 0) answer.set_body(Alone::kOffer, "application/sdp");
        bytes = answer.serialize();
      }
    }
    damage(bytes, random);
    ann.inject(std::move(bytes));
    if (random.below(10) == 0) world.run_for(milliseconds(random.below(3000)));
    ASSERT_LE(ann.agent.call_count(), options.max_calls);
    if (ann.sent_messages.size() > 2000) ann.sent_messages.clear();
  }
  EXPECT_GT(ann.agent.malformed(), 100u);
  EXPECT_GT(ann.changes.size(), 100u);
  // Once nothing comes any more, everything comes to an end.
  world.run_for(std::chrono::minutes(10));
  ann.link_down();
  EXPECT_EQ(ann.agent.call_count(), 0u);
  EXPECT_TRUE(ann.agent.quiet());
}

}  // namespace
}  // namespace isthmus::ua
