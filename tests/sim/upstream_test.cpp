// The gateway's own registrations at a provider, on virtual time: accounts of users and a trunk.
#include <gtest/gtest.h>

#include "support/sim_registrar.hpp"
#include "support/sim_upstream.hpp"

namespace isthmus::sim {
namespace {

using sip::HeaderId;
using std::chrono::hours;
using std::chrono::minutes;

const Endpoint kGateway = *Endpoint::parse("192.0.2.1:5060");
const Endpoint kProvider = *Endpoint::parse("198.51.100.1:5060");
const Endpoint kSecondHost = *Endpoint::parse("198.51.100.2:5060");

provider::UpstreamAccount account(const std::string& user, const std::string& aor,
                                  provider::RegisterWhen when) {
  provider::UpstreamAccount made;
  made.provider = "provider";
  made.domain = "example.org";
  made.user = user;
  made.auth_user = user;
  made.password = user + "-secret";
  made.contact_user = "contact-of-" + user;
  made.aor = aor;
  made.when = when;
  return made;
}

struct OwnRegistrations : testing::Test {
  World world{47};
  GatewayNode gateway{world, kGateway, kProvider};
  SimRegistrar registrar{world, kProvider};
  UpstreamNode upstream{world, gateway.node, {sip::Flow::udp(kProvider)}};

