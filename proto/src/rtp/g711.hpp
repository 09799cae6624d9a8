#pragma once
#include <cstdint>

namespace isthmus::rtp {

/// One sample, 16-bit linear to 8-bit companded and back (ITU-T G.711 tables 1 and 2, computed).
/// A sample is quantised to the middle of its interval; beyond the last one it is clipped.
std::uint8_t linear_to_ulaw(std::int16_t sample);
std::uint8_t linear_to_alaw(std::int16_t sample);
std::int16_t ulaw_to_linear(std::uint8_t code);
std::int16_t alaw_to_linear(std::uint8_t code);

}  // namespace isthmus::rtp
