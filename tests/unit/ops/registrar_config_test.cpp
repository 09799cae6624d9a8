// The keys below `registrar`, and the SIP credentials of users.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/config_loader.hpp"
#include "ops/registrar_config_keys.hpp"

namespace isthmus::ops {
namespace {

using sip::DigestAlgorithm;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Result<GatewayConfig, ConfigFaults> gateway(const std::string& yaml) {
  return parse_gateway_config(yaml, "/etc/isthmus/gateway.yaml",
                              [](const std::string& path) -> FileText {
                                if (path.ends_with("/secret")) return found("from-file\nmore\n");
                                return FileError{"No such file or directory"};
                              });
}

std::string faults(const std::string& yaml) {
  auto result = gateway(yaml);
  EXPECT_FALSE(result) << yaml << " was accepted";
  return result ? std::string() : to_string(result.error());
}

TEST(RegistrarConfigFile, every_key_is_read) {
  auto config = gateway(R"(
registrar:
  database: /data/contacts.db
  authentication: digest
  algorithms: [SHA-256, MD5]
  nonce_life_s: 30
  default_expires_s: 600
  min_expires_s: 120
  max_expires_s: 900
  path: strict
  service_route: ["<sip:edge.example;lr>"]
  flow_timer_s: 0
)");
  ASSERT_TRUE(config) << to_string(config.error());
  const RegistrarConfig& registrar = config->registrar;
  EXPECT_EQ(database_path(registrar, "/var/lib/isthmus"), "/data/contacts.db");
  EXPECT_EQ(registrar.authentication, RegistrarAuthentication::digest);
  EXPECT_THAT(registrar.algorithms, ElementsAre(DigestAlgorithm::sha256, DigestAlgorithm::md5));
  EXPECT_EQ(registrar.nonce_life, seconds(30));
  EXPECT_EQ(registrar.default_expires, seconds(600));
  EXPECT_EQ(registrar.min_expires, seconds(120));
  EXPECT_EQ(registrar.max_expires, seconds(900));
  EXPECT_EQ(registrar.path, RegistrarPath::strict);
  EXPECT_THAT(registrar.service_route, ElementsAre("<sip:edge.example;lr>"));
  EXPECT_EQ(registrar.flow_timer, seconds(0));
}

TEST(RegistrarConfigFile, database_is_in_the_state_directory_unless_said) {
  EXPECT_EQ(database_path({}, "/var/lib/isthmus"), "/var/lib/isthmus/registrar.sqlite");
  auto off = gateway("registrar: {database: ''}");
  ASSERT_TRUE(off) << to_string(off.error());
  EXPECT_EQ(database_path(off->registrar, "/var/lib/isthmus"), "");
}

TEST(RegistrarConfigFile, wrong_values_are_named) {
  const std::pair<std::string, const char*> cases[] = {
      {"registrar: {authentication: basic}", "expected link or digest"},
      {"registrar: {algorithms: [SHA-1]}", "expected SHA-512-256, SHA-256 or MD5"},
      {"registrar: {algorithms: []}", "registrar.algorithms: is empty"},
      {"registrar: {path: maybe}", "expected accept, strict or off"},
      {"registrar: {service_route: ['sip:edge.example;lr']}", "expected a route as <sip:HOST;lr>"},
      {"registrar: {service_route: ['<tel:+49>']}", "expected a route as <sip:HOST;lr>"},
      {"registrar: {database: /var/lib/}", "expected a file name"},
      {"registrar: {min_expires_s: 3601}", "1 to 3600"},
      {"registrar: {default_expires_s: 50}", "registrar.min_expires_s: is 60"},
      {"registrar: {max_expires_s: 100}", "registrar.default_expires_s: is 3600"},
  };
  for (const auto& [yaml, expected] : cases) {
    EXPECT_THAT(faults(yaml), HasSubstr(expected)) << yaml;
  }
}

TEST(SipCredentials, are_a_password_a_file_or_hashes) {
  auto config = gateway(R"(
users:
  - {name: a, sip_password: secret}
  - {name: b, sip_password_file: secret}
  - {name: c, sip_ha1: ["MD5:0123456789ABCDEF0123456789abcdef"]}
)");
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(sip_secrets_of(config->users[0], "home.example"),
            sip::digest_secrets("a", "home.example", "secret"));
  EXPECT_EQ(sip_secrets_of(config->users[1], "home.example"),
            sip::digest_secrets("b", "home.example", "from-file"));
  sip::DigestSecrets hashes = sip_secrets_of(config->users[2], "home.example");
  EXPECT_EQ(hashes.md5, "0123456789abcdef0123456789abcdef");
  EXPECT_TRUE(hashes.sha256.empty());
  EXPECT_TRUE(sip_secrets_of({"d", "", {"d"}}, "home.example").empty());
}

TEST(SipCredentials, that_cannot_work_are_faults_and_never_shown) {
  const std::pair<std::string, const char*> cases[] = {
      {"users: [{name: a, sip_password: TOPSECRET, sip_password_file: secret}]",
       "users[0].sip_password_file: is given beside sip_password"},
      {"users: [{name: a, sip_password: TOPSECRET, sip_ha1: []}]",
       "users[0].sip_ha1: is given beside sip_password"},
      {"users: [{name: a, sip_ha1: ['MD5:TOPSECRET']}]", "expected ALGORITHM:HEX"},
      {"users: [{name: a, sip_ha1: ['SHA-256:0123456789abcdef0123456789abcdef']}]",
       "expected ALGORITHM:HEX"},
      {"users: [{name: a}]", "users[0].password_hash: is missing"},
      {"{users: [{name: a, sip_ha1: ['MD5:0123456789abcdef0123456789abcdef']}], registrar: "
       "{authentication: digest, algorithms: [SHA-256, MD5]}}",
       "users[0].sip_ha1: has no hash for SHA-256"},
  };
  for (const auto& [yaml, expected] : cases) {
    EXPECT_THAT(faults(yaml), AllOf(HasSubstr(expected), Not(HasSubstr("TOPSECRET")))) << yaml;
  }
  EXPECT_TRUE(
      gateway("{users: [{name: a, sip_ha1: ['MD5:0123456789abcdef0123456789abcdef']}], registrar: "
              "{authentication: digest}}"));
}

}  // namespace
}  // namespace isthmus::ops
