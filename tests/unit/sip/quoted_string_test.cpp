#include "sip/quoted_string.hpp"

#include <gtest/gtest.h>

namespace isthmus::sip {
namespace {

TEST(QuotedString, quotes_and_backslashes_are_escaped_and_come_back) {
  EXPECT_EQ(quoted_string(R"(a "b\c" d)"), R"("a \"b\\c\" d")");
  for (const char* text : {"", "a", "a b", R"(")", R"(\)", R"(\")", R"("\)", R"(\\"")", "\t"}) {
    EXPECT_EQ(unquoted(quoted_string(text)), text);
  }
}

TEST(QuotedString, control_characters_are_left_out) {
  EXPECT_EQ(quoted_string("a\r\nb"), "\"ab\"");
}

TEST(QuotedString, a_quoted_pair_is_the_character_behind_its_backslash) {
  EXPECT_EQ(unquoted(R"("o\ff")"), "off");
  EXPECT_EQ(unquoted(R"(" a\"b ")"), " a\"b ");
}

TEST(QuotedString, what_is_not_quoted_on_both_sides_is_returned_as_it_is) {
  EXPECT_EQ(unquoted(" token\t"), "token");
  EXPECT_EQ(unquoted(R"(o\ff)"), R"(o\ff)");
  EXPECT_EQ(unquoted(R"("open)"), R"("open)");
  EXPECT_EQ(unquoted("\""), "\"");
  EXPECT_EQ(unquoted(R"("open\")"), R"(open\)") << "never read past the end";
}

}  // namespace
}  // namespace isthmus::sip
