#include "base/address.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace isthmus {
namespace {

TEST(Address, parses_and_prints_both_families) {
  EXPECT_EQ(IpAddress::parse("192.0.2.1")->to_uri_host(), "192.0.2.1");
  EXPECT_EQ(IpAddress::parse("[2001:db8::1]")->to_uri_host(), "[2001:db8::1]");
  EXPECT_EQ(IpAddress::parse("2001:db8::1")->to_string(), "2001:db8::1");
  EXPECT_TRUE(IpAddress::parse("127.9.0.1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
  EXPECT_EQ(IpAddress::parse("192.0.2.1")->v4_host_order(), 0xc0000201u);
  EXPECT_EQ(IpAddress::v4(0xc0000201u), *IpAddress::parse("192.0.2.1"));
}

TEST(Address, prints_each_byte_of_ipv4_as_it_was_read) {
  for (const char* text : {"0.0.0.0", "255.255.255.255", "10.0.200.9", "1.20.100.99"}) {
    EXPECT_EQ(IpAddress::parse(text)->to_string(), text);
  }
}

TEST(Address, refuses_what_is_no_address) {
  for (const char* bad :
       {"", "192.0.2", "192.0.2.256", "host", "[192.0.2.1]", "2001:db8::1::2", "1.2.3.4 "}) {
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  }
}

TEST(Address, endpoints_need_a_port) {
  EXPECT_EQ(Endpoint::parse("192.0.2.1:5060")->to_string(), "192.0.2.1:5060");
  EXPECT_EQ(Endpoint::parse("[::1]:5060")->to_string(), "[::1]:5060");
  for (const char* bad :
       {"192.0.2.1", "::1:5060", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", ":5060"}) {
    EXPECT_FALSE(Endpoint::parse(bad)) << bad;
  }
}

TEST(Text, numbers_are_read_whole_or_not_at_all) {
  EXPECT_EQ(parse_number<std::uint16_t>("65535"), 65535);
  for (const char* bad : {"", "65536", "-1", "+1", " 1", "1 ", "1x"}) {
    EXPECT_FALSE(parse_number<std::uint16_t>(bad)) << bad;
  }
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  std::string escaped;
  for (char c : std::string_view("\0\x7f\xff", 3)) append_percent_encoded(escaped, c);
  EXPECT_EQ(escaped, "%00%7F%FF");
  EXPECT_TRUE(iequals("Call-ID", "cALL-id"));
  EXPECT_FALSE(iequals("Via", "Vi"));
}

}  // namespace
}  // namespace isthmus
