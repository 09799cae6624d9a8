// The user agent against the gateway's real bridge on virtual time.
#include "support/sim_bridge.hpp"
#include "support/sim_phone.hpp"
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");

struct BehindGateway : testing::Test {
  sim::World world{73};
  sim::GatewayNode gateway{world, kGateway, kProvider};
  UaNode ann{world, test_options("ann"), 101}, ben{world, test_options("ben"), 102};
  sim::Phone provider{world, "carol", kProvider, kGateway};

  BehindGateway() {
    world.attach_link(ann, 101, gateway.node, 1);
    world.attach_link(ben, 102, gateway.node, 2);
    gateway.router.add_session(1, {"ann", {"ann"}});
    gateway.router.add_session(2, {"ben", {"ben"}});
    ann.link_up();
    ben.link_up();
  }
  bool until(const std::function<bool()>& condition) { return world.run_until(condition); }
  void register_both() {
    ann.register_for(600);
    ben.register_for(600);
    ASSERT_TRUE(until([&] {
      return ann.agent.registration() == RegistrationState::registered &&
             ben.agent.registration() == RegistrationState::registered;
    }));
  }
  void TearDown() override {
    world.run_for(seconds(70));
    EXPECT_EQ(gateway.node.malformed, 0);
    EXPECT_EQ(gateway.node.bridge.call_count(), 0u);
    EXPECT_TRUE(gateway.node.media.ends.empty());
    for (UaNode* node : {&ann, &ben}) {
      EXPECT_EQ(node->agent.call_count(), 0u);
      EXPECT_EQ(node->agent.malformed(), 0u);
      EXPECT_TRUE(node->agent.quiet());
    }
  }
};

TEST_F(BehindGateway, echo_service_answers_with_opus) {
  const auto id = ann.call("echo");
  ASSERT_TRUE(id);
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  EXPECT_EQ(ann.media.back().codec, "opus/48000/2");
  EXPECT_TRUE(ann.hold(*id));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::held; }));
  EXPECT_TRUE(ann.hold(*id, false));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  EXPECT_TRUE(ann.hang_up(*id));
}

TEST_F(BehindGateway, tone_service_answers_with_g711_also_to_a_late_offer) {
  auto id = ann.call("tone");
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  EXPECT_EQ(ann.media.back().codec, "PCMU/8000");
  EXPECT_TRUE(ann.hang_up(*id));
  id = ann.call("tone", true);
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  EXPECT_EQ(ann.media.back().codec, "PCMU/8000");
  EXPECT_TRUE(ann.hang_up(*id));
}

TEST_F(BehindGateway, unknown_user_is_refused) {
  ASSERT_TRUE(ann.call("nobody"));
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  EXPECT_EQ(ann.last().status, 404);
  EXPECT_EQ(ann.last().cause, EndCause::refused);
}

TEST_F(BehindGateway, registered_users_call_each_other) {
  register_both();
  EXPECT_EQ(gateway.registrar.contact_count(), 2u);
  const auto id = ann.call("ben");
  ASSERT_TRUE(until([&] { return ben.incoming() != 0; }));
  EXPECT_TRUE(ben.answer(ben.incoming()));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  EXPECT_EQ(ben.incoming_calls[0].from_uri, "sip:ann@home.example");
  EXPECT_EQ(ann.media.back().codec, "opus/48000/2");
  EXPECT_TRUE(ben.hold(ben.incoming()));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::held; }));
  EXPECT_TRUE(ann.hang_up(*id));
  ASSERT_TRUE(until([&] { return ben.ended(); }));
}

TEST_F(BehindGateway, user_who_calls_himself_gets_two_ends_of_one_call) {
  register_both();
  const auto id = ann.call("ann");
  ASSERT_TRUE(until([&] { return ann.incoming() != 0; }));
  EXPECT_NE(ann.incoming(), *id);
  EXPECT_TRUE(ann.answer(ann.incoming()));
  ASSERT_TRUE(until([&] { return ann.media.size() >= 2; }));
  world.run_for(seconds(1));
  EXPECT_EQ(ann.agent.call_count(), 2u);
  EXPECT_TRUE(ann.hang_up(*id));
  ASSERT_TRUE(until([&] { return ann.agent.call_count() == 0; }));
}

