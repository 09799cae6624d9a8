#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace isthmus {
namespace {

// The four examples of RFC 9000 Appendix A.1.
TEST(Bytes, varints_read_as_rfc_9000_says) {
  const std::pair<const char*, std::uint64_t> kExamples[] = {
      {"c2197c5eff14e88c", 151288809941952652u},
      {"9d7f3e7d", 494878333},
      {"7bbd", 15293},
      {"25", 37},
      {"4025", 37}};
  for (auto& [hex, value] : kExamples) {
    Bytes raw = *from_hex(hex);
    Reader reader(raw);
    EXPECT_EQ(reader.varint(), value) << hex;
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.remaining(), 0u);
  }
}

TEST(Bytes, varints_round_trip_at_their_borders) {
  for (std::uint64_t value :
       {0ull, 63ull, 64ull, 16383ull, 16384ull, 1073741823ull, 1073741824ull, (1ull << 62) - 1}) {
    Bytes raw;
    ASSERT_TRUE(Writer(raw).varint(value));
    EXPECT_EQ(raw.size(), varint_size(value));
    Reader reader(raw);
    EXPECT_EQ(reader.varint(), value);
    EXPECT_TRUE(reader.ok());
  }
  Bytes raw;
  EXPECT_FALSE(Writer(raw).varint(1ull << 62));
  EXPECT_TRUE(raw.empty());
}

TEST(Bytes, reading_past_the_end_fails_once_and_for_good) {
  Bytes raw{1, 2, 3};
  Reader reader(raw);
  EXPECT_EQ(reader.u16(), 0x0102);
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_TRUE(reader.take(1).empty());
}

TEST(Bytes, hexadecimal_round_trips_and_refuses_junk) {
  EXPECT_EQ(to_hex(*from_hex("00 ff\n7A")), "00ff7a");
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
  EXPECT_FALSE(from_hex("0 0"));
  for (int c = 0; c < 256; ++c) {
    const std::size_t place = std::string_view("0123456789abcdefABCDEF").find(static_cast<char>(c));
    const int value = place == std::string_view::npos ? -1
                      : place < 16                    ? static_cast<int>(place)
                                                      : static_cast<int>(place) - 6;
    EXPECT_EQ(hex_digit(static_cast<char>(c)), value) << c;
  }
}

struct CountingRandom : Random {
  void fill(MutableBytes out) override {
    ++questions;
    for (std::uint8_t& byte : out) byte = next++;
  }
  int questions = 0;
  std::uint8_t next = 0;
};

TEST(Random, batches_give_every_byte_once_and_ask_seldom) {
  CountingRandom source;
  BatchedRandom random(source);
  for (int round = 0; round < 100; ++round) {
    Bytes out(5);
    random.fill(out);
    // 102 times five of the 512 fit in a batch.
    for (std::size_t i = 0; i < out.size(); ++i)
      EXPECT_EQ(out[i], static_cast<std::uint8_t>(5 * round + static_cast<int>(i)));
  }
  EXPECT_EQ(source.questions, 1);
  Bytes large(1000);
  random.fill(large);
  EXPECT_EQ(source.questions, 2);
}

TEST(Random, the_same_seed_gives_the_same_tokens) {
  SeededRandom a(7), b(7), c(8);
  std::string token = a.token(20);
  EXPECT_EQ(token, b.token(20));
  EXPECT_NE(token, c.token(20));
  EXPECT_EQ(token.size(), 20u);
}

}  // namespace
}  // namespace isthmus
