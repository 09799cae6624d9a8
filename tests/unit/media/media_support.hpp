#pragma once
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "media/relay.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::test {

/// A client's link that keeps what it was given.
class RecordingLink final : public media::MediaLink {
 public:
  void send_media(std::uint32_t channel, ByteView bytes) override {
    frames.emplace_back(channel, to_bytes(bytes));
  }
  std::vector<std::pair<std::uint32_t, Bytes>> frames;
};

inline Bytes rtp_packet(std::uint16_t sequence, std::uint32_t ssrc = 0x1111, std::uint8_t type = 0,
                        bool marker = false) {
  Bytes packet;
  const Bytes payload(160, static_cast<std::uint8_t>(sequence));
  rtp::write_rtp({marker, type, sequence, std::uint32_t{sequence} * 160, ssrc}, payload, packet);
  return packet;
}

/// A loopback address that no other test process uses at the same time, so that its ports are all
/// free.
inline IpAddress own_loopback() {
  static std::uint32_t used = 0;
  const auto process = static_cast<std::uint32_t>(::getpid());
  return IpAddress::v4(0x7f400000U | ((process & 0x3fffU) << 8) | (++used % 250 + 1));
}

}  // namespace isthmus::test
