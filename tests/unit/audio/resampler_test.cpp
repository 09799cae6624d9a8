#include "audio/resampler.hpp"

#include <gtest/gtest.h>

#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

Samples convert(unsigned from, unsigned to, SampleView in, std::size_t piece) {
  auto resampler = Resampler::create(from, to);
  EXPECT_TRUE(resampler);
  Samples out;
  for (; !in.empty(); in = in.subspan(std::min(piece, in.size()))) {
    resampler->process(in.first(std::min(piece, in.size())), out);
  }
  resampler->flush(out);
  return out;
}

TEST(Resampler, tone_survives_the_way_down_and_up) {
  const Samples original = testing::tone(1000, 10'000, 48'000, 48'000);
  const Samples narrow = convert(48'000, 8'000, original, 960);
  const Samples wide = convert(8'000, 48'000, narrow, 160);
  ASSERT_GT(wide.size(), 47'000u);
  EXPECT_GT(testing::snr(SampleView(original).subspan(4800, 36'000),
                         SampleView(wide).subspan(4800, 36'000)),
            30);
}

TEST(Resampler, length_follows_the_rates) {
  const Samples second(44'100, 100);
  for (const unsigned to : {8'000U, 16'000U, 48'000U}) {
    EXPECT_NEAR(static_cast<double>(convert(44'100, to, second, 441).size()), to, to / 100) << to;
  }
}

TEST(Resampler, pieces_make_no_difference) {
  const Samples original = testing::voice(140, 16'000, 1, 4);
  EXPECT_EQ(convert(16'000, 8'000, original, 16'000), convert(16'000, 8'000, original, 37));
}

TEST(Resampler, what_is_above_half_the_rate_does_not_fold_back) {
  const Samples high = testing::tone(7000, 10'000, 48'000, 48'000);
  const Samples narrow = convert(48'000, 8'000, high, 480);
  EXPECT_LT(testing::rms(SampleView(narrow).subspan(800, 6400)), 100);
}

TEST(Resampler, equal_rates_copy) {
  const Samples original = testing::tone(440, 5000, 8000, 1000);
  EXPECT_EQ(convert(8000, 8000, original, 160), original);
}

TEST(Resampler, impossible_rate_is_named) {
  const auto none = Resampler::create(8000, 0);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().fault, AudioFault::bad_argument);
  EXPECT_NE(none.error().message.find("rate 0 Hz"), std::string::npos);
}

}  // namespace
}  // namespace isthmus::audio
