#include "ops/demo_user.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "session/password_hash.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus::ops {
namespace {

using test::TemporaryDirectory;
using ::testing::HasSubstr;

TEST(DemoUser, is_made_only_where_nobody_could_log_in) {
  GatewayConfig config;
  EXPECT_TRUE(needs_demo_user(config));
  config.tokens.hmac_secrets.emplace_back(Secret("x"));
  EXPECT_FALSE(needs_demo_user(config));
  config = {};
  config.users.push_back({"alice", "", {"alice"}});
  EXPECT_FALSE(needs_demo_user(config));
}

TEST(DemoUser, keeps_its_password_over_a_restart_in_a_private_file) {
  TemporaryDirectory state;
  SeededRandom random(1);
  GatewayConfig first, second;
  auto made = add_demo_user(first, state.path(), random);
  ASSERT_TRUE(made) << made.error().text;
  auto kept = add_demo_user(second, state.path(), random);
  ASSERT_TRUE(kept) << kept.error().text;
  EXPECT_GE(made->password.reveal().size(), 20u);
  EXPECT_EQ(kept->password, made->password);
  struct stat status {};
  ASSERT_EQ(::stat(made->password_file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);

  ASSERT_EQ(second.users.size(), 1u);
  EXPECT_EQ(second.users[0].name, "demo");
  EXPECT_THAT(second.users[0].aors, ::testing::ElementsAre("demo"));
  auto hash = session::PasswordHash::parse(second.users[0].password_hash);
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->matches(made->password.reveal()));
}

TEST(DemoUser, different_gateways_get_different_passwords) {
  TemporaryDirectory one, two;
  SeededRandom random(2);
  GatewayConfig a, b;
  EXPECT_FALSE(add_demo_user(a, one.path(), random)->password ==
               add_demo_user(b, two.path(), random)->password);
}

TEST(DemoUser, a_state_directory_that_is_gone_is_an_error) {
  SeededRandom random(3);
  GatewayConfig config;
  auto failed = add_demo_user(config, "/nonexistent", random);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().text, "/nonexistent/demo-password: No such file or directory");
  EXPECT_TRUE(config.users.empty());
}

TEST(DemoUser, the_notice_holds_a_command_that_can_be_pasted) {
  GatewayConfig config;
  DemoUser user;
  user.password = Secret("pw123");
  EXPECT_THAT(
      demo_notice(config, user, 18443, "sha256//AA="),
      ::testing::AllOf(HasSubstr("wss://localhost:18443"),
                       HasSubstr("--pin sha256//AA= --user demo --password-file "),
                       ::testing::Not(HasSubstr("pw123")), HasSubstr("sip:echo@isthmus.local")));
  config.services.echo = false;
  EXPECT_THAT(demo_notice(config, user, 18443, "sha256//AA="), HasSubstr("sip:tone@isthmus.local"));
}

}  // namespace
}  // namespace isthmus::ops
