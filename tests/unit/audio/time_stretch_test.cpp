#include "audio/time_stretch.hpp"

#include <gtest/gtest.h>

#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

using testing::voice;

TEST(TimeStretch, takes_out_and_puts_in_whole_pitch_periods) {
  for (const unsigned rate : {8'000U, 16'000U, 48'000U}) {
    const Samples tone = testing::tone(125, 8000, rate, rate / 50);  // 8 ms period
    Samples shorter = tone;
    Samples longer = tone;
    const std::size_t period = rate / 125;
    EXPECT_NEAR(static_cast<double>(shorten(shorter, rate)), static_cast<double>(period), 2)
        << rate;
    EXPECT_NEAR(static_cast<double>(lengthen(longer, rate)), static_cast<double>(period), 2)
        << rate;
    EXPECT_NEAR(static_cast<double>(shorter.size()), static_cast<double>(tone.size() - period), 2);
    EXPECT_NEAR(static_cast<double>(longer.size()), static_cast<double>(tone.size() + period), 2);
    // The longer frame is still the same tone.
    EXPECT_GT(testing::snr(testing::tone(125, 8000, rate, longer.size()), longer), 15);
  }
}

TEST(TimeStretch, ends_of_the_frame_stay_so_that_frames_join) {
  const Samples original = voice(120, 16'000, 1, 8, false);
  for (std::size_t at = 0; at + 320 <= original.size(); at += 320) {
    const Samples frame(original.begin() + static_cast<std::ptrdiff_t>(at),
                        original.begin() + static_cast<std::ptrdiff_t>(at + 320));
    for (auto* change : {&shorten, &lengthen}) {
      Samples changed = frame;
      if (change(changed, 16'000) == 0) continue;
      EXPECT_NEAR(changed.front(), frame.front(), 400);
      EXPECT_NEAR(changed.back(), frame.back(), 400);
    }
  }
}

TEST(TimeStretch, most_frames_of_a_voice_can_be_changed) {
  const Samples original = voice(120, 8'000, 4, 8);
  int changed = 0;
  int frames = 0;
  for (std::size_t at = 0; at + 160 <= original.size(); at += 160, ++frames) {
    Samples frame(original.begin() + static_cast<std::ptrdiff_t>(at),
                  original.begin() + static_cast<std::ptrdiff_t>(at + 160));
    if (shorten(frame, 8'000) != 0) ++changed;
  }
  EXPECT_GT(changed, frames / 2);
}

TEST(TimeStretch, noise_is_left_alone_and_silence_is_halved) {
  SeededRandom random(5);
  RecordProperty("seed", 5);
  Samples noise(160);
  for (std::int16_t& sample : noise) sample = static_cast<std::int16_t>(random.below(8000));
  for (std::int16_t& sample : noise) sample = static_cast<std::int16_t>(sample - 4000);
  const Samples before = noise;
  EXPECT_EQ(shorten(noise, 8'000), 0u);
  EXPECT_EQ(lengthen(noise, 8'000), 0u);
  EXPECT_EQ(noise, before);
  Samples silence(160, 3);
  EXPECT_EQ(shorten(silence, 8'000), 80u);
  EXPECT_EQ(silence.size(), 80u);
}

TEST(TimeStretch, frame_too_short_to_hold_a_period_is_left_alone) {
  Samples shortest(119, 0);
  EXPECT_EQ(shorten(shortest, 8'000), 0u);
  EXPECT_EQ(shortest.size(), 119u);
}

}  // namespace
}  // namespace isthmus::audio
