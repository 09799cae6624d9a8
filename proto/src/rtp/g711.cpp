#include "rtp/g711.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace isthmus::rtp {
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

}  // namespace

std::uint8_t linear_to_ulaw(std::int16_t sample) {
  const int value = sample;
  const unsigned sign = value < 0 ? 0x80U : 0;
  const auto magnitude =
      static_cast<unsigned>(std::min(value < 0 ? -value : value, kUlawClip) + kUlawBias);
  const auto segment = static_cast<unsigned>(std::bit_width(magnitude >> 8));
  const unsigned step = (magnitude >> (segment + 3)) & 15U;
  return static_cast<std::uint8_t>(~(sign | (segment << 4) | step));
}

std::uint8_t linear_to_alaw(std::int16_t sample) {
  const int value = sample;
  const unsigned sign = value < 0 ? 0 : 0x80U;
  const auto magnitude = static_cast<unsigned>(std::min(value < 0 ? -value : value, 32767));
  const auto segment = static_cast<unsigned>(std::bit_width(magnitude >> 8));
  const unsigned step = segment == 0 ? magnitude >> 4 : (magnitude >> (segment + 3)) & 15U;
  return static_cast<std::uint8_t>((sign | (segment << 4) | step) ^ 0x55U);
}

std::int16_t ulaw_to_linear(std::uint8_t code) {
  return kUlawTable[code];
}
std::int16_t alaw_to_linear(std::uint8_t code) {
  return kAlawTable[code];
}

}  // namespace isthmus::rtp
