// Users in the registrar's database, changed by one program while another one reads.
#include "store/user_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/contact_store.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus::store {
namespace {

using test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;

StoredUser alice() {
  return {"alice",
          "$scrypt$…",
          "home.example",
          sip::digest_secrets("alice", "home.example", "secret"),
          {"alice", "+4930123"}};
}

struct Users : testing::Test {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/registrar.sqlite";
};

TEST_F(Users, are_found_as_they_were_put) {
  auto users = UserStore::open_to_change(path);
  ASSERT_TRUE(users) << users.error().text;
  EXPECT_FALSE(users->find("alice"));
  ASSERT_FALSE(users->put(alice()));
  auto found = users->find("alice");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "alice");
  EXPECT_EQ(found->password_hash, "$scrypt$…");
  EXPECT_EQ(found->realm, "home.example");
  EXPECT_EQ(found->secrets, alice().secrets);
  EXPECT_THAT(found->aors, ElementsAre("alice", "+4930123"));
  EXPECT_FALSE(users->find("Alice")) << "names are case-sensitive";
  EXPECT_FALSE(users->find("' OR ''='"));
}

TEST_F(Users, change_under_a_running_gateway) {
  auto gateway = ContactStore::open(path);
  ASSERT_TRUE(gateway) << gateway.error().text;
  auto reader = UserStore::open(path);
  ASSERT_TRUE(reader) << reader.error().text;
  EXPECT_FALSE(reader->find("alice"));
  auto command = UserStore::open_to_change(path);
  ASSERT_TRUE(command) << command.error().text;
  ASSERT_FALSE(command->put(alice()));
  ASSERT_TRUE(reader->find("alice"));
  StoredUser changed = alice();
  changed.aors = {"*"};
  ASSERT_FALSE(command->put(changed));
  EXPECT_THAT(reader->find("alice")->aors, ElementsAre("*"));
  auto all = command->all();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1u);
  auto removed = command->remove("alice");
  ASSERT_TRUE(removed);
  EXPECT_TRUE(*removed);
  EXPECT_FALSE(reader->find("alice"));
  removed = command->remove("alice");
  ASSERT_TRUE(removed);
  EXPECT_FALSE(*removed);
  EXPECT_EQ(reader->failures(), 0u);
}

TEST_F(Users, reading_one_while_another_program_writes_does_not_wait) {
  auto gateway = ContactStore::open(path);
  ASSERT_TRUE(gateway);
  auto reader = UserStore::open(path);
  ASSERT_TRUE(reader);
  auto writer = Database::open(path, Database::Access::read_write, 0);
  ASSERT_TRUE(writer);
  ASSERT_FALSE(writer->run("BEGIN IMMEDIATE; DELETE FROM users"));
  EXPECT_FALSE(reader->find("alice"));
  EXPECT_EQ(reader->failures(), 0u) << "not there, and not: could not be read";
}

TEST_F(Users, are_known_by_name_and_by_each_address_and_by_no_part_of_one) {
  auto users = UserStore::open_to_change(path);
  ASSERT_TRUE(users);
  ASSERT_FALSE(users->put(alice()));
  auto reader = UserStore::open(path);
  ASSERT_TRUE(reader);
  for (const char* known : {"alice", "ALICE", "+4930123"})
    EXPECT_TRUE(reader->has_address(known)) << known;
  for (const char* unknown : {"", " ", "+4930", "30123", "alice +4930123", "%", "bob"})
    EXPECT_FALSE(reader->has_address(unknown)) << unknown;
  EXPECT_EQ(reader->failures(), 0u);
}

TEST_F(Users, failed_look_ups_are_counted) {
  auto gateway = ContactStore::open(path);
  ASSERT_TRUE(gateway);
  auto reader = UserStore::open(path);
  ASSERT_TRUE(reader);
  auto other = Database::open(path, Database::Access::read_write, 0);
  ASSERT_TRUE(other);
  ASSERT_FALSE(other->run("DROP TABLE users"));
  EXPECT_FALSE(reader->find("alice"));
  EXPECT_EQ(reader->failures(), 1u);
}

TEST_F(Users, without_a_file_there_is_nothing_to_read) {
  auto users = UserStore::open(path);
  ASSERT_FALSE(users);
  EXPECT_THAT(users.error().text, HasSubstr(path));
}

}  // namespace
}  // namespace isthmus::store
