#include "provider/admission.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::provider {
namespace {

const IpAddress kHere = *IpAddress::parse("203.0.113.1"), kThere = *IpAddress::parse("203.0.113.2");

struct Limits : testing::Test {
  Admission::Config config;
  Instant now{std::chrono::hours(1)};
  std::unique_ptr<Admission> admission;
  std::optional<call::RouteRejection> last;

  bool admits(std::string_view method, const std::string& name, bool is_user = true,
              std::optional<IpAddress> source = {}) {
    if (!admission) admission = std::make_unique<Admission>(config);
    last = admission->admit(method, {is_user, name, source}, now);
    return !last;
  }
  /// How many in a row are admitted.
  int burst(std::string_view method, const std::string& name, bool is_user = true,
            std::optional<IpAddress> source = {}) {
    int count = 0;
    while (count < 10'000 && admits(method, name, is_user, source)) ++count;
    return count;
  }
};

TEST_F(Limits, none_are_set_by_default) {
  EXPECT_EQ(burst("INVITE", "alice", true, kHere), 10'000);
}

TEST_F(Limits, rates_hold_five_seconds_worth_and_refill) {
  config.user.call_attempts_per_s = 2;
  EXPECT_EQ(burst("INVITE", "alice"), 10);
  EXPECT_EQ(last->status, 503);
  EXPECT_EQ(last->reason, "Too many call attempts a second of this user");
  EXPECT_EQ(last->retry_after_s, 1u);
  EXPECT_EQ(burst("INVITE", "bob"), 10);  // each has its own
  EXPECT_EQ(burst("REGISTER", "alice"), 10'000);
  EXPECT_EQ(burst("INVITE", "alice", false), 10'000);  // a provider of that name
  now += milliseconds(499);
  EXPECT_FALSE(admits("INVITE", "alice"));
  now += milliseconds(1);
  EXPECT_EQ(burst("INVITE", "alice"), 1);
  now += seconds(60);
  EXPECT_EQ(burst("INVITE", "alice"), 10);
  EXPECT_EQ(admission->refused(AdmissionReason::account_call_attempts), 5u);
}

TEST_F(Limits, each_kind_of_request_has_its_own_rate_and_words) {
  config.provider = {0, 1, 2, 3};
  EXPECT_EQ(burst("INVITE", "trunk", false), 5);
  EXPECT_EQ(last->reason, "Too many call attempts a second of this provider");
  EXPECT_EQ(burst("REGISTER", "trunk", false), 10);
  EXPECT_EQ(last->reason, "Too many registrations a second of this provider");
  EXPECT_EQ(burst("MESSAGE", "trunk", false), 15);
  EXPECT_FALSE(admits("OPTIONS", "trunk", false));  // shares with MESSAGE
  EXPECT_EQ(last->reason, "Too many requests a second of this provider");
}

TEST_F(Limits, a_source_is_limited_whoever_speaks_from_there) {
  config.source.registrations_per_s = 1;
  EXPECT_EQ(burst("REGISTER", "alice", true, kHere), 5);
  EXPECT_FALSE(admits("REGISTER", "bob", true, kHere));
  EXPECT_EQ(last->reason, "Too many registrations a second from this address");
  EXPECT_TRUE(admits("REGISTER", "bob", true, kThere));
  EXPECT_EQ(admission->refused(AdmissionReason::source_registrations), 2u);
  // An IPv6 subscriber is its /64.
  EXPECT_EQ(burst("REGISTER", "carol", true, IpAddress::parse("2001:db8::1")), 5);
  EXPECT_FALSE(admits("REGISTER", "carol", true, IpAddress::parse("2001:db8::2")));
  EXPECT_TRUE(admits("REGISTER", "carol", true, IpAddress::parse("2001:db8:0:1::2")));
}

TEST_F(Limits, users_and_providers_may_have_their_own) {
  config.user.call_attempts_per_s = 1;
  config.users["pbx"] = {0, 10, 0, 0};
  config.providers["pbx"] = {0, 3, 0, 0};
  EXPECT_EQ(burst("INVITE", "alice"), 5);
  EXPECT_EQ(burst("INVITE", "pbx"), 50);
  EXPECT_EQ(burst("INVITE", "pbx", false), 15);
}

TEST_F(Limits, calls_at_once_count_on_both_sides_until_they_end) {
  config.user.calls = 2;
  EXPECT_TRUE(admits("INVITE", "alice"));
  admission->call_began(1, {{{true, "alice"}, {false, "trunk"}}});
  admission->call_began(2, {{{false, "trunk"}, {true, "alice"}}});
  EXPECT_FALSE(admits("INVITE", "alice"));
  EXPECT_EQ(last->status, 503);
  EXPECT_EQ(last->reason, "Too many calls of this user");
  EXPECT_GT(last->retry_after_s, 0u);
  EXPECT_TRUE(admits("MESSAGE", "alice"));
  EXPECT_TRUE(admits("INVITE", "bob"));
  EXPECT_TRUE(admission->is_full(true, "alice"));
  EXPECT_FALSE(admission->is_full(false, "trunk"));
  // Another branch answered: the call is counted for whom it stands with now.
  admission->call_began(2, {{{false, "trunk"}, {true, "bob"}}});
  EXPECT_TRUE(admits("INVITE", "alice"));
  EXPECT_EQ(admission->calls_of(true, "bob"), 1u);
  EXPECT_EQ(admission->calls_of(false, "trunk"), 2u);
  admission->call_ended(1);
  admission->call_ended(1);
  admission->call_ended(2);
  admission->call_ended(3);
  EXPECT_EQ(admission->calls_of(true, "alice"), 0u);
  EXPECT_EQ(admission->calls_of(false, "trunk"), 0u);
}

TEST(Strangers, get_a_few_answers_and_then_silence) {
  StrangerTable table(2);
  Instant now{std::chrono::hours(1)};
  auto verdict = [&](const IpAddress& source) {
    StrangerTable::Verdict v = table.on_packet(source, now);
    return std::string(v.answer ? "answer" : "silence") + (v.log ? " log" : "");
  };
  EXPECT_EQ(verdict(kHere), "answer log");
  EXPECT_EQ(verdict(kHere), "answer");
  EXPECT_EQ(verdict(kHere), "silence");
  EXPECT_EQ(verdict(kThere), "answer log");
  now += limits::kStrangerLogInterval;
  EXPECT_EQ(verdict(kHere), "silence log");
  EXPECT_EQ(verdict(kHere), "silence");
  EXPECT_EQ(table.answered(), 3u);
  EXPECT_EQ(table.silenced(), 3u);
  // Who was quiet for long may have been mended.
  now += limits::kStrangerForgotten;
  EXPECT_EQ(verdict(kHere), "answer log");
}

TEST(Strangers, that_connect_use_up_no_answers_and_get_none) {
  StrangerTable table(2);
  Instant now{std::chrono::hours(1)};
  StrangerTable::Verdict first = table.on_packet(kThere, now, false);
  EXPECT_FALSE(first.answer);
  EXPECT_TRUE(first.log);
  EXPECT_FALSE(table.on_packet(kThere, now, false).log);
  EXPECT_EQ(table.answered(), 0u);
  EXPECT_EQ(table.silenced(), 2u);
  EXPECT_FALSE(table.on_packet(kThere, now).answer) << "it is known by its connections";
}

TEST(Strangers, of_all_addresses_fill_no_memory) {
  StrangerTable table;
  Instant now{std::chrono::hours(1)};
  table.on_packet(kHere, now);
  for (std::uint32_t i = 0; i < 2 * limits::kStrangers; ++i) {
    table.on_packet(IpAddress::v4(0x0A000000 + i), now);
    if (i % 1000 == 0) table.on_packet(kHere, now);
  }
  EXPECT_EQ(table.answered(), limits::kFaultAnswersPerSecond);  // all within one second
  EXPECT_EQ(table.size(), limits::kStrangers);
  EXPECT_GT(table.on_packet(kHere, now).refused, 20u);  // the busiest is not forgotten
}

}  // namespace
}  // namespace isthmus::provider
