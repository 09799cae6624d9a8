#include "dns/server_address.hpp"

#include <gtest/gtest.h>

namespace isthmus::dns {
namespace {

TEST(ServerAddress, has_port_53_unless_one_is_given) {
  const std::pair<const char*, const char*> addresses[] = {
      {"192.0.2.53", "192.0.2.53:53"},
      {"192.0.2.53:5353", "192.0.2.53:5353"},
      {"2001:db8::1", "[2001:db8::1]:53"},
      {"[2001:db8::1]", "[2001:db8::1]:53"},
      {"[2001:db8::1]:5353", "[2001:db8::1]:5353"},
  };
  for (const auto& [text, expected] : addresses) {
    const auto found = parse_server_address(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->to_string(), expected);
  }
}

TEST(ServerAddress, is_one_that_a_server_can_have) {
  for (const char* text : {"", "dns.example.net", "192.0.2.53:0", "0.0.0.0", "::", "[::]:53",
                           "192.0.2.53:", "192.0.2.53:65536", "192.0.2.53 "}) {
    EXPECT_FALSE(parse_server_address(text)) << text;
  }
}

}  // namespace
}  // namespace isthmus::dns
