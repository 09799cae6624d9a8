#pragma once
// What both halves of compact RTP know about bits (PROTOCOL.md §3). Private to compact_*.cpp.
#include "base/bytes.hpp"

namespace isthmus::wire::compact {

// First byte of a frame.
inline constexpr std::uint8_t kFormMask = 0xc0;
inline constexpr std::uint8_t kCompact = 0x00, kEscape = 0x40, kWhole = 0x80;
inline constexpr std::uint8_t kMarker = 0x20, kTimestamp = 0x10, kContextMask = 0x0f;

inline constexpr std::size_t kRtpHeader = 12;  // RFC 3550 §5.1, without CSRCs
inline constexpr std::uint32_t kContexts = 16;

// The eight bits of a sequence number mean the one value in [reference - kBehind, reference +
// kAhead] that ends in them.
inline constexpr int kBehind = 79, kAhead = 176;
static_assert(kBehind + 1 + kAhead == 256);

/// Sequence numbers that a stream may be ahead of its promised pace.
inline constexpr unsigned kBurst = 8;
inline constexpr std::uint32_t kFastestPace = 128;  // packets a second

/// Forward distance between sequence numbers, -32768 to 32767.
inline int distance(std::uint16_t from, std::uint16_t to) {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(to - from));
}

inline std::uint16_t u16_at(ByteView bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline std::uint32_t u32_at(ByteView bytes, std::size_t at) {
  return static_cast<std::uint32_t>(u16_at(bytes, at)) << 16 | u16_at(bytes, at + 2);
}

/// RTCP by its second byte (RFC 5761 §4), of a frame of version 2.
inline bool is_rtcp(ByteView frame) {
  return frame.size() >= 2 && frame[1] >= 192 && frame[1] <= 223;
}
/// A frame whose first two bits are those of RTP.
inline bool is_rtp(ByteView frame) {
  return frame.size() >= kRtpHeader && !is_rtcp(frame);
}

}  // namespace isthmus::wire::compact
