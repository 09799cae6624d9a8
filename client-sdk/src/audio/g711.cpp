#include "audio/g711.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/limits.hpp"

namespace isthmus::audio {
namespace {

// Both laws split the magnitude into eight segments, each twice as coarse as the one below, with
// sixteen steps each. Adding 33 (14 bits; 132 in 16) makes the mu-law segments start at powers of
// two.
constexpr int kUlawBias = 132;
constexpr int kUlawClip = 32767 - kUlawBias;

constexpr std::int16_t decode_ulaw(unsigned code) {
  const unsigned plain = ~code & 0xffU;  // sent inverted, so that silence is not all zeros
  const int segment = static_cast<int>(plain >> 4) & 7;
  const int step = static_cast<int>(plain & 15U);
  const int magnitude = (((step << 3) + kUlawBias) << segment) - kUlawBias;
  return static_cast<std::int16_t>((plain & 0x80U) ? -magnitude : magnitude);
}

constexpr std::int16_t decode_alaw(unsigned code) {
  const unsigned plain = code ^ 0x55U;  // even bits inverted on the line
  const int segment = static_cast<int>(plain >> 4) & 7;
  const int step = static_cast<int>(plain & 15U);
  const int in_segment = (step << 4) + 8;
  const int magnitude = segment == 0 ? in_segment : (in_segment + 256) << (segment - 1);
  return static_cast<std::int16_t>((plain & 0x80U) ? magnitude : -magnitude);
}

template <typename Decode>
constexpr std::array<std::int16_t, 256> table(Decode decode) {
  std::array<std::int16_t, 256> values{};
  for (unsigned code = 0; code < 256; ++code) values[code] = decode(code);
  return values;
}
constexpr auto kUlawTable = table(decode_ulaw);
constexpr auto kAlawTable = table(decode_alaw);

constexpr std::size_t kSamplesPerMs = 8;

}  // namespace

std::uint8_t linear_to_ulaw(std::int16_t sample) {
  const int value = sample;
  const unsigned sign = value < 0 ? 0x80U : 0;
  const auto magnitude =
      static_cast<unsigned>(std::min(value < 0 ? -value : value, kUlawClip) + kUlawBias);
  const auto segment = static_cast<unsigned>(std::bit_width(magnitude)) - 8;
  const unsigned step = (magnitude >> (segment + 3)) & 15U;
  return static_cast<std::uint8_t>(~(sign | (segment << 4) | step));
}

std::uint8_t linear_to_alaw(std::int16_t sample) {
  const int value = sample;
  const unsigned sign = value < 0 ? 0 : 0x80U;
  const auto magnitude = static_cast<unsigned>(std::min(value < 0 ? -value : value, 32767));
  unsigned segment = 0;
  unsigned step = magnitude >> 4;
  if (magnitude >= 256) {
    segment = static_cast<unsigned>(std::bit_width(magnitude)) - 8;
    step = (magnitude >> (segment + 3)) & 15U;
  }
  return static_cast<std::uint8_t>((sign | (segment << 4) | step) ^ 0x55U);
}

std::int16_t ulaw_to_linear(std::uint8_t code) {
  return kUlawTable[code];
}
std::int16_t alaw_to_linear(std::uint8_t code) {
  return kAlawTable[code];
}

const CodecInfo& g711_info(G711Law law) {
  static const CodecInfo mu = {.name = "PCMU", .rtp_clock_rate = 8000, .static_payload_type = 0};
  static const CodecInfo a = {.name = "PCMA", .rtp_clock_rate = 8000, .static_payload_type = 8};
  return law == G711Law::mu ? mu : a;
}

G711Codec::G711Codec(G711Law law) : law_(law), concealer_(8000) {}

unsigned G711Codec::usable_ptime(unsigned ptime_ms) const {
  return std::clamp(ptime_ms, 10U, limits::kAudioPacketMs);
}

bool G711Codec::encode(SampleView frame, Bytes& out) {
  out.clear();
  if (frame.empty() || frame.size() > limits::kAudioPacketMs * kSamplesPerMs) return false;
  out.resize(frame.size());
  std::transform(frame.begin(), frame.end(), out.begin(),
                 law_ == G711Law::mu ? linear_to_ulaw : linear_to_alaw);
  return true;
}

std::optional<std::size_t> G711Codec::packet_samples(ByteView payload) const {
  if (payload.empty() || payload.size() > limits::kAudioPacketMs * kSamplesPerMs) {
    return std::nullopt;
  }
  return payload.size();
}

bool G711Codec::decode(ByteView payload, Samples& out) {
  if (!packet_samples(payload)) return false;
  const auto& values = law_ == G711Law::mu ? kUlawTable : kAlawTable;
  const std::size_t start = out.size();
  for (const std::uint8_t code : payload) out.push_back(values[code]);
  concealer_.on_good_frame(std::span(out).subspan(start));
  return true;
}

void G711Codec::conceal(std::size_t samples, ByteView /*next*/, Samples& out) {
  const std::size_t start = out.size();
  out.resize(start + samples);
  concealer_.conceal(std::span(out).subspan(start));
}

}  // namespace isthmus::audio
