#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

TEST(Target, is_completed_to_a_uri) {
  EXPECT_EQ(complete_target("echo", "home.example"), "sip:echo@home.example");
  EXPECT_EQ(complete_target("+4930123", "home.example"), "sip:+4930123@home.example");
  EXPECT_EQ(complete_target("ben@example.org:5070", "home.example"), "sip:ben@example.org:5070");
  EXPECT_EQ(complete_target("sips:ben@example.org", "home.example"), "sips:ben@example.org");
  EXPECT_EQ(complete_target("tel:+4930123", "home.example"), "tel:+4930123");
  EXPECT_EQ(complete_target(" echo ", "home.example"), "sip:echo@home.example");
  EXPECT_EQ(complete_target("*43#", "home.example"), "sip:*43%23@home.example");
}

TEST(Target, that_cannot_be_one_is_refused) {
  for (const char* text : {"", " ", "two words", "a<b", "sip:", "a\r\nX: y", "\"x\"", "tel:"}) {
    EXPECT_FALSE(complete_target(text, "home.example")) << text;
  }
  EXPECT_FALSE(complete_target("echo", "")) << "a bare user needs a domain";
}

TEST(AddressOfRecord, escapes_what_a_user_part_may_not_hold) {
  EXPECT_EQ(make_aor("alice", "home.example"), "sip:alice@home.example");
  EXPECT_EQ(make_aor("al ice@x", "home.example"), "sip:al%20ice%40x@home.example");
}

TEST(UserAgent, contact_is_a_random_name_that_no_one_resolves) {
  SeededRandom one(1), two(2);
  const UserAgent a(test_options("ann"), one), b(test_options("ann"), two);
  EXPECT_TRUE(a.contact_uri().starts_with("sip:ann@")) << a.contact_uri();
  EXPECT_TRUE(a.contact_uri().ends_with(".invalid;transport=tls")) << a.contact_uri();
  EXPECT_NE(a.contact_uri(), b.contact_uri());
  EXPECT_EQ(a.domain(), "home.example");
}

}  // namespace
}  // namespace isthmus::ua
