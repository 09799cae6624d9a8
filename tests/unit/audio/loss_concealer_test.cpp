#include "audio/loss_concealer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "unit/audio/signals.hpp"

namespace isthmus::audio {
namespace {

using testing::rms;
using testing::voice;

constexpr std::size_t kFrame = 160;

/// Loses every `every`th frame; silence in its place when there is no concealer.
Samples with_losses(const Samples& original, std::size_t every, std::size_t in_row,
                    LossConcealer* concealer) {
  Samples out = original;
  for (std::size_t frame = 0; (frame + 1) * kFrame <= out.size(); ++frame) {
    const auto piece = std::span(out).subspan(frame * kFrame, kFrame);
    const bool lost = frame % every >= every - in_row;
    if (!lost && concealer != nullptr) concealer->on_good_frame(piece);
    if (lost && concealer != nullptr) concealer->conceal(piece);
    if (lost && concealer == nullptr) std::fill(piece.begin(), piece.end(), std::int16_t{0});
  }
  return out;
}

class VoicedLoss : public ::testing::TestWithParam<double> {};

TEST_P(VoicedLoss, one_lost_frame_in_ten_sounds_much_like_the_original) {
  const Samples original = voice(GetParam(), 8000, 6, 11, false);
  LossConcealer concealer(8000);
  const double concealed = testing::snr(original, with_losses(original, 10, 1, &concealer));
  const double silent = testing::snr(original, with_losses(original, 10, 1, nullptr));
  EXPECT_NEAR(silent, 10, 1.5);  // a tenth of the energy is missing
  EXPECT_GT(concealed, silent + 3.5) << "pitch " << GetParam() << " Hz";
}

INSTANTIATE_TEST_SUITE_P(Pitches, VoicedLoss, ::testing::Values(85.0, 120.0, 180.0, 240.0));

TEST(LossConcealer, steady_tone_goes_on_in_phase) {
  const Samples original = testing::tone(200, 10'000, 8000, 8000);
  LossConcealer concealer(8000);
  const Samples out = with_losses(original, 5, 1, &concealer);
  // The second half of each gap has begun to fade, by a tenth on average.
  EXPECT_GT(testing::snr(original, out), 25);
}

TEST(LossConcealer, fades_to_silence_in_60_ms) {
  Samples original = voice(130, 8000, 1, 5, false);
  LossConcealer concealer(8000);
  for (std::size_t at = 0; at + kFrame <= original.size(); at += kFrame) {
    concealer.on_good_frame(std::span(original).subspan(at, kFrame));
  }
  Samples gap(800);
  concealer.conceal(gap);
  const SampleView view(gap);
  const double before = rms(SampleView(original).last(400));
  EXPECT_GT(rms(view.first(80)), before * 0.6);
  EXPECT_LT(rms(view.subspan(400, 80)), before * 0.3);
  for (const std::int16_t sample : view.subspan(480)) ASSERT_EQ(sample, 0);
}

TEST(LossConcealer, joints_do_not_click) {
  const Samples original = voice(110, 8000, 4, 9, false);
  LossConcealer concealer(8000);
  const Samples out = with_losses(original, 10, 2, &concealer);
  const auto steepest = [](const Samples& samples) {
    int steepest_step = 0;
    for (std::size_t i = 1; i < samples.size(); ++i) {
      steepest_step = std::max(steepest_step, std::abs(samples[i] - samples[i - 1]));
    }
    return steepest_step;
  };
  EXPECT_LT(steepest(out), steepest(original) * 5 / 4);
}

TEST(LossConcealer, silence_stays_silent) {
  LossConcealer concealer(8000);
  Samples gap(480, 77);
  concealer.conceal(gap);
  EXPECT_EQ(rms(gap), 0);
}

TEST(LossConcealer, whole_pieces_and_single_samples_give_the_same_gap) {
  Samples original = voice(150, 8000, 1, 2);
  LossConcealer whole(8000);
  LossConcealer pieces(8000);
  Samples copy = original;
  whole.on_good_frame(original);
  pieces.on_good_frame(copy);
  Samples a(400);
  Samples b(400);
  whole.conceal(a);
  for (std::int16_t& sample : b) pieces.conceal(std::span(&sample, 1));
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace isthmus::audio