TEST_F(BehindGateway, call_through_a_provider_and_back) {
  auto id = ann.call("carol@example.org");
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  EXPECT_EQ(ann.media.back().codec, "PCMU/8000");
  EXPECT_TRUE(ann.hang_up(*id));
  ASSERT_TRUE(until([&] { return provider.only_call()->ended; }));
}

TEST_F(BehindGateway, provider_holds_and_hangs_up) {
  ASSERT_TRUE(ann.call("carol@example.org"));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::connected; }));
  world.run_for(seconds(1));
  const std::string call_id = provider.calls.begin()->first;
  provider.hold(call_id);
  ASSERT_TRUE(until([&] { return ann.state() == CallState::held; }));
  EXPECT_TRUE(ann.last().remote_hold);
  world.run_for(seconds(1));
  provider.hang_up(call_id);
  ASSERT_TRUE(until([&] { return ann.ended(); }));
}

TEST_F(BehindGateway, provider_early_media_then_busy) {
  provider.early_media = true;
  provider.answer_with = 486;
  ASSERT_TRUE(ann.call("carol@example.org"));
  ASSERT_TRUE(until([&] { return ann.state() == CallState::early_media; }));
  ASSERT_TRUE(until([&] { return ann.ended(); }));
  EXPECT_EQ(ann.last().status, 486);
}

TEST_F(BehindGateway, cancel_reaches_the_provider) {
  provider.answer_with = 0;
  const auto id = ann.call("carol@example.org");
  ASSERT_TRUE(until([&] { return ann.state() == CallState::ringing; }));
  EXPECT_TRUE(ann.hang_up(*id));
  ASSERT_TRUE(until([&] { return provider.only_call()->ended; }));
  EXPECT_EQ(provider.only_call()->final_status, 487);
}

TEST_F(BehindGateway, calls_survive_a_lossy_provider) {
  std::printf("seed 73\n");
  world.udp_loss = 0.2;
  for (int i = 0; i < 20; ++i) {
    ann.changes.clear();
    const auto id = ann.call("carol@example.org");
    ASSERT_TRUE(until([&] { return ann.state() == CallState::connected || ann.ended(); }));
    if (ann.ended()) continue;  // 20 % loss may take all eleven copies of one message
    EXPECT_TRUE(ann.hang_up(*id));
    world.run_for(seconds(40));
  }
}

struct WithProviderAccount : BehindGateway {
  static UserAgentOptions account() {
    UserAgentOptions options = test_options("dan");
    options.aor = "sip:dan@example.org";
    options.digest_password = "dan-secret";
    return options;
  }
  UaNode dan{world, account(), 103};
};

TEST_F(WithProviderAccount, registration_is_answered_with_digest) {
  provider.is_registrar = true;
  provider.accounts = {{"dan", "dan-secret"}};
  world.attach_link(dan, 103, gateway.node, 3);
  gateway.router.add_session(3, {"dan", {"*"}});
  dan.link_up();
  dan.register_for(600);
  ASSERT_TRUE(until([&] { return dan.agent.registration() == RegistrationState::registered; }));
  ASSERT_TRUE(provider.locations.contains("dan"));
  const std::string call_id = provider.call(provider.locations["dan"]);
  ASSERT_TRUE(until([&] { return dan.incoming() != 0; }));
  EXPECT_TRUE(dan.answer(dan.incoming()));
  ASSERT_TRUE(until([&] { return provider.find(call_id)->confirmed; }));
  provider.hang_up(call_id);
  ASSERT_TRUE(until([&] { return dan.ended(); }));
  world.detach_link(dan, 103);
}

}  // namespace
}  // namespace isthmus::ua
