#include "session/authenticator.hpp"

#include <gtest/gtest.h>

#include <ctime>

#include "base/limits.hpp"

namespace isthmus::session {
namespace {

constexpr WallSeconds kNow{seconds(1'800'000'000)};

Account account(std::string name, std::string_view password, std::vector<std::string> aors,
                ScryptCost cost = {4, 8, 1}) {
  SeededRandom random(7);
  return {std::move(name), PasswordHash::make(password, random, cost), std::move(aors)};
}

TokenVerifier token_verifier() {
  TokenVerifier::Policy policy;
  policy.hmac_keys = {HmacKey{Bytes(32, 1)}};
  return TokenVerifier(policy);
}

TEST(Authenticator, right_password_gives_the_users_identity) {
  Authenticator authenticator(
      {account("alice", "a", {"alice", "100"}), account("bob", "b", {"bob"})}, {});
  auto identity = authenticator.with_password("alice", "a");
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->user, "alice");
  EXPECT_TRUE(identity->may_use("alice"));
  EXPECT_TRUE(identity->may_use("100"));
  EXPECT_FALSE(identity->may_use("bob"));
  EXPECT_FALSE(identity->may_use("Alice")) << "user parts of SIP URIs are case-sensitive";
}

TEST(Authenticator, a_star_stands_for_every_address) {
  Authenticator authenticator({account("pbx", "p", {"*"})}, {});
  auto identity = authenticator.with_password("pbx", "p");
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->may_use("anybody"));
}

TEST(Authenticator, wrong_password_and_unknown_user_look_the_same) {
  Authenticator authenticator({account("alice", "a", {"alice"}), account("bob", "b", {"bob"})}, {});
  auto wrong = authenticator.with_password("alice", "b");
  auto unknown = authenticator.with_password("carol", "a");
  auto upper = authenticator.with_password("ALICE", "a");
  ASSERT_FALSE(wrong);
  ASSERT_FALSE(unknown);
  ASSERT_FALSE(upper);
  EXPECT_EQ(wrong.error().fault, AuthFault::wrong_password);
  EXPECT_EQ(unknown.error().fault, wrong.error().fault);
  EXPECT_EQ(unknown.error().text, wrong.error().text);
}

TEST(Authenticator, users_of_a_database_come_after_those_of_the_configuration) {
  int asked = 0;
  Authenticator authenticator({account("alice", "a", {"alice"})}, {},
                              [&](std::string_view user) -> std::optional<Account> {
                                ++asked;
                                if (user == "carol") return account("carol", "c", {"carol", "300"});
                                if (user == "alice") return account("alice", "another", {"*"});
                                return std::nullopt;
                              });
  EXPECT_TRUE(authenticator.with_password("alice", "a"));
  EXPECT_FALSE(authenticator.with_password("alice", "another"));
  EXPECT_EQ(asked, 0);
  auto carol = authenticator.with_password("carol", "c");
  ASSERT_TRUE(carol);
  EXPECT_TRUE(carol->may_use("300"));
  EXPECT_FALSE(authenticator.with_password("carol", "a"));
  EXPECT_FALSE(authenticator.with_password("dave", "c"));
}

TEST(Authenticator, nobody_gets_in_without_accounts) {
  Authenticator authenticator({}, {});
  EXPECT_FALSE(authenticator.with_password("", ""));
  EXPECT_FALSE(authenticator.with_password("demo", ""));
}

// CPU time, not wall time, so that a busy machine does not decide the outcome.
TEST(Authenticator, an_unknown_user_costs_as_much_as_a_known_one) {
  Authenticator authenticator(
      {account("cheap", "c", {"c"}), account("alice", "a", {"alice"}, {13, 8, 1})}, {});
  auto cost = [&](const char* user) {
    std::clock_t begin = std::clock();
    for (int i = 0; i < 5; ++i) (void)authenticator.with_password(user, "wrong");
    return static_cast<double>(std::clock() - begin);
  };
  double known = cost("alice"), unknown = cost("nobody");
  EXPECT_GT(unknown, known / 3);
  EXPECT_LT(unknown, known * 3);
}

TEST(Authenticator, a_token_speaks_for_its_subject) {
  Authenticator authenticator({}, token_verifier());
  TokenClaims claims;
  claims.subject = "dora";
  claims.expires_at = kNow + seconds(60);
  auto identity = authenticator.with_token(*mint_token(HmacKey{Bytes(32, 1)}, claims), kNow);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->user, "dora");
  EXPECT_EQ(identity->aors, std::vector<std::string>{"dora"});

  claims.aors = {"200", "201"};
  identity = authenticator.with_token(*mint_token(HmacKey{Bytes(32, 1)}, claims), kNow);
  ASSERT_TRUE(identity);
  EXPECT_FALSE(identity->may_use("dora")) << "a list in the token replaces the own name";
  EXPECT_TRUE(identity->may_use("201"));
}

TEST(Authenticator, a_bad_token_is_refused_with_its_reason) {
  Authenticator authenticator({}, token_verifier());
  auto refused = authenticator.with_token("a.b", kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, AuthFault::bad_token);
  EXPECT_EQ(refused.error().token, TokenFault::malformed);
  EXPECT_FALSE(refused.error().text.empty());
}

TEST(UserName, is_what_a_sip_uri_takes_unescaped) {
  for (const char* good : {"alice", "A.b-c_d", "+4930123", "~x!"})
    EXPECT_TRUE(is_user_name(good)) << good;
  for (std::string bad : {std::string(), std::string("a b"), std::string("a@b"), std::string("a:b"),
                          std::string("a;b"), std::string("\xc3\xa4"), std::string("*"),
                          std::string(limits::kUserNameBytes + 1, 'a')}) {
    EXPECT_FALSE(is_user_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace isthmus::session
