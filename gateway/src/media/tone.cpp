#include "media/tone.hpp"

#include <bit>
#include <cmath>
#include <numbers>

namespace isthmus::media {
namespace {

constexpr double kHertz = 425, kSampleRate = 8000;
// G.711 puts a full-scale sine at +3.14 dBm0 (A-law), so -10 dBm0 is 13.14 dB below 32767.
constexpr double kAmplitude = 32767 * 0.2203;

/// ITU-T G.711 §3 by segments: of a magnitude with its leading one at bit `top` or above.
std::uint8_t segment_code(int magnitude, int lowest_bit) {
  const int top = static_cast<int>(std::bit_width(static_cast<unsigned>(magnitude))) - 1;
  const int segment = top - lowest_bit;
  return static_cast<std::uint8_t>((segment << 4) | ((magnitude >> (top - 4)) & 0x0f));
}

std::uint8_t to_mu_law(int sample) {
  constexpr int kBias = 0x84;  // 33 on the 14-bit scale
  const int magnitude = std::abs(sample) + kBias;
  const int code = segment_code(magnitude, 7) | (sample < 0 ? 0x80 : 0);
  return static_cast<std::uint8_t>(~code);
}

std::uint8_t to_a_law(int sample) {
  // One's complement for negatives keeps the two zeros apart (G.711 table 1a).
  const int magnitude = sample < 0 ? -sample - 1 : sample;
  const int code = magnitude < 256 ? magnitude >> 4 : segment_code(magnitude, 7);
  return static_cast<std::uint8_t>((code | (sample < 0 ? 0 : 0x80)) ^ 0x55);
}

}  // namespace

Tone::Tone() {
  for (std::size_t i = 0; i < mu_law_.size(); ++i) {
    const double phase = 2 * std::numbers::pi * kHertz * static_cast<double>(i) / kSampleRate;
    const int sample = static_cast<int>(std::lround(kAmplitude * std::sin(phase)));
    mu_law_[i] = to_mu_law(sample);
    a_law_[i] = to_a_law(sample);
  }
}

std::optional<ByteView> Tone::payload(std::uint8_t payload_type, std::uint64_t packet) const {
  if (payload_type != 0 && payload_type != 8) return std::nullopt;
  const auto& law = payload_type == 0 ? mu_law_ : a_law_;
  return ByteView(law).subspan((packet & 1) * kPacketSamples, kPacketSamples);
}

}  // namespace isthmus::media
