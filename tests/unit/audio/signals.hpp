#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "audio/codec.hpp"
#include "base/random.hpp"

/// Test signals and measures for audio.
namespace isthmus::audio::testing {

inline double rms(SampleView samples) {
  double energy = 0;
  for (const std::int16_t sample : samples) energy += static_cast<double>(sample) * sample;
  return std::sqrt(energy / static_cast<double>(std::max<std::size_t>(samples.size(), 1)));
}

inline Samples tone(double hz, double amplitude, unsigned rate, std::size_t count) {
  Samples out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double phase = 2 * std::numbers::pi * hz * static_cast<double>(i) / rate;
    out[i] = static_cast<std::int16_t>(std::lrint(amplitude * std::sin(phase)));
  }
  return out;
}

/// A voice-like signal: glottal pulses whose pitch glides around `pitch_hz`, through three
/// resonances, with a little breath noise; when `syllables`, loud and soft four times a second.
inline Samples voice(double pitch_hz, unsigned rate, double seconds, std::uint64_t seed,
                     bool syllables = true) {
  SeededRandom random(seed);
  const auto count = static_cast<std::size_t>(seconds * rate);
  struct Resonance {
    double hz, bandwidth, y1 = 0, y2 = 0;
  };
  std::array<Resonance, 3> formants = {{{600, 90}, {1150, 120}, {2500, 200}}};
  std::vector<double> raw(count);
  double phase = 0;
  double carry = 0;
  double loudest = 1e-9;
  for (std::size_t i = 0; i < count; ++i) {
    const double t = static_cast<double>(i) / rate;
    phase += pitch_hz * (1 + 0.06 * std::sin(2 * std::numbers::pi * 0.7 * t)) / rate;
    double excitation = carry;
    carry = 0;
    if (phase >= 1) {
      // The pulse falls between two samples, as a voice's period is no whole number of them.
      phase -= 1;
      const double since = std::min(phase * rate / pitch_hz, 1.0);
      excitation += since;
      carry = 1 - since;
    }
    excitation += 0.004 * (static_cast<double>(random.below(2001)) / 1000 - 1);
    double value = 0;
    for (Resonance& each : formants) {
      const double radius = std::exp(-std::numbers::pi * each.bandwidth / rate);
      const double y = excitation +
                       2 * radius * std::cos(2 * std::numbers::pi * each.hz / rate) * each.y1 -
                       radius * radius * each.y2;
      each.y2 = each.y1;
      each.y1 = y;
      value += y * (1 - radius);
    }
    const double envelope =
        syllables ? 0.15 + 0.85 * std::pow(std::sin(2 * std::numbers::pi * 2 * t), 2) : 1;
    raw[i] = value * envelope;
    loudest = std::max(loudest, std::abs(raw[i]));
  }
  Samples out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::int16_t>(std::lrint(raw[i] / loudest * 16000));
  }
  return out;
}

/// Normalised correlation, -1..1, of a and b with b taken `lag` samples later.
inline double correlation(SampleView a, SampleView b, std::size_t lag) {
  double cross = 0;
  double aa = 1;
  double bb = 1;
  for (std::size_t i = 0; i < a.size() && i + lag < b.size(); ++i) {
    cross += static_cast<double>(a[i]) * b[i + lag];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i + lag]) * b[i + lag];
  }
  return cross / std::sqrt(aa * bb);
}

inline double best_correlation(SampleView a, SampleView b, std::size_t longest_lag) {
  double best = -1;
  for (std::size_t lag = 0; lag <= longest_lag; ++lag)
    best = std::max(best, correlation(a, b, lag));
  return best;
}

/// 10 log10(signal / (signal - got)), dB.
inline double snr(SampleView signal, SampleView got) {
  double power = 1e-9;
  double error = 1e-9;
  for (std::size_t i = 0; i < std::min(signal.size(), got.size()); ++i) {
    const double difference = static_cast<double>(signal[i]) - got[i];
    power += static_cast<double>(signal[i]) * signal[i];
    error += difference * difference;
  }
  return 10 * std::log10(power / error);
}

}  // namespace isthmus::audio::testing