  OwnRegistrations() {
    registrar.passwords = {{"1001", "1001-secret"}, {"1002", "1002-secret"}};
    upstream.registrations.add(account("1001", "ann", provider::RegisterWhen::when_present));
    upstream.registrations.add(account("1002", "ben", provider::RegisterWhen::always));
    upstream.start("provider");
  }
  void live_for(Duration span, const std::string& user) {
    Instant end = world.now + span;
    while (world.now < end) {
      world.run_for(seconds(30));
      ASSERT_TRUE(registrar.reaches(user));
    }
  }
};

TEST_F(OwnRegistrations, account_registers_always_or_while_its_user_is_there) {
  world.run_for(seconds(2));
  EXPECT_TRUE(registrar.reaches("1002"));
  EXPECT_FALSE(registrar.reaches("1001"));
  upstream.present = {"ann"};
  upstream.look_around();
  world.run_for(seconds(2));
  ASSERT_TRUE(registrar.reaches("1001"));
  EXPECT_EQ(registrar.kept["1001"].contact, "sip:contact-of-1001@192.0.2.1:5060");
  // A link that breaks and comes back is not the provider's business.
  int before = registrar.registers;
  upstream.present = {};
  upstream.look_around();
  world.run_for(seconds(30));
  upstream.present = {"ann"};
  upstream.look_around();
  world.run_for(minutes(5));
  EXPECT_EQ(registrar.registers, before);
  upstream.present = {};
  upstream.look_around();
  world.run_for(seconds(62));
  EXPECT_FALSE(registrar.reaches("1001"));
  EXPECT_TRUE(registrar.reaches("1002"));
  EXPECT_EQ(registrar.removed, 1);
}

TEST_F(OwnRegistrations, refreshes_once_in_each_expiry_for_a_day) {
  registrar.nonce_life = minutes(5);  // so that each refresh meets a stale nonce
  world.run_for(seconds(2));
  live_for(hours(24), "1002");
  EXPECT_GE(registrar.accepted, 24);
  EXPECT_LE(registrar.accepted, 30);
  EXPECT_LE(registrar.registers, 3 * registrar.accepted);
  EXPECT_EQ(upstream.changes.size(), 1u);  // told once, not at every refresh
}

TEST_F(OwnRegistrations, wrong_password_is_told_once_and_not_hammered) {
  registrar.passwords["1002"] = "another";
  world.run_for(hours(24));
  EXPECT_LE(registrar.registers, 250);
  EXPECT_GE(registrar.registers, 20);
  ASSERT_EQ(upstream.changes.size(), 1u);
  EXPECT_FALSE(upstream.changes[0].registered);
  EXPECT_EQ(upstream.changes[0].error, "401 Unauthorized");
  registrar.passwords["1002"] = "1002-secret";
  world.run_for(minutes(40));
  EXPECT_TRUE(registrar.reaches("1002"));
  EXPECT_TRUE(upstream.changes.back().registered);
}

TEST_F(OwnRegistrations, provider_that_is_away_is_found_again) {
  registrar.silent = true;
  world.run_for(minutes(10));
  EXPECT_FALSE(upstream.changes.empty());
  EXPECT_EQ(upstream.changes[0].error, "no answer");
  registrar.silent = false;
  // Without a sign of life it may take the longest wait; with one, half a minute.
  upstream.registrations.renew("provider", world.now);
  world.run_for(seconds(31));
  EXPECT_TRUE(registrar.reaches("1002"));
}

TEST_F(OwnRegistrations, provider_that_forgot_is_told_anew) {
  world.run_for(seconds(2));
  registrar.forget();
  upstream.registrations.renew("provider", world.now);
  world.run_for(seconds(31));
  EXPECT_TRUE(registrar.reaches("1002"));
  // Nobody is asked more often for it.
  int before = registrar.accepted;
  world.run_for(minutes(30));
  EXPECT_EQ(registrar.accepted, before);
}

TEST_F(OwnRegistrations, provider_that_shortens_or_demands_longer_is_obeyed) {
  registrar.max_expires_s = 90;
  world.run_for(seconds(2));
  live_for(minutes(30), "1002");
  registrar.min_expires_s = registrar.max_expires_s = 7200;
  world.run_for(minutes(2));
  live_for(hours(6), "1002");
  EXPECT_EQ(registrar.requests.back().number(HeaderId::expires), 7200u);
}

TEST_F(OwnRegistrations, everything_is_removed_at_the_end) {
  upstream.present = {"ann"};
  upstream.look_around();
  world.run_for(seconds(2));
  ASSERT_EQ(registrar.kept.size(), 2u);
  upstream.stop();
  EXPECT_FALSE(upstream.registrations.idle());
  world.run_for(seconds(2));
  EXPECT_TRUE(registrar.kept.empty());
  EXPECT_TRUE(upstream.registrations.idle());
  world.run_for(hours(2));
  EXPECT_TRUE(registrar.kept.empty());
}

TEST_F(OwnRegistrations, loss_on_the_way_does_not_lose_a_registration) {
  world.udp_loss = 0.3;
  world.run_for(seconds(90));
  live_for(hours(12), "1002");
}

TEST(OwnRegistrationsAtStart, many_accounts_do_not_flood_the_provider) {
  World world{48};
  GatewayNode gateway{world, kGateway, kProvider};
  SimRegistrar registrar{world, kProvider};
  UpstreamNode upstream{world, gateway.node, {sip::Flow::udp(kProvider)}};
  world.udp_delay_min = world.udp_delay_max = milliseconds(20);
  for (int i = 0; i < 1000; ++i)
    upstream.registrations.add(
        account(std::to_string(i), "u" + std::to_string(i), provider::RegisterWhen::always));
  upstream.start("provider");
  EXPECT_LE(gateway.node.bridge.transactions().open_client_transactions(), 64u);
  world.run_for(seconds(5));
  EXPECT_EQ(registrar.kept.size(), 1000u);
}

TEST(OwnRegistrationsFailOver, second_host_is_registered_with_when_the_first_is_busy) {
  World world{49};
  GatewayNode gateway{world, kGateway, kProvider};
  SimRegistrar first{world, kProvider}, second{world, kSecondHost};
  UpstreamNode upstream{
      world, gateway.node, {sip::Flow::udp(kProvider), sip::Flow::udp(kSecondHost)}};
  first.refuse_with = 503;
  upstream.registrations.add(account("1002", "ben", provider::RegisterWhen::always));
  upstream.start("provider");
  world.run_for(seconds(2));
  EXPECT_TRUE(second.reaches("1002"));
  EXPECT_EQ(first.registers, 1);
  EXPECT_TRUE(upstream.changes.back().registered);
}

}  // namespace
}  // namespace isthmus::sim
