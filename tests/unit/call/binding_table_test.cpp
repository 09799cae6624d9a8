#include "call/binding_table.hpp"

#include <gtest/gtest.h>

namespace isthmus::call {
namespace {

const sip::Flow kFirst = sip::Flow::link(1), kSecond = sip::Flow::link(2);
const Instant kNow = Instant() + seconds(1000);

struct BindingTableTest : testing::Test {
  BindingTable table{Bytes(32, 7)};

  std::string note(const std::string& owner, const std::string& contact, const sip::Flow& flow) {
    const std::string token = table.note(owner, "sip:a@example.com", contact, flow, kNow).token;
    table.confirm(token, kNow + seconds(60));
    return token;
  }
};

TEST_F(BindingTableTest, a_closed_session_makes_its_own_unreachable) {
  const std::string one = note("alice", "sip:a@desk.invalid", kFirst);
  const std::string two = note("alice", "sip:a@mobile.invalid", kSecond);
  table.session_closed(1);
  EXPECT_FALSE(table.find(one)->reachable);
  EXPECT_TRUE(table.find(two)->reachable);
  EXPECT_EQ(table.count_of_flow(kFirst), 1u);
}

TEST_F(BindingTableTest, one_that_refreshes_elsewhere_belongs_there) {
  const std::string token = note("alice", "sip:a@desk.invalid", kFirst);
  EXPECT_EQ(note("alice", "sip:a@desk.invalid", kSecond), token);
  EXPECT_EQ(table.count_of_flow(kFirst), 0u);
  EXPECT_EQ(table.count_of_flow(kSecond), 1u);
  table.session_closed(1);
  EXPECT_TRUE(table.find(token)->reachable);
  table.session_closed(2);
  EXPECT_FALSE(table.find(token)->reachable);
}

TEST_F(BindingTableTest, a_device_comes_back_to_its_own_on_another_session) {
  const std::string desk = note("alice", "sip:a@desk.invalid", kFirst);
  const std::string mobile = note("alice", "sip:a@mobile.invalid", kFirst);
  const std::string other = note("bob", "sip:a@desk.invalid", kFirst);
  table.session_closed(1);
  table.reattach("alice", "DESK.invalid", kSecond);
  EXPECT_TRUE(table.find(desk)->reachable);
  EXPECT_EQ(table.find(desk)->flow, kSecond);
  EXPECT_FALSE(table.find(mobile)->reachable);
  EXPECT_FALSE(table.find(other)->reachable);
  table.session_closed(2);
  EXPECT_FALSE(table.find(desk)->reachable);
}

TEST_F(BindingTableTest, a_connection_that_ends_takes_its_own_only) {
  sip::Flow stream = sip::Flow::to(sip::Transport::tcp, *Endpoint::parse("192.0.2.1:5060"));
  stream.connection = 9;
  const std::string one = note("alice", "sip:a@192.0.2.1", stream);
  const std::string two = note("alice", "sip:b@192.0.2.1", kFirst);
  table.flow_closed(stream);
  EXPECT_FALSE(table.find(one)->reachable);
  EXPECT_TRUE(table.find(two)->reachable);
}

TEST_F(BindingTableTest, what_is_removed_or_expired_is_found_no_more) {
  const std::string one = note("alice", "sip:a@desk.invalid", kFirst);
  const std::string two = note("alice", "sip:a@mobile.invalid", kFirst);
  note("bob", "sip:b@desk.invalid", kFirst);
  table.remove(one);
  EXPECT_EQ(table.count_of_flow(kFirst), 2u);
  table.remove_all_of("alice", "sip:a@example.com");
  EXPECT_EQ(table.find(two), nullptr);
  EXPECT_EQ(table.size(), 1u);
  table.expire(kNow + seconds(61));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.count_of_flow(kFirst), 0u);
  table.session_closed(1);
  table.reattach("bob", "desk.invalid", kSecond);
}

TEST_F(BindingTableTest, one_never_confirmed_goes_when_its_request_failed) {
  const std::string waits =
      table.note("alice", "sip:a@example.com", "sip:a@desk.invalid", kFirst, kNow).token;
  const std::string stands = note("alice", "sip:a@mobile.invalid", kFirst);
  table.drop_unconfirmed(waits);
  table.drop_unconfirmed(stands);
  EXPECT_EQ(table.find(waits), nullptr);
  EXPECT_NE(table.find(stands), nullptr);
}

}  // namespace
}  // namespace isthmus::call
