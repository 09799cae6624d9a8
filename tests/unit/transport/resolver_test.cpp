#include "transport/resolver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/limits.hpp"
#include "unit/transport/udp_peer.hpp"

namespace isthmus::transport {
namespace {

using test::run_until;
using test::settle;

/// Names answered by hand, on virtual time.
class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() {
    ResolverOptions options;
    options.lookup = [this](const std::string& host, ResolverOptions::Done done) {
      asked.push_back(host);
      waiting.push_back(std::move(done));
    };
    options.clock = [this] { return now; };
    resolver.emplace(io, std::move(options));
  }
  void answer(std::vector<std::string> addresses) {
    std::vector<IpAddress> parsed;
    for (const auto& address : addresses) parsed.push_back(*IpAddress::parse(address));
    auto done = std::move(waiting.front());
    waiting.erase(waiting.begin());
    done(std::move(parsed));
    settle(io);
  }
  void ask(const std::string& name, std::uint16_t port = 5060) {
    resolver->resolve(name, port, [this](const Resolver::Answer& result) {
      std::string text;
      if (!result) {
        text = to_text(result.error());
      } else {
        for (const auto& endpoint : *result)
          text += (text.empty() ? "" : " ") + endpoint.to_string();
      }
      results.push_back(text);
    });
  }

  boost::asio::io_context io;
  Instant now{};
  std::vector<std::string> asked, results;
  std::vector<ResolverOptions::Done> waiting;
  std::optional<Resolver> resolver;
};

TEST_F(ResolverTest, addresses_need_no_lookup_and_still_come_later) {
  ask("192.0.2.1");
  ask("192.0.2.1:5080");
  ask("[2001:db8::1]");
  ask("[2001:db8::1]:5061");
  EXPECT_TRUE(results.empty());
  settle(io);
  EXPECT_THAT(results, testing::ElementsAre("192.0.2.1:5060", "192.0.2.1:5080",
                                            "[2001:db8::1]:5060", "[2001:db8::1]:5061"));
  EXPECT_TRUE(asked.empty());
}

TEST_F(ResolverTest, malformed_names_and_ports_are_told_apart_from_missing_ones) {
  const std::vector<std::string> bad{"",
                                     ":5060",
                                     "host:",
                                     "host:0",
                                     "host:65536",
                                     "host:5060x",
                                     "a b",
                                     "a..b",
                                     ".a",
                                     "[::1",
                                     "[::1]5060",
                                     "[host]:1",
                                     std::string(64, 'a') + ".example",
                                     "user@host",
                                     "1:2:x"};
  for (const auto& name : bad) ask(name);
  settle(io);
  EXPECT_EQ(std::vector<std::string>(bad.size(), to_text(ResolveError::malformed)), results);
  EXPECT_TRUE(asked.empty());
}

TEST_F(ResolverTest, callers_of_one_name_share_a_lookup_and_keep_their_ports) {
  ask("Sip.Example");
  ask("sip.example:5070");
  EXPECT_EQ(std::vector<std::string>{"sip.example"}, asked);
  answer({"192.0.2.1", "2001:db8::1"});
  EXPECT_THAT(results, testing::ElementsAre("192.0.2.1:5060 [2001:db8::1]:5060",
                                            "192.0.2.1:5070 [2001:db8::1]:5070"));
}

TEST_F(ResolverTest, answers_live_a_minute_and_failures_five_seconds) {
  ask("a.example");
  answer({"192.0.2.1"});
  now += seconds(59);
  ask("a.example");
  settle(io);
  EXPECT_EQ(1u, asked.size());
  now += seconds(1);
  ask("a.example");
  ASSERT_EQ(2u, asked.size());
  answer({});
  now += milliseconds(4999);
  ask("a.example");
  settle(io);
  EXPECT_EQ(2u, asked.size());
  now += milliseconds(1);
  ask("a.example");
  EXPECT_EQ(3u, asked.size());
  answer({"192.0.2.2"});
  EXPECT_THAT(results,
              testing::ElementsAre("192.0.2.1:5060", "192.0.2.1:5060", "host name not found",
                                   "host name not found", "192.0.2.2:5060"));
  EXPECT_EQ(3u, resolver->counters().lookups);
  EXPECT_EQ(2u, resolver->counters().cached);
  EXPECT_EQ(1u, resolver->counters().failures);
}

TEST_F(ResolverTest, names_and_waiters_are_bounded_and_expired_names_make_room) {
  for (std::size_t i = 0; i < limits::kResolverNames; ++i)
    ask("n" + std::to_string(i) + ".example");
  ask("one-more.example");
  for (std::size_t i = 1; i <= limits::kResolverWaiters; ++i) ask("n0.example");
  settle(io);
  EXPECT_THAT(results, testing::ElementsAre("too many name lookups", "too many name lookups"));
  while (!waiting.empty()) answer({"192.0.2.1"});
  now += seconds(60);
  ask("one-more.example");
  EXPECT_EQ("one-more.example", asked.back());
}

TEST_F(ResolverTest, nothing_is_called_back_once_the_resolver_is_gone) {
  ask("192.0.2.1");
  ask("a.example");
  resolver.reset();
  answer({"192.0.2.1"});
  EXPECT_TRUE(results.empty());
}

TEST(SystemResolver, finds_the_local_host) {
  boost::asio::io_context io;
  Resolver resolver(io);
  std::optional<std::vector<Endpoint>> found;
  resolver.resolve("localhost:5099", 5060, [&](const Resolver::Answer& result) {
    ASSERT_TRUE(result);
    found = *result;
  });
  ASSERT_TRUE(run_until(io, [&] { return found.has_value(); }));
  for (const auto& endpoint : *found) {
    EXPECT_TRUE(endpoint.address.is_loopback()) << endpoint.to_string();
    EXPECT_EQ(5099, endpoint.port);
    EXPECT_EQ(1, std::count(found->begin(), found->end(), endpoint)) << "no duplicates";
  }
}

}  // namespace
}  // namespace isthmus::transport
