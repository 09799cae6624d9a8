#include "session/limiter.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::session {
namespace {

const Instant kStart = Instant(std::chrono::hours(5));
const IpAddress kOffice = *IpAddress::parse("192.0.2.7");

TEST(KeyedLimiter, a_burst_passes_and_then_one_per_refill) {
  KeyedLimiter limiter({3, seconds(10), 100});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(limiter.take("a", kStart));
  EXPECT_EQ(limiter.take("a", kStart), Duration(seconds(10)));
  EXPECT_EQ(limiter.take("a", kStart + seconds(4)), Duration(seconds(6)));
  EXPECT_FALSE(limiter.take("a", kStart + seconds(10)));
  EXPECT_TRUE(limiter.take("a", kStart + seconds(10)));
}

TEST(KeyedLimiter, the_wait_it_names_is_enough) {
  KeyedLimiter limiter({1, milliseconds(3333), 100});
  EXPECT_FALSE(limiter.take("a", kStart));
  auto wait = limiter.take("a", kStart + milliseconds(1));
  ASSERT_TRUE(wait);
  EXPECT_FALSE(limiter.take("a", kStart + milliseconds(1) + *wait));
}

TEST(KeyedLimiter, keys_do_not_share) {
  KeyedLimiter limiter({1, seconds(10), 100});
  EXPECT_FALSE(limiter.take("a", kStart));
  EXPECT_FALSE(limiter.take("b", kStart));
  EXPECT_TRUE(limiter.take("a", kStart));
}

TEST(KeyedLimiter, a_long_pause_fills_to_the_burst_and_no_further) {
  KeyedLimiter limiter({2, seconds(1), 100});
  EXPECT_FALSE(limiter.take("a", kStart));
  Instant later = kStart + std::chrono::hours(1000);
  EXPECT_FALSE(limiter.take("a", later));
  EXPECT_FALSE(limiter.take("a", later));
  EXPECT_TRUE(limiter.take("a", later));
}

TEST(KeyedLimiter, a_refund_makes_room_but_never_more_than_the_burst) {
  KeyedLimiter limiter({1, seconds(10), 100});
  EXPECT_FALSE(limiter.take("a", kStart));
  limiter.refund("a");
  limiter.refund("a");
  limiter.refund("never seen");
  EXPECT_EQ(limiter.size(), 1u);
  EXPECT_FALSE(limiter.take("a", kStart));
  EXPECT_TRUE(limiter.take("a", kStart));
}

TEST(KeyedLimiter, a_flood_of_keys_is_bounded_and_drops_the_oldest) {
  KeyedLimiter limiter({1, seconds(10), 50});
  EXPECT_FALSE(limiter.take("attacker", kStart));
  for (int i = 0; i < 1000; ++i) {
    limiter.take("key" + std::to_string(i), kStart);
    EXPECT_TRUE(limiter.take("attacker", kStart)) << "in use: stays while idle keys go";
  }
  EXPECT_EQ(limiter.size(), 50u);
}

TEST(KeyedLimiter, time_that_goes_back_changes_nothing) {
  KeyedLimiter limiter({1, seconds(10), 50});
  EXPECT_FALSE(limiter.take("a", kStart));
  EXPECT_TRUE(limiter.take("a", kStart - seconds(100)));
  EXPECT_TRUE(limiter.take("a", kStart + seconds(9)));
  EXPECT_FALSE(limiter.take("a", kStart + seconds(10)));
}

TEST(AuthenticationGuard, a_guessing_source_is_stopped_and_told_to_wait) {
  AuthenticationGuard guard;
  int judged = 0;
  for (int i = 0; i < 1000; ++i)
    judged += !guard.begin(kOffice, "user" + std::to_string(i), kStart);
  EXPECT_EQ(judged, static_cast<int>(limits::kAuthBurstPerSource));
  auto wait = guard.begin(kOffice, "alice", kStart);
  ASSERT_TRUE(wait);
  EXPECT_LE(*wait, limits::kAuthRefillPerSource);
  EXPECT_FALSE(guard.begin(*IpAddress::parse("192.0.2.8"), "alice", kStart)) << "others are served";
}

TEST(AuthenticationGuard, success_costs_nothing) {
  AuthenticationGuard guard;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(guard.begin(kOffice, "alice", kStart)) << i;
    guard.succeeded(kOffice, "alice");
  }
}

TEST(AuthenticationGuard, addresses_of_one_ipv6_subscriber_count_together) {
  AuthenticationGuard guard;
  int judged = 0;
  for (int i = 1; i < 200; ++i) {
    auto address = IpAddress::parse("2001:db8:1:2:" + std::to_string(i) + "::9");
    ASSERT_TRUE(address);
    judged += !guard.begin(*address, "", kStart);
  }
  EXPECT_EQ(judged, static_cast<int>(limits::kAuthBurstPerSource));
  EXPECT_FALSE(guard.begin(*IpAddress::parse("2001:db8:1:3::1"), "", kStart));
}

TEST(AuthenticationGuard, a_user_is_guarded_against_many_sources) {
  AuthenticationGuard guard;
  int judged = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    judged += !guard.begin(IpAddress::v4(0x0a000000 + i), "alice", kStart);
  }
  EXPECT_EQ(judged, static_cast<int>(limits::kAuthBurstPerUser));
  EXPECT_FALSE(guard.begin(IpAddress::v4(0x0a000000), "bob", kStart));
}

TEST(AuthenticationGuard, a_huge_user_name_counts_by_its_beginning_and_is_not_kept_whole) {
  AuthenticationGuard guard;
  std::string name(limits::kUserNameBytes, 'a');
  int judged = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    judged += !guard.begin(IpAddress::v4(0x0a000000 + i),
                           name + std::string(8000, 'b') + std::to_string(i), kStart);
  }
  EXPECT_EQ(judged, static_cast<int>(limits::kAuthBurstPerUser));
  EXPECT_TRUE(guard.begin(kOffice, name, kStart));
}

}  // namespace
}  // namespace isthmus::session
