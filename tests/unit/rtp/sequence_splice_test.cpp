#include "rtp/sequence_splice.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace isthmus::rtp {
namespace {

constexpr std::uint32_t kSource = 0xabcd;

struct SequenceSpliceTest : testing::Test {
  SequenceSplice splice;
  SeededRandom random{3};
  Instant now{std::chrono::hours(1)};

  /// "7", or "-" if it is left out.
  std::string pass(std::uint16_t sequence, std::uint32_t ssrc = kSource) {
    now += milliseconds(20);
    auto out = splice.pass(sequence, std::uint32_t{sequence} * 160, ssrc, now);
    return out ? std::to_string(*out) : "-";
  }
};

TEST_F(SequenceSpliceTest, untouched_stream_keeps_its_numbers_losses_and_late_packets) {
  EXPECT_EQ(pass(65534), "65534");
  EXPECT_EQ(pass(65535), "65535");
  EXPECT_EQ(pass(2), "2");
  EXPECT_EQ(pass(1), "1");
  EXPECT_EQ(pass(2), "2");
  EXPECT_EQ(pass(65533), "65533");
}

TEST_F(SequenceSpliceTest, what_is_taken_out_leaves_no_gap) {
  EXPECT_EQ(pass(10), "10");
  splice.take_out(11, kSource);
  splice.take_out(12, kSource);
  splice.take_out(12, kSource);  // came twice
  EXPECT_EQ(pass(13), "11");
  EXPECT_EQ(pass(15), "13");  // a loss before us stays one
  EXPECT_EQ(pass(14), "12");
}

TEST_F(SequenceSpliceTest, stream_that_begins_with_what_is_taken_out_begins_after_it) {
  splice.take_out(5, kSource);
  splice.take_out(6, kSource);
  EXPECT_EQ(pass(7), "5");
}

TEST_F(SequenceSpliceTest, inserted_packets_stand_in_and_the_stream_goes_on_behind_them) {
  EXPECT_EQ(pass(100), "100");
  EXPECT_EQ(splice.begin(8000, now + milliseconds(10), random), 100u * 160 + 80);
  for (std::uint16_t i = 0; i < 5; ++i) {
    auto place = splice.insert();
    EXPECT_EQ(place.ssrc, kSource);
    EXPECT_EQ(place.sequence, 101 + i);
    if (i < 3) {
      EXPECT_EQ(pass(static_cast<std::uint16_t>(101 + i)), "-");
    }
  }
  splice.end();
  EXPECT_EQ(pass(104), "106");
  EXPECT_EQ(pass(103), "-") << "its place was taken";
  EXPECT_EQ(pass(99), "99") << "from before";
  EXPECT_EQ(pass(105), "107");
}

TEST_F(SequenceSpliceTest,
       digits_into_silence_make_a_stream_of_their_own_that_the_source_replaces) {
  std::uint32_t begin = splice.begin(8000, now, random);
  auto first = splice.insert(), second = splice.insert();
  EXPECT_EQ(static_cast<std::uint16_t>(first.sequence + 1), second.sequence);
  EXPECT_EQ(pass(7), "-");
  splice.end();
  EXPECT_EQ(splice.begin(8000, now + seconds(1), random) - begin, 8160u);  // one clock
  EXPECT_EQ(splice.insert().ssrc, first.ssrc);
  splice.end();
  EXPECT_EQ(pass(8), "8");
  splice.begin(8000, now, random);
  EXPECT_EQ(splice.insert().ssrc, kSource);
}

TEST_F(SequenceSpliceTest, another_source_begins_anew) {
  EXPECT_EQ(pass(10), "10");
  splice.take_out(11, kSource);
  EXPECT_EQ(pass(12), "11");
  EXPECT_EQ(pass(3000, 77), "3000");
  EXPECT_EQ(pass(3001, 77), "3001");
}

/// Whatever is put in and taken out, no number goes out twice, and the order is that of the source.
TEST_F(SequenceSpliceTest, numbers_that_go_out_in_order_only_grow) {
  SeededRandom dice(20261);
  for (int run = 0; run < 20; ++run) {
    splice = {};
    auto in = static_cast<std::uint16_t>(dice.u32());
    std::optional<std::uint16_t> last;
    auto check = [&](std::uint16_t out) {
      if (last) {
        std::uint16_t step = static_cast<std::uint16_t>(out - *last);
        ASSERT_TRUE(step > 0 && step < 100) << run << ": " << *last << " to " << out;
      }
      last = out;
    };
    for (int i = 0; i < 5000; ++i) {
      in = static_cast<std::uint16_t>(in + 1 + dice.u32() % 8 / 7);
      now += milliseconds(20);
      switch (dice.u32() % 16) {
        case 0:
          if (!splice.inserting()) splice.begin(8000, now, random);
          break;
        case 1:
          if (splice.inserting()) splice.end();
          break;
        case 2:
          splice.take_out(in, kSource);
          continue;
        default:
          break;
      }
      if (splice.inserting() && last) check(splice.insert().sequence);
      if (auto out = splice.pass(in, 0, kSource, now)) check(*out);
    }
  }
}

}  // namespace
}  // namespace isthmus::rtp
