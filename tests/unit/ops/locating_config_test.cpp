// The keys that say how names become addresses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/config_loader.hpp"

namespace isthmus::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<GatewayConfig, ConfigFaults> gateway(const std::string& yaml) {
  return parse_gateway_config(
      yaml, "/etc/isthmus/gateway.yaml",
      [](const std::string&) -> FileText { return FileError{"No such file or directory"}; });
}

TEST(LocatingConfigFile, every_key_is_read) {
  auto config = gateway(R"(
dns:
  servers: [192.0.2.1, "192.0.2.2:5353", "2001:db8::1", "[2001:db8::2]:5353"]
  timeout_ms: 700
  tries: 3
enum: {suffix: e164.example}
providers: [{name: one, target: "sip:example.net", probe_interval_s: 30}]
)");
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_THAT(
      config->dns.servers,
      ElementsAre(*Endpoint::parse("192.0.2.1:53"), *Endpoint::parse("192.0.2.2:5353"),
                  *Endpoint::parse("[2001:db8::1]:53"), *Endpoint::parse("[2001:db8::2]:5353")));
  EXPECT_EQ(config->dns.timeout, milliseconds(700));
  EXPECT_EQ(config->dns.tries, 3u);
  EXPECT_EQ(config->enumeration.suffix, "e164.example");
  EXPECT_EQ(config->providers[0].probe_interval, seconds(30));
  EXPECT_EQ(config->providers[0].target.port, 0) << "none written: to be looked up";
}

TEST(LocatingConfigFile, without_keys_the_system_is_asked) {
  auto config = gateway("providers: [{name: one, target: 'sip:example.net'}]");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->dns.servers.empty());
  EXPECT_EQ(config->enumeration.suffix, "e164.arpa");
  EXPECT_EQ(config->providers[0].probe_interval, seconds(0));
}

TEST(LocatingConfigFile, what_is_wrong_is_named) {
  for (const char* server : {"dns.example", "192.0.2.1:0", "192.0.2.1:x", "0.0.0.0", "''"}) {
    auto config = gateway("dns: {servers: [" + std::string(server) + "]}");
    ASSERT_FALSE(config) << server;
    EXPECT_THAT(to_string(config.error()), HasSubstr("dns.servers")) << server;
  }
  for (const char* yaml : {"dns: {timeout_ms: 1}", "dns: {tries: 0}", "enum: {suffix: 'a b'}"}) {
    EXPECT_FALSE(gateway(yaml)) << yaml;
  }
}

}  // namespace
}  // namespace isthmus::ops
