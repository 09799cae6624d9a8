#include "ops/state_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>

#include "base/limits.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus::ops {
namespace {

using test::TemporaryDirectory;
using ::testing::HasSubstr;

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    auto variable = variables.find(name);
    if (variable == variables.end()) return std::nullopt;
    return variable->second;
  };
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

TEST(StateDirectory, the_configured_one_comes_first_and_is_created_private) {
  TemporaryDirectory root;
  auto chosen =
      choose_state_dir(root.path() + "/mine", environment({{"STATE_DIRECTORY", root.path()}}));
  ASSERT_TRUE(chosen) << chosen.error().text;
  EXPECT_EQ(*chosen, root.path() + "/mine");
  EXPECT_EQ(mode_of(*chosen), 0700u);
}

TEST(StateDirectory, then_systemds_first_one) {
  TemporaryDirectory root;
  auto chosen =
      choose_state_dir("", environment({{"STATE_DIRECTORY", root.path() + ":/elsewhere"}}));
  ASSERT_TRUE(chosen) << chosen.error().text;
  EXPECT_EQ(*chosen, root.path());
}

TEST(StateDirectory, then_the_systems_when_it_can_be_made) {
  TemporaryDirectory root;
  auto chosen = choose_state_dir("", environment({{"HOME", root.path()}}), root.path() + "/system");
  ASSERT_TRUE(chosen) << chosen.error().text;
  EXPECT_EQ(*chosen, root.path() + "/system");
}

TEST(StateDirectory, then_the_users) {
  TemporaryDirectory root;
  std::string absent = root.path() + "/no/such";
  auto xdg = choose_state_dir(
      "", environment({{"HOME", "/x"}, {"XDG_STATE_HOME", root.path() + "/xdg"}}), absent);
  ASSERT_TRUE(xdg) << xdg.error().text;
  EXPECT_EQ(*xdg, root.path() + "/xdg/isthmus");
  auto home = choose_state_dir(
      "", environment({{"HOME", root.path()}, {"XDG_STATE_HOME", "relative"}}), absent);
  ASSERT_TRUE(home) << home.error().text;
  EXPECT_EQ(*home, root.path() + "/.local/state/isthmus");
}

TEST(StateDirectory, without_any_the_reason_is_given) {
  TemporaryDirectory root;
  auto none = choose_state_dir("", environment({}), root.path() + "/no/such");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().text, HasSubstr("set state_dir"));
  std::ofstream(root.path() + "/file") << "x";
  auto file = choose_state_dir(root.path() + "/file", environment({}));
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().text, HasSubstr(root.path() + "/file"));
}

TEST(FileReader, reads_a_file_up_to_its_bound) {
  TemporaryDirectory root;
  std::string path = root.path() + "/file";
  std::ofstream(path) << std::string(limits::kConfigFileBytes, 'x');
  auto text = read_file(path);
  ASSERT_TRUE(text) << text.error().text;
  EXPECT_EQ(text->size(), limits::kConfigFileBytes);
  std::ofstream(path, std::ios::app) << 'x';
  ASSERT_FALSE(read_file(path));
  EXPECT_THAT(read_file(path).error().text, HasSubstr("larger than"));
}

TEST(FileReader, a_named_pipe_does_not_hang_the_start) {
  TemporaryDirectory root;
  std::string path = root.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ASSERT_FALSE(read_file(path));
  EXPECT_EQ(read_file(path).error().text, "not a regular file");
}

TEST(PrivateFile, is_readable_by_its_owner_only_and_replaced_whole) {
  TemporaryDirectory root;
  std::string path = root.path() + "/secret";
  ASSERT_TRUE(write_private_file(path, "one").ok);
  ASSERT_TRUE(write_private_file(path, "two").ok);
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(mode_of(path), 0600u);
  WriteResult failed = write_private_file(root.path() + "/no/such", "x");
  EXPECT_FALSE(failed.ok);
  EXPECT_EQ(failed.fault, "No such file or directory");
}

}  // namespace
}  // namespace isthmus::ops
