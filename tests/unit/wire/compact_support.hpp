#pragma once
// RTP packets and contexts for the tests of compact RTP.
#include <cstdint>

#include "base/bytes.hpp"
#include "wire/compact_rtp.hpp"

namespace isthmus::wire::testing {

struct Rtp {
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0x12345678;
  std::uint8_t payload_type = 0;
  bool marker = false;
  std::uint8_t first = 0x80;  ///< version, padding, extension, CSRC count
};

inline Bytes rtp(const Rtp& header, ByteView payload) {
  Bytes out;
  Writer writer(out);
  writer.u8(header.first);
  writer.u8(static_cast<std::uint8_t>((header.marker ? 0x80 : 0) | header.payload_type));
  writer.u16(header.sequence);
  writer.u32(header.timestamp);
  writer.u32(header.ssrc);
  writer.bytes(payload);
  return out;
}

/// A stream of 20 ms packets of G.711, and both ends with nothing between them.
struct CompactPair {
  CompactRtpSender sender;
  CompactRtpReceiver receiver;
  Rtp next{100, 16'000};
  Instant now{seconds(100)};
  Bytes payload = Bytes(160, 0xd5);

  CompactPair() {
    sender.enable();
    receiver.enable();
  }
  /// Sends the next packet. @return its frame
  Bytes frame(Channel channel = 16) {
    const Bytes result = to_bytes(sender.write(channel, packet(), now));
    answer();
    return result;
  }
  Bytes packet() const { return rtp(next, payload); }
  void answer() {
    if (const auto proposal = sender.take_proposal()) {
      sender.on_answer(receiver.on_context(*proposal), now);
    }
    if (const auto refusal = receiver.take_refusal()) sender.on_answer(*refusal, now);
  }
  void advance(std::uint16_t packets = 1) {
    next.sequence = static_cast<std::uint16_t>(next.sequence + packets);
    next.timestamp += 160u * packets;
    now += milliseconds(20) * packets;
  }
  /// Until frames go compact; what was sent arrives.
  bool warm_up(Channel channel = 16) {
    for (int i = 0; i < 100; ++i) {
      const Bytes sent = packet();
      const Bytes crossed = frame(channel);
      const auto read = receiver.read(channel, crossed, now);
      if (!read || to_bytes(*read) != sent) return false;
      advance();
      if (crossed.size() < sent.size()) return true;
    }
    return false;
  }
};

}  // namespace isthmus::wire::testing
