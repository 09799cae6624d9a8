#include "provider/enum_cache.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::provider {
namespace {

constexpr Instant kStart{};

dns::NaptrRecord record(std::uint16_t order, std::uint16_t preference, std::string regexp) {
  return {order, preference, "u", "e2u+sip", std::move(regexp), ""};
}

TEST(EnumCache, a_number_is_known_until_its_records_expire) {
  EnumCache cache;
  EXPECT_EQ(nullptr, cache.find("+4930123456", kStart));
  cache.set("4930123456", {record(10, 100, "!^.*$!sip:a@example.com!")}, kStart + seconds(60),
            kStart);
  ASSERT_NE(nullptr, cache.find("+4930123456", kStart + seconds(59)));
  EXPECT_EQ(1u, cache.find("4930123456", kStart + seconds(59))->size());
  EXPECT_EQ(nullptr, cache.find("+4930123456", kStart + seconds(60)));
}

TEST(EnumCache, a_number_without_records_is_known_too) {
  EnumCache cache;
  cache.set("+4930", {}, kStart + seconds(5), kStart);
  ASSERT_NE(nullptr, cache.find("+4930", kStart));
  EXPECT_TRUE(cache.find("+4930", kStart)->empty());
}

TEST(EnumCache, records_come_by_order_and_then_preference) {
  EnumCache cache;
  cache.set("+49", {record(20, 1, "c"), record(10, 50, "b"), record(10, 10, "a")},
            kStart + seconds(5), kStart);
  const std::vector<dns::NaptrRecord>& records = *cache.find("+49", kStart);
  EXPECT_EQ("a", records[0].regexp);
  EXPECT_EQ("b", records[1].regexp);
  EXPECT_EQ("c", records[2].regexp);
}

TEST(EnumCache, a_full_cache_forgets_what_would_expire_first) {
  EnumCache cache;
  for (std::size_t i = 0; i < limits::kEnumNumbers; ++i) {
    Duration life = i == 7 ? seconds(10) : seconds(60);
    cache.set("49" + std::to_string(i), {}, kStart + life, kStart);
  }
  cache.set("+1", {}, kStart + seconds(60), kStart);
  EXPECT_EQ(limits::kEnumNumbers, cache.size());
  EXPECT_EQ(nullptr, cache.find("497", kStart));
  EXPECT_NE(nullptr, cache.find("1", kStart));
  EXPECT_NE(nullptr, cache.find("490", kStart));
}

TEST(EnumCache, the_domain_is_the_digits_backwards) {
  EXPECT_EQ("6.5.4.3.2.1.0.3.9.4.e164.arpa", EnumCache::domain_of("+4930123456", "e164.arpa"));
  EXPECT_EQ("1.e164.example", EnumCache::domain_of("1", "e164.example"));
  for (const char* wrong : {"", "+", "49a", "+49 30", "1234567890123456"}) {
    EXPECT_EQ(std::nullopt, EnumCache::domain_of(wrong, "e164.arpa")) << wrong;
  }
}

TEST(EnumCache, a_key_leads_back_to_its_number) {
  EXPECT_EQ("enum:+4930", EnumCache::lookup_key("4930"));
  EXPECT_EQ("enum:+4930", EnumCache::lookup_key("+4930"));
  EXPECT_EQ("4930", EnumCache::number_of_key("enum:+4930"));
  EXPECT_EQ(std::nullopt, EnumCache::number_of_key("sip:example.com"));
}

}  // namespace
}  // namespace isthmus::provider
