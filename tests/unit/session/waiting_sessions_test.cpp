#include "session/waiting_sessions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace isthmus::session {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(WaitingSessions, are_counted_by_user_and_in_all) {
  WaitingSessions waiting;
  waiting.add(1, "alice", "a");
  waiting.add(2, "alice", "b");
  waiting.add(3, "bob", "a");
  EXPECT_EQ(waiting.size(), 3u);
  EXPECT_EQ(waiting.of_user("alice"), 2u);
  EXPECT_EQ(waiting.of_user("bob"), 1u);
  EXPECT_EQ(waiting.of_user("carol"), 0u);
}

TEST(WaitingSessions, those_that_have_a_link_again_count_no_longer) {
  WaitingSessions waiting;
  waiting.add(1, "alice", "a");
  waiting.add(2, "alice", "a");
  waiting.remove(1);
  waiting.remove(1);
  waiting.remove(7);
  EXPECT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting.of_user("alice"), 1u);
  waiting.remove(2);
  EXPECT_EQ(waiting.of_user("alice"), 0u);
  EXPECT_EQ(waiting.size(), 0u);
}

TEST(WaitingSessions, one_that_waits_already_counts_once) {
  WaitingSessions waiting;
  waiting.add(1, "alice", "a");
  waiting.add(1, "alice", "a");
  EXPECT_EQ(waiting.of_user("alice"), 1u);
}

TEST(WaitingSessions, an_installation_finds_its_own_of_its_own_user) {
  WaitingSessions waiting;
  waiting.add(1, "alice", "desk");
  waiting.add(2, "alice", "mobile");
  waiting.add(3, "alice", "desk");
  waiting.add(4, "bob", "desk");
  EXPECT_THAT(waiting.of_instance("alice", "desk"), ElementsAre(1u, 3u));
  EXPECT_THAT(waiting.of_instance("carol", "desk"), IsEmpty());
  waiting.remove(1);
  EXPECT_THAT(waiting.of_instance("alice", "desk"), ElementsAre(3u));
}

}  // namespace
}  // namespace isthmus::session
