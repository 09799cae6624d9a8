#include "audio/loss_concealer.hpp"

#include <algorithm>
#include <cmath>

namespace isthmus::audio {
namespace {

constexpr double kShortestPeriodMs = 5;  // 200 Hz; a higher voice matches at twice its period
constexpr double kLongestPeriodMs = 15;  // 66 Hz
constexpr double kMatchWindowMs = 15;
constexpr double kFullGainMs = 10;  // a lost frame's first half is heard as if nothing had happened
constexpr double kSilentFromMs = 60;  // repeating longer than that is heard as a tone
constexpr double kStepFadeMs = 2;
constexpr std::size_t kMostPeriods = 3;

std::int16_t to_sample(float value) {
  return static_cast<std::int16_t>(std::lrint(std::clamp(value, -32768.0F, 32767.0F)));
}

}  // namespace

LossConcealer::LossConcealer(unsigned sample_rate)
    : sample_rate_(sample_rate),
      history_(ms(kLongestPeriodMs) * (kMostPeriods + 1), 0),
      source_(history_.size(), 0) {
  cycle_.reserve(ms(kLongestPeriodMs) * kMostPeriods);
}

std::size_t LossConcealer::ms(double milliseconds) const {
  return static_cast<std::size_t>(milliseconds * sample_rate_ / 1000);
}

void LossConcealer::remember(std::span<const std::int16_t> samples) {
  if (samples.size() >= history_.size()) {
    std::copy(samples.end() - static_cast<std::ptrdiff_t>(history_.size()), samples.end(),
              history_.begin());
    return;
  }
  const auto kept = static_cast<std::ptrdiff_t>(samples.size());
  std::copy(history_.begin() + kept, history_.end(), history_.begin());
  std::copy(samples.begin(), samples.end(), history_.end() - kept);
}

/// The lag at which the newest samples look most like the ones before them (normalised
/// correlation). The shortest of nearly equal lags wins: a multiple of the period repeats older
/// sound for no gain.
std::size_t LossConcealer::find_period() const {
  const std::size_t window = ms(kMatchWindowMs);
  const std::int16_t* end = source_.data() + source_.size();
  const std::int16_t* recent = end - window;
  std::size_t best_lag = ms(kShortestPeriodMs);
  double best = 0;
  for (std::size_t lag = best_lag; lag <= ms(kLongestPeriodMs); ++lag) {
    double cross = 0;
    double energy = 1;
    for (std::size_t i = 0; i < window; ++i) {
      const double earlier =
          recent[static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(lag)];
      cross += recent[i] * earlier;
      energy += earlier * earlier;
    }
    const double score = cross / std::sqrt(energy);
    if (score > best * 1.02) {
      best = score;
      best_lag = lag;
    }
  }
  return best_lag;
}

void LossConcealer::begin_gap() {
  source_ = history_;
  period_ = find_period();
  position_ = 0;
  refill_cycle();
  step_ = static_cast<float>(source_.back()) -
          static_cast<float>(source_[source_.size() - 1 - period_]);
}

/// Takes one, then two, then three periods: repeating a single one for long sounds like a buzzer.
/// The last quarter period is blended with what came before the piece, so that its end runs into
/// its start.
void LossConcealer::refill_cycle() {
  const std::size_t periods = lost_ < ms(20) ? 1 : lost_ < ms(40) ? 2 : kMostPeriods;
  const std::size_t length = periods * period_;
  const std::size_t blend = period_ / 4;
  const std::size_t start = source_.size() - length;
  cycle_.assign(source_.begin() + static_cast<std::ptrdiff_t>(start), source_.end());
  for (std::size_t i = 0; i < blend; ++i) {
    const float weight = static_cast<float>(i + 1) / static_cast<float>(blend);
    float& value = cycle_[length - blend + i];
    value = value * (1 - weight) + static_cast<float>(source_[start - blend + i]) * weight;
  }
}

float LossConcealer::next_sample() {
  if (position_ == cycle_.size()) {
    refill_cycle();
    position_ = 0;
  }
  float value = cycle_[position_++];
  const std::size_t fade = ms(kStepFadeMs);
  if (lost_ < fade) value += step_ * (1 - static_cast<float>(lost_) / static_cast<float>(fade));
  const auto heard = static_cast<float>(lost_);
  const auto full = static_cast<float>(ms(kFullGainMs));
  const auto silent = static_cast<float>(ms(kSilentFromMs));
  ++lost_;
  return value * std::clamp((silent - heard) / (silent - full), 0.0F, 1.0F);
}

void LossConcealer::conceal(std::span<std::int16_t> out) {
  if (out.empty()) return;
  if (lost_ == 0) begin_gap();
  for (std::int16_t& sample : out) sample = to_sample(next_sample());
  remember(out);
}

void LossConcealer::on_good_frame(std::span<std::int16_t> frame) {
  if (lost_ != 0) {
    // The longer the gap, the further voice and repetition have parted: blend longer, up to 10 ms.
    const double wanted_ms =
        std::min(2.5 + 0.2 * 1000.0 * static_cast<double>(lost_) / sample_rate_, 10.0);
    const std::size_t blend = std::min(frame.size(), ms(wanted_ms));
    for (std::size_t i = 0; i < blend; ++i) {
      const float weight = static_cast<float>(i + 1) / static_cast<float>(blend + 1);
      frame[i] = to_sample(next_sample() * (1 - weight) + static_cast<float>(frame[i]) * weight);
    }
    lost_ = 0;
  }
  remember(frame);
}

}  // namespace isthmus::audio
