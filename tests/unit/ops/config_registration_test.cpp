// Who registers at a provider: what a configuration may say, and what it may not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/config_loader.hpp"

namespace isthmus::ops {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

FileText no_file_but_the_password(const std::string& path) {
  if (path == "/etc/isthmus/ann.password") return found("from-file\n");
  return FileError{"No such file or directory"};
}

Result<GatewayConfig, ConfigFaults> provider(const std::string& keys) {
  return parse_gateway_config(
      "providers:\n  - name: one\n    target: sip:198.51.100.1\n    domains: [one.example]\n" +
          keys,
      "/etc/isthmus/gateway.yaml", no_file_but_the_password);
}

std::string faults(const std::string& keys) {
  auto config = provider(keys);
  EXPECT_FALSE(config) << "was accepted: " << keys;
  return config ? std::string() : to_string(config.error());
}

RegistrationConfig registration(const std::string& keys) {
  auto config = provider(keys);
  EXPECT_TRUE(config) << (config ? "" : to_string(config.error()));
  return config ? config->providers[0].registration : RegistrationConfig{};
}

TEST(RegistrationKeys, passthrough_is_the_default_and_throttles) {
  RegistrationConfig config = registration("");
  EXPECT_EQ(config.mode, RegistrationMode::passthrough);
  EXPECT_EQ(config.client_refresh, seconds(60));
  EXPECT_EQ(config.register_expires, seconds(3600));
}

TEST(RegistrationKeys, accounts_take_what_is_not_said_from_their_user) {
  RegistrationConfig config = registration(
      "    registration: account\n"
      "    accounts:\n"
      "      - {user: '1001', password_file: ann.password, aor: ann}\n"
      "      - {user: '1002', auth_user: auth 2, password: secret, contact_user: c2}\n");
  ASSERT_EQ(config.accounts.size(), 2u);
  EXPECT_EQ(config.accounts[0].auth_user, "1001");
  EXPECT_EQ(config.accounts[0].aor, "ann");
  EXPECT_EQ(config.accounts[0].password.reveal(), "from-file");
  EXPECT_EQ(config.accounts[1].auth_user, "auth 2");
  EXPECT_EQ(config.accounts[1].aor, "1002");
  EXPECT_EQ(config.domain, "one.example");
  EXPECT_EQ(config.when, RegisterWhen::when_present);
}

TEST(RegistrationKeys, trunk_registers_always_unless_told_otherwise) {
  RegistrationConfig config = registration(
      "    registration: trunk\n    inbound_user: to\n"
      "    trunk: {user: pbx, password: secret}\n");
  EXPECT_EQ(config.when, RegisterWhen::always);
  EXPECT_EQ(config.inbound_user, InboundUser::to);
  EXPECT_EQ(config.trunk.auth_user, "pbx");
  config = registration("    registration: trunk\n    register: none\n");
  EXPECT_EQ(config.when, RegisterWhen::none);
  EXPECT_TRUE(config.trunk.user.empty());
}

TEST(RegistrationKeys, every_contradiction_is_named_with_its_line) {
  std::string text = faults(
      "    registration: account\n"
      "    inbound_user: to\n"
      "    accounts:\n"
      "      - {user: '1001', password: a, password_file: ann.password}\n"
      "      - {user: '1001', aor: ben}\n"
      "      - {user: '1003', password: c, aor: '1001', contact_user: x}\n"
      "      - {user: '1004', password: d, aor: ben, contact_user: x}\n");
  EXPECT_THAT(text, HasSubstr("gateway.yaml:6: providers[0].inbound_user: is given without "
                              "registration: trunk"));
  EXPECT_THAT(text, HasSubstr("accounts[0].password_file: is given beside password"));
  EXPECT_THAT(text, HasSubstr("gateway.yaml:9: providers[0].accounts[1]: has no password"));
  EXPECT_THAT(text, HasSubstr("accounts[1].user: is \"1001\", as of another account"));
  EXPECT_THAT(text, HasSubstr("accounts[2].aor: is \"1001\", which"));
  EXPECT_THAT(text, HasSubstr("accounts[3].aor: is \"ben\", which has an account already"));
  EXPECT_THAT(text, HasSubstr("accounts[3].contact_user: is \"x\", as of another account"));
  EXPECT_EQ(text.find("secret"), std::string::npos);
}

TEST(RegistrationKeys, name_that_could_mean_two_accounts_is_refused) {
  // ann's calls would go with the credentials of 1001's.
  EXPECT_THAT(faults("    registration: account\n    accounts:\n"
                     "      - {user: '1001', password: a, aor: ann}\n"
                     "      - {user: '1002', password: b, aor: '1001'}\n"),
              HasSubstr("accounts[1].aor: is \"1001\", which is another account's user"));
}

TEST(RegistrationKeys, mode_without_what_it_needs_is_refused) {
  EXPECT_THAT(faults("    registration: account\n"), HasSubstr("there are no accounts"));
  EXPECT_THAT(faults("    registration: trunk\n"), HasSubstr("trunk.user is missing"));
  EXPECT_THAT(faults("    registration: trunk\n    trunk: {user: pbx}\n"),
              HasSubstr("providers[0].trunk: has no password"));
  EXPECT_THAT(faults("    registration: trunk\n    register: when_present\n"
                     "    trunk: {user: pbx, password: x}\n"),
              HasSubstr("a trunk belongs to no user"));
  EXPECT_THAT(faults("    accounts:\n      - {user: a, password: b}\n"),
              HasSubstr("accounts: is given without registration: account"));
  EXPECT_THAT(faults("    registration: account\n    client_refresh_s: 60\n    accounts:\n"
                     "      - {user: a, password: b}\n"),
              HasSubstr("client_refresh_s: is given without registration: passthrough"));
  EXPECT_THAT(faults("    register_expires_s: 5\n    client_refresh_s: 90000\n"),
              AllOf(HasSubstr("60 to"), HasSubstr("0 to 86400")));
  EXPECT_THAT(
      faults("    registration: account\n    accounts:\n"
             "      - {user: 'a b', password_file: nowhere}\n"),
      AllOf(HasSubstr("accounts[0].user: is \"a b\""), HasSubstr("accounts[0].password_file")));
}

}  // namespace
}  // namespace isthmus::ops
