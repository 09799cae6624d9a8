#include "net/deadline_timer.hpp"

#include <gtest/gtest.h>

#include "unit/net/net_support.hpp"

namespace isthmus::net::test {
namespace {

TEST(DeadlineTimer, the_earliest_deadline_counts_and_is_met_once) {
  Loop loop;
  std::vector<Instant> calls;
  DeadlineTimer timer(loop.io, [&] { calls.push_back(clock_now()); });
  const Instant due = clock_now() + milliseconds(20);
  timer.arm(due + seconds(3600));
  timer.arm(due);
  timer.arm(due + seconds(1800));
  timer.arm(std::nullopt);
  ASSERT_TRUE(loop.run_until([&] { return !calls.empty(); }));
  EXPECT_GE(calls.front(), due);
  loop.io.restart();
  EXPECT_EQ(loop.io.poll(), 0u) << "nothing is armed any more";
  EXPECT_EQ(calls.size(), 1u);
}

TEST(DeadlineTimer, may_be_armed_from_its_own_callback) {
  Loop loop;
  int calls = 0;
  DeadlineTimer* again = nullptr;
  DeadlineTimer timer(loop.io, [&] {
    if (++calls < 3) again->arm(clock_now());
  });
  again = &timer;
  timer.arm(clock_now());
  loop.io.run();
  EXPECT_EQ(calls, 3);
}

// Both waits are over when the first callback comes, so that the second's completion is already on
// its way and Asio cannot take it back.
TEST(DeadlineTimer, a_wait_that_is_over_is_cancelled_as_well) {
  Loop loop;
  int calls = 0;
  DeadlineTimer second(loop.io, [&] { ++calls; });
  DeadlineTimer first(loop.io, [&] { second.cancel(); });
  const Instant past = clock_now() - seconds(1);
  first.arm(past);
  second.arm(past + milliseconds(1));
  loop.io.run();
  EXPECT_EQ(calls, 0);
  second.arm(past);
  loop.io.restart();
  loop.io.run();
  EXPECT_EQ(calls, 1) << "cancelled is not broken";
}

TEST(DeadlineTimer, a_wait_that_is_over_outlives_the_timer_silently) {
  Loop loop;
  int calls = 0;
  auto second = std::make_unique<DeadlineTimer>(loop.io, [&] { ++calls; });
  std::unique_ptr<DeadlineTimer> first;
  first = std::make_unique<DeadlineTimer>(loop.io, [&] {
    second.reset();
    first.reset();  // from inside its own callback
    ++calls;
  });
  const Instant past = clock_now() - seconds(1);
  first->arm(past);
  second->arm(past + milliseconds(1));
  loop.io.run();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace isthmus::net::test
