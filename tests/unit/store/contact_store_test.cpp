// The registrar's contacts in a real SQLite file: what survives, and what happens when it cannot.
#include "store/contact_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/random.hpp"
#include "provider/registrar.hpp"
#include "store/schema.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus::store {
namespace {

using provider::Registrar;
using provider::StoredContact;
using test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StoredContact contact(const std::string& user, const std::string& uri) {
  StoredContact out;
  out.user = user;
  out.uri = uri;
  out.instance = "\"<urn:uuid:1>\"";
  out.params = ";q=0.25;+sip.instance=\"<urn:uuid:1>\"";
  out.reg_id = 3;
  out.path = {"<sip:a.example;lr>", "<sip:b.example;lr;x=\"1,2\">"};
  out.user_agent = "phone; DROP TABLE contacts; --'";
  out.call_id = "call@host";
  out.cseq = 4'000'000'000;
  out.q = 0.25;
  out.expires_unix_s = 4'000'000'000;
  out.refreshed_unix_s = 1'700'000'000;
  return out;
}

struct InDirectory : testing::Test {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/registrar.sqlite";

  std::vector<StoredContact> contents() {
    auto store = ContactStore::open(path);
    EXPECT_TRUE(store) << store.error().text;
    return store ? (*store)->take_loaded() : std::vector<StoredContact>();
  }
  /// Flushes until the writing thread has written a batch more.
  static void flush(ContactStore& store) {
    std::uint64_t before = store.report().batches;
    store.flush();
    while (store.report().batches == before) std::this_thread::yield();
  }
};

TEST_F(InDirectory, what_was_put_is_there_after_a_restart_in_every_part) {
  {
    auto store = ContactStore::open(path);
    ASSERT_TRUE(store) << store.error().text;
    EXPECT_THAT((*store)->take_loaded(), IsEmpty());
    (*store)->put("alice", {contact("alice", "sip:alice@a"), contact("alice", "sip:alice@b")});
    (*store)->put("bob", {contact("bob", "sip:bob@c")});
    flush(**store);
    (*store)->put("bob", {});
    (*store)->put("alice", {contact("alice", "sip:alice@b")});
    (*store)->put("carol", {contact("carol", "sip:carol@d")});
    // Not flushed: closing does it.
  }
  EXPECT_THAT(contents(),
              ElementsAre(contact("alice", "sip:alice@b"), contact("carol", "sip:carol@d")));
}

TEST_F(InDirectory, file_is_for_its_owner_only) {
  ASSERT_TRUE(ContactStore::open(path));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(InDirectory, what_is_no_database_is_named_and_left_alone) {
  std::ofstream(path) << "This is a text file, and long enough for SQLite to look at its header, "
                         "which is at least a hundred bytes long, or so they say.";
  auto store = ContactStore::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().text, HasSubstr(path + ": "));
  EXPECT_THAT(store.error().text, HasSubstr("not a database"));
  std::ifstream file(path);
  std::string word;
  file >> word;
  EXPECT_EQ(word, "This");
}

TEST_F(InDirectory, damaged_database_is_a_clear_error) {
  {
    auto store = ContactStore::open(path);
    ASSERT_TRUE(store);
    for (int i = 0; i < 2000; ++i) {
      std::string user = "user" + std::to_string(i);
      (*store)->put(user, {contact(user, "sip:x@y")});
    }
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 3; page < 40; ++page) {
      file.seekp(page * 4096);
      file << std::string(512, '\x5a');
    }
  }
  auto store = ContactStore::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().text, HasSubstr(path));
}

TEST_F(InDirectory, directory_that_is_not_there_is_a_clear_error) {
  auto store = ContactStore::open(directory.path() + "/missing/registrar.sqlite");
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().text, HasSubstr("/missing/registrar.sqlite: unable to open"));
}

TEST_F(InDirectory, tables_of_a_later_version_are_not_touched) {
  ASSERT_TRUE(ContactStore::open(path));
  auto database = Database::open(path, Database::Access::read_write, 0);
  ASSERT_TRUE(database);
  ASSERT_FALSE(database->run("PRAGMA user_version = 7"));
  auto store = ContactStore::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().text, HasSubstr("version 7"));
}

TEST_F(InDirectory, batch_that_cannot_be_written_is_told_and_written_later) {
  auto store = ContactStore::open(path);
  ASSERT_TRUE(store);
  auto other = Database::open(path, Database::Access::read_write, 0);
  ASSERT_TRUE(other);
  ASSERT_FALSE(other->run("ALTER TABLE contacts RENAME TO hidden"));
  (*store)->put("alice", {contact("alice", "sip:alice@a")});
  (*store)->put("bob", {contact("bob", "sip:bob@a")});
  flush(**store);
  ContactStore::Report report = (*store)->report();
  EXPECT_EQ(report.failures, 1u);
  ASSERT_TRUE(report.fault);
  EXPECT_THAT(*report.fault, HasSubstr("contacts"));
  ASSERT_FALSE(other->run("ALTER TABLE hidden RENAME TO contacts"));
  (*store)->put("bob", {contact("bob", "sip:bob@newer")});
  flush(**store);
  EXPECT_FALSE((*store)->report().fault);
  EXPECT_EQ((*store)->report().failures, 1u);
  store->reset();
  EXPECT_THAT(contents(),
              ElementsAre(contact("alice", "sip:alice@a"), contact("bob", "sip:bob@newer")));
}

TEST_F(InDirectory, registrations_outlive_the_registrar) {
  SeededRandom random(1);
  auto everybody = [](const sip::Flow&, std::string_view) { return true; };
  auto request = sip::Message::request("REGISTER", "sip:home.example");
  request.add("Via", "SIP/2.0/TLS a.invalid;branch=z9hG4bK1");
  request.add("From", "<sip:alice@home.example>;tag=1");
  request.add("To", "<sip:alice@home.example>");
  request.add("Call-ID", "one");
  request.add("CSeq", "1 REGISTER");
  request.add("Contact", "<sip:token@connector.invalid;transport=tls>;q=0.5");
  {
    auto store = ContactStore::open(path);
    ASSERT_TRUE(store);
    Registrar registrar({"home.example"}, everybody, random);
    Instant now(seconds(5000));
    registrar.set_wall_clock(WallSeconds(seconds(1'700'000'000)), now);
    registrar.set_store(store->get());
    ASSERT_EQ(registrar.on_register(request, sip::Flow::link(1), now).status(), 200);
  }
  auto store = ContactStore::open(path);
  ASSERT_TRUE(store);
  Registrar registrar({"home.example"}, everybody, random);
  Instant now(seconds(77));
  registrar.set_wall_clock(WallSeconds(seconds(1'700'000'600)), now);
  ASSERT_EQ(registrar.restore((*store)->take_loaded(), now), 1u);
  EXPECT_THAT(registrar.lookup("alice", now), IsEmpty());
  registrar.reattach("connector.invalid", sip::Flow::link(4));
  ASSERT_EQ(registrar.lookup("alice", now).size(), 1u);
  EXPECT_EQ(registrar.lookup("alice", now)[0].uri, "sip:token@connector.invalid;transport=tls");
  EXPECT_EQ(registrar.lookup("alice", now)[0].expires - now, seconds(3000));
}

}  // namespace
}  // namespace isthmus::store
