#include "ops/network.hpp"

#include <gtest/gtest.h>

#include "ops/config.hpp"

namespace isthmus::ops {
namespace {

bool holds(const char* network, const char* address) {
  auto parsed = Network::parse(network);
  auto inside = IpAddress::parse(address);
  EXPECT_TRUE(parsed && inside) << network << " " << address;
  return parsed && inside && parsed->contains(*inside);
}

TEST(Network, holds_what_shares_its_prefix) {
  EXPECT_TRUE(holds("192.0.2.0/24", "192.0.2.255"));
  EXPECT_FALSE(holds("192.0.2.0/24", "192.0.3.0"));
  EXPECT_TRUE(holds("192.0.2.128/25", "192.0.2.129"));
  EXPECT_FALSE(holds("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(holds("172.16.0.0/12", "172.31.255.255"));
  EXPECT_FALSE(holds("172.16.0.0/12", "172.32.0.0"));
  EXPECT_TRUE(holds("0.0.0.0/0", "8.8.8.8"));
  EXPECT_TRUE(holds("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(holds("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(holds("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(holds("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(holds("::1", "::1"));
}

TEST(Network, families_do_not_mix_but_mapped_addresses_are_ipv4) {
  EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
  EXPECT_FALSE(holds("::/0", "192.0.2.1"));
  EXPECT_TRUE(holds("192.0.2.0/24", "::ffff:192.0.2.9"));
  EXPECT_FALSE(holds("::/0", "::ffff:192.0.2.9"));
}

TEST(Network, slips_are_refused) {
  for (const char* text :
       {"", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2.1/24", "192.0.2/24", "x/8", "192.0.2.0/-1",
        "192.0.2.0/24/24", "2001:db8::1/32", "2001:db8::/129"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

TEST(Network, is_written_as_it_is_read) {
  for (const char* text : {"192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0"}) {
    ASSERT_TRUE(Network::parse(text)) << text;
    EXPECT_EQ(Network::parse(text)->to_string(), text);
  }
}

TEST(Network, a_connector_serves_private_networks_and_nobody_else) {
  auto allowed = [](const char* text) {
    for (const Network& network : ConnectorConfig::default_allow()) {
      if (network.contains(*IpAddress::parse(text))) return true;
    }
    return false;
  };
  for (const char* text : {"127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.1.5", "169.254.1.1",
                           "::1", "fd00::5", "fe80::1"}) {
    EXPECT_TRUE(allowed(text)) << text;
  }
  for (const char* text : {"8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.0.1", "2001:db8::1"}) {
    EXPECT_FALSE(allowed(text)) << text;
  }
}

}  // namespace
}  // namespace isthmus::ops
