// Rules, number map and fork as a call sees them, on virtual time.
#include <gtest/gtest.h>

#include "support/sim_site.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;

const Endpoint kBackup = *Endpoint::parse("198.51.100.2:5060");

std::string header(const sip::Message& message, HeaderId id) {
  return std::string(message.get(id).value_or(""));
}

struct Rules : testing::Test {
  World world{91};
  std::unique_ptr<GatewayNode> gateway;
  Phone alice{world, "alice", kAnyMedia, 101}, bob{world, "bob", kAnyMedia, 102},
      carla{world, "carla", kAnyMedia, 103};
  Phone trunk{world, "carol", kProvider, kGateway}, backup{world, "dave", kBackup, kGateway};

  void start(std::vector<provider::RouteRule> rules,
             const std::function<void(provider::GatewayRouter::Config&)>& configure = {}) {
    gateway = std::make_unique<GatewayNode>(world, kGateway, kProvider, call::BridgeConfig{},
                                            std::move(rules), configure);
    gateway->router.set_providers({{"trunk", {"trunk.example"}, {kProvider}, {}},
                                   {"backup", {"backup.example"}, {kBackup}, {}}});
    Phone* phones[] = {&alice, &bob, &carla};
    for (std::uint64_t i = 0; i < 3; ++i) {
      world.attach_link(*phones[i], 101 + i, gateway->node, 1 + i);
      gateway->router.add_session(1 + i, {phones[i]->name, {phones[i]->name}});
      phones[i]->domain = "home.example";
    }
  }
  static provider::RouteRule numbers(const char* pattern, std::vector<std::string> to) {
    provider::RouteRule rule;
    rule.match.numbers = {*provider::UserPattern::parse(pattern)};
    rule.to = std::move(to);
    return rule;
  }
  void register_bob_and_carla() {
    bob.register_at("home.example");
    carla.register_at("home.example");
    ASSERT_TRUE(world.run_until(
        [&] { return bob.last_register_status == 200 && carla.last_register_status == 200; }));
  }
  int final_status(Phone& phone, const std::string& id) {
    EXPECT_TRUE(world.run_until([&] { return phone.find(id)->final_status != 0; }));
    return phone.find(id)->final_status;
  }
};

TEST_F(Rules, a_rewritten_caller_is_seen_by_the_far_end_alone_through_the_whole_call) {
  provider::RouteRule rule = numbers("_0.", {"trunk"});
  rule.rewrite = {1, "+49", "", "", true};
  rule.caller.user = "+493012345";
  rule.caller.provider_domain = true;
  start({rule});
  std::string id = alice.call("sip:0301@home.example");
  ASSERT_EQ(final_status(alice, id), 200);
  ASSERT_FALSE(trunk.requests.empty());
  const std::string kShown = "sip:+493012345@trunk.example";
  EXPECT_EQ(trunk.requests[0].request_uri(), "sip:+49301@trunk.example");
  EXPECT_EQ(trunk.requests[0].from()->uri, kShown);
  for (const sip::Message& response : alice.responses) {
    EXPECT_EQ(response.from()->uri, "sip:alice@home.example");
  }
  trunk.send_in_dialog(id, "INFO");
  world.run_for(seconds(1));
  ASSERT_FALSE(alice.requests.empty());
  EXPECT_EQ(alice.requests.back().to()->uri, "sip:alice@home.example");
  alice.hang_up(id);
  world.run_for(seconds(2));
  EXPECT_EQ(trunk.requests.back().method_text(), "BYE");
  EXPECT_EQ(trunk.requests.back().from()->uri, kShown);
  EXPECT_TRUE(trunk.find(id)->ended);
  world.run_for(seconds(70));
  EXPECT_EQ(gateway->node.bridge.call_count(), 0u);
}

TEST_F(Rules, the_answer_to_a_request_of_the_far_end_names_the_parties_as_it_knows_them) {
  provider::RouteRule rule = numbers("_0.", {"trunk"});
  rule.caller.user = "+493012345";
  start({rule});
  std::string id = alice.call("sip:0301@home.example");
  ASSERT_EQ(final_status(alice, id), 200);
  std::size_t before = world.sent_to(kProvider).size();
  trunk.send_in_dialog(id, "INFO");
  world.run_for(seconds(1));
  bool answered = false;
  std::vector<std::string> sent = world.sent_to(kProvider);
  for (std::size_t i = before; i < sent.size(); ++i) {
    auto message = sip::Message::parse(sent[i]);
    ASSERT_TRUE(message);
    if (!message->is_response() || message->method() != sip::Method::info) continue;
    answered = true;
    EXPECT_EQ(message->to()->uri, "sip:+493012345@home.example");
  }
  EXPECT_TRUE(answered);
}

TEST_F(Rules, the_next_provider_of_a_list_is_tried_when_one_fails) {
  provider::RouteRule rule = numbers("_0.", {"trunk", "backup"});
  rule.failover_on = {500, 503};
  rule.rewrite.provider_domain = true;
  start({rule});
  trunk.ring = false;  // a place that rang is not left for another
  trunk.answer_with = 500;
  std::string id = alice.call("sip:0301@home.example");
  EXPECT_EQ(final_status(alice, id), 200);
  ASSERT_FALSE(backup.requests.empty());
  EXPECT_EQ(backup.requests[0].request_uri(), "sip:0301@backup.example");
  alice.hang_up(id);
  world.run_for(seconds(2));
  // A status that is not listed is the answer.
  trunk.answer_with = 486;
  std::size_t before = backup.requests.size();
  id = alice.call("sip:0302@home.example");
  EXPECT_EQ(final_status(alice, id), 486);
  EXPECT_EQ(backup.requests.size(), before);
  // A provider that is silent is passed over too.
  world.detach_udp(kProvider);
  id = alice.call("sip:0303@home.example");
  EXPECT_EQ(final_status(alice, id), 200);
}

TEST_F(Rules, a_number_rings_all_devices_of_its_users_and_the_first_answer_wins) {
  start({}, [](provider::GatewayRouter::Config& config) {
    config.numbers.push_back({*provider::UserPattern::parse("_+4930X"), {"bob", "carla", "alice"}});
  });
  register_bob_and_carla();
  alice.register_at("home.example");
  ASSERT_TRUE(world.run_until([&] { return alice.last_register_status == 200; }));
  alice.answer_with = 486;
  bob.answer_with = 0;
  carla.answer_after = milliseconds(500);
  std::string id = trunk.call("sip:+49301@192.0.2.1:5060");
  ASSERT_EQ(final_status(trunk, id), 200);
  world.run_for(seconds(1));
  EXPECT_FALSE(carla.find(id)->ended);
  EXPECT_TRUE(bob.find(id)->ended);  // cancelled
  EXPECT_EQ(bob.find(id)->final_status, 487);
  EXPECT_EQ(alice.find(id)->final_status, 486);
  trunk.hang_up(id);
  world.run_for(seconds(70));
  EXPECT_EQ(gateway->node.bridge.call_count(), 0u);
}

TEST_F(Rules, a_rejecting_rule_answers_with_its_own_words) {
  provider::RouteRule rule = numbers("_0900.", {});
  rule.reject = call::RouteRejection{403, "Premium numbers are barred", 60};
  start({rule});
  std::string id = alice.call("sip:0900123@home.example");
  ASSERT_EQ(final_status(alice, id), 403);
  EXPECT_EQ(alice.responses.back().reason(), "Premium numbers are barred");
  EXPECT_EQ(header(alice.responses.back(), HeaderId::retry_after), "60");
}

}  // namespace
}  // namespace isthmus::sim
