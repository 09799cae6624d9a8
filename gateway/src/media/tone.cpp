#include "media/tone.hpp"

#include <cmath>
#include <numbers>

#include "rtp/g711.hpp"

namespace isthmus::media {
namespace {

constexpr double kHertz = 425, kSampleRate = 8000;
// G.711 puts a full-scale sine at +3.14 dBm0 (A-law), so -10 dBm0 is 13.14 dB below 32767.
constexpr double kAmplitude = 32767 * 0.2203;

}  // namespace

Tone::Tone() {
  for (std::size_t i = 0; i < mu_law_.size(); ++i) {
    const double phase = 2 * std::numbers::pi * kHertz * static_cast<double>(i) / kSampleRate;
    const auto sample = static_cast<std::int16_t>(std::lround(kAmplitude * std::sin(phase)));
    mu_law_[i] = rtp::linear_to_ulaw(sample);
    a_law_[i] = rtp::linear_to_alaw(sample);
  }
}

std::optional<ByteView> Tone::payload(std::uint8_t payload_type, std::uint64_t packet) const {
  if (payload_type != 0 && payload_type != 8) return std::nullopt;
  const auto& law = payload_type == 0 ? mu_law_ : a_law_;
  return ByteView(law).subspan((packet & 1) * kPacketSamples, kPacketSamples);
}

}  // namespace isthmus::media
