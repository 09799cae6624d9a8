#include "base/base64.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace isthmus {
namespace {

TEST(Base64, test_vectors_of_rfc_4648_without_padding) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (auto [plain, text] : vectors) {
    EXPECT_EQ(base64_encode(as_bytes(plain), Base64::url), text);
    auto decoded = base64_decode(text, Base64::standard);
    ASSERT_TRUE(decoded) << text;
    EXPECT_EQ(as_text(*decoded), plain);
  }
}

TEST(Base64, padding_fills_four_characters) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
  for (auto [plain, text] : vectors) EXPECT_EQ(base64_padded(as_bytes(plain)), text);
}

TEST(Base64, alphabets_do_not_mix) {
  Bytes bytes{0xfb, 0xff, 0xbf};
  EXPECT_EQ(base64_encode(bytes, Base64::url), "-_-_");
  EXPECT_EQ(base64_encode(bytes, Base64::standard), "+/+/");
  EXPECT_FALSE(base64_decode("-_-_", Base64::standard));
  EXPECT_FALSE(base64_decode("+/+/", Base64::url));
}

TEST(Base64, every_byte_string_has_exactly_one_text) {
  EXPECT_FALSE(base64_decode("Zh", Base64::url))
      << "unused bits set: would decode to the same as Zg";
  EXPECT_FALSE(base64_decode("Zm9", Base64::url)) << "unused bits set";
  EXPECT_FALSE(base64_decode("Zg==", Base64::url)) << "padding";
  EXPECT_FALSE(base64_decode("Zm 8", Base64::url)) << "white space";
  EXPECT_FALSE(base64_decode("Z", Base64::url)) << "a lone digit holds no byte";
}

TEST(Base64, any_bytes_come_back) {
  constexpr std::uint64_t kSeed = 41;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  for (std::size_t size = 0; size < 100; ++size) {
    Bytes bytes(size);
    random.fill(bytes);
    for (Base64 alphabet : {Base64::standard, Base64::url}) {
      auto decoded = base64_decode(base64_encode(bytes, alphabet), alphabet);
      ASSERT_TRUE(decoded);
      EXPECT_EQ(*decoded, bytes);
    }
  }
}

}  // namespace
}  // namespace isthmus
