#include "audio/time_stretch.hpp"

#include <algorithm>
#include <cmath>

namespace isthmus::audio {
namespace {

constexpr double kSimilarEnough = 0.75;  // normalised correlation: below it the joint is heard
constexpr double kQuietRms = 60;         // of 32768, about -55 dBFS: any joint goes unheard

double rms(SampleView samples) {
  double energy = 0;
  for (const std::int16_t sample : samples) energy += static_cast<double>(sample) * sample;
  return std::sqrt(energy / static_cast<double>(std::max<std::size_t>(samples.size(), 1)));
}

/// Normalised correlation of the frame with itself `lag` samples later, on every `stride`th sample.
double similarity(SampleView frame, std::size_t lag, std::size_t stride) {
  double cross = 0;
  double early = 1;
  double late = 1;
  for (std::size_t i = 0; i + lag < frame.size(); i += stride) {
    const double a = frame[i];
    const double b = frame[i + lag];
    cross += a * b;
    early += a * a;
    late += b * b;
  }
  return cross / std::sqrt(early * late);
}

/// The lag to cut at; 0 when there is none.
std::size_t joint_lag(SampleView frame, unsigned sample_rate) {
  const std::size_t shortest = sample_rate / 400;
  const std::size_t longest = std::min<std::size_t>(sample_rate * 3 / 200, frame.size() * 3 / 4);
  if (frame.size() < sample_rate * 3 / 200 || frame.size() > sample_rate * 3 / 25) return 0;
  if (rms(frame) < kQuietRms) return frame.size() / 2;

  // Coarse at about 8 kHz first: a full search at 48 kHz costs thirty-six times as much.
  const std::size_t stride = std::max<std::size_t>(sample_rate / 8000, 1);
  std::size_t best_lag = shortest;
  double best = -1;
  const auto consider = [&](std::size_t lag, std::size_t step) {
    const double score = similarity(frame, lag, step);
    if (score > best) {
      best = score;
      best_lag = lag;
    }
  };
  for (std::size_t lag = shortest; lag <= longest; lag += stride) consider(lag, stride);
  if (stride > 1) {
    const std::size_t around = best_lag;
    best = -1;
    for (std::size_t lag = std::max(around - stride + 1, shortest);
         lag < std::min(around + stride, longest + 1); ++lag) {
      consider(lag, 1);
    }
  }
  return best >= kSimilarEnough ? best_lag : 0;
}

std::int16_t blend(std::int16_t from, std::int16_t to, std::size_t at, std::size_t of) {
  const double weight = static_cast<double>(at + 1) / static_cast<double>(of + 1);
  return static_cast<std::int16_t>(std::lrint(from * (1 - weight) + to * weight));
}

}  // namespace

std::size_t shorten(Samples& frame, unsigned sample_rate) {
  const std::size_t lag = joint_lag(frame, sample_rate);
  if (lag == 0) return 0;
  const std::size_t kept = frame.size() - lag;
  for (std::size_t i = 0; i < kept; ++i) frame[i] = blend(frame[i], frame[i + lag], i, kept);
  frame.resize(kept);
  return lag;
}

std::size_t lengthen(Samples& frame, unsigned sample_rate) {
  const std::size_t lag = joint_lag(frame, sample_rate);
  if (lag == 0) return 0;
  const std::size_t size = frame.size();
  const Samples original = frame;
  frame.resize(size + lag);
  for (std::size_t i = lag; i < size; ++i) {
    frame[i] = blend(original[i], original[i - lag], i - lag, size - lag);
  }
  std::copy(original.end() - static_cast<std::ptrdiff_t>(lag), original.end(),
            frame.begin() + static_cast<std::ptrdiff_t>(size));
  return lag;
}

}  // namespace isthmus::audio
