#include "call/use_table.hpp"

#include <gtest/gtest.h>

#include <string>

namespace isthmus::call {
namespace {

using Table = UseTable<std::string>;

std::string all_of(const Table& table, CallId call) {
  std::string text;
  table.for_each_of(call, [&](const std::string& use) { text += use + " "; });
  return text;
}

TEST(UseTable, a_call_ends_without_those_of_others) {
  Table table;
  table.add(1, 10, "bye");
  table.add(2, 20, "info");
  table.add(3, 10, "update");
  EXPECT_EQ(all_of(table, 10), "bye update ");
  std::string erased;
  table.erase_of(10, [&](sip::TransactionId client, const std::string&) {
    erased += std::to_string(client);
    return true;
  });
  EXPECT_EQ(erased, "13");
  EXPECT_EQ(table.find(1), nullptr);
  EXPECT_EQ(all_of(table, 10), "");
  EXPECT_EQ(*table.find(2), "info");
}

TEST(UseTable, one_that_moves_stays_where_it_is_and_with_its_call) {
  Table table;
  const std::string& use = table.add(1, 10, "invite");
  table.move(1, 2);
  EXPECT_EQ(table.find(1), nullptr);
  EXPECT_EQ(table.find(2), &use);
  EXPECT_EQ(all_of(table, 10), "invite ");
  table.erase(2);
  EXPECT_EQ(all_of(table, 10), "");
}

TEST(UseTable, some_are_erased_by_what_they_are) {
  Table table;
  table.add(1, 10, "old");
  table.add(2, 10, "new");
  table.add(3, 20, "old");
  table.erase_if([](const std::string& use) { return use == "old"; });
  EXPECT_EQ(all_of(table, 10), "new ");
  EXPECT_EQ(all_of(table, 20), "");
  EXPECT_TRUE(table.any_of(10, [](const std::string& use) { return use == "new"; }));
  EXPECT_FALSE(table.any_of(20, [](const std::string&) { return true; }));
  EXPECT_EQ(table.find_if([](const std::string& use) { return use == "new"; }), 2u);
}

}  // namespace
}  // namespace isthmus::call
