#include "session/password_hash.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/base64.hpp"
#include "base/limits.hpp"

namespace isthmus::session {
namespace {

constexpr ScryptCost kQuick{4, 8, 1};  ///< tests of logic need no expensive hash

TEST(PasswordHash, agrees_with_the_test_vector_of_rfc_7914) {
  auto expected = from_hex(
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
      "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
  ASSERT_TRUE(expected);
  auto hash = PasswordHash::parse("$scrypt$ln=14,r=8,p=1$" +
                                  base64_encode(as_bytes("SodiumChloride"), Base64::standard) +
                                  "$" + base64_encode(*expected, Base64::standard));
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->matches("pleaseletmein"));
  EXPECT_FALSE(hash->matches("pleaseletmeim"));
}

TEST(PasswordHash, default_cost_is_what_the_documentation_says) {
  SeededRandom random(1);
  std::string text = hash_password("s3cret", random);
  EXPECT_TRUE(text.starts_with("$scrypt$ln=15,r=8,p=1$")) << text;
  auto hash = PasswordHash::parse(text);
  ASSERT_TRUE(hash);
  EXPECT_EQ(hash->to_string(), text);
  EXPECT_TRUE(hash->matches("s3cret"));
  EXPECT_FALSE(hash->matches("s3cret "));
}

TEST(PasswordHash, equal_passwords_get_different_texts) {
  SeededRandom random(2);
  EXPECT_NE(hash_password("same", random, kQuick), hash_password("same", random, kQuick));
}

TEST(PasswordHash, odd_passwords_are_taken_as_bytes) {
  SeededRandom random(3);
  for (std::string password : {std::string(), std::string("a\0b", 3), std::string("pässwörd"),
                               std::string(limits::kPasswordBytes, 'x')}) {
    PasswordHash hash = PasswordHash::make(password, random, kQuick);
    EXPECT_TRUE(hash.matches(password));
    EXPECT_FALSE(hash.matches(password + "x"));
  }
}

TEST(PasswordHash, a_password_over_the_limit_never_matches) {
  SeededRandom random(4);
  std::string password(limits::kPasswordBytes + 1, 'x');
  EXPECT_FALSE(PasswordHash::make(password, random, kQuick).matches(password));
}

TEST(PasswordHash, other_forms_and_unbounded_costs_are_refused) {
  const std::string salt(22, 'A'), hash(43, 'A');
  const std::string good = "$scrypt$ln=4,r=8,p=1$" + salt + "$" + hash;
  ASSERT_TRUE(PasswordHash::parse(good));
  for (std::string bad : {std::string(),
                          std::string("secret"),
                          std::string("$"),
                          std::string("$$$$"),
                          "x" + good,
                          good + "$",
                          good + "=",
                          "$argon2id$ln=4,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=4,r=8$" + salt + "$" + hash,
                          "$scrypt$r=8,ln=4,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=-4,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=0,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=21,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=64,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=20,r=8,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=4,r=0,p=1$" + salt + "$" + hash,
                          "$scrypt$ln=4,r=8,p=0$" + salt + "$" + hash,
                          "$scrypt$ln=4,r=8,p=17$" + salt + "$" + hash,
                          "$scrypt$ln=4,r=8,p=1,t=1$" + salt + "$" + hash,
                          "$scrypt$ln=4,r=8,p=1$AAAA$" + hash,
                          "$scrypt$ln=4,r=8,p=1$" + salt + "$AAAA",
                          "$scrypt$ln=4,r=8,p=1$" + salt + "$" + hash + "!",
                          "$scrypt$ln=4,r=8,p=1$" + salt + "$" + std::string(200, 'A')}) {
    EXPECT_FALSE(PasswordHash::parse(bad)) << bad;
  }
}

TEST(PasswordHash, one_hash_serves_several_threads_at_once) {
  SeededRandom random(5);
  const PasswordHash hash = PasswordHash::make("shared", random, {10, 8, 1});
  std::vector<int> right(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < right.size(); ++i) {
    threads.emplace_back([&hash, &out = right[i]] {
      for (int round = 0; round < 5; ++round)
        out += hash.matches("shared") && !hash.matches("other");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(4, 5));
}

}  // namespace
}  // namespace isthmus::session
