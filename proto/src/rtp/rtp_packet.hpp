#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace isthmus::rtp {

/// Read-only view of an RTP packet (RFC 3550 §5.1) over bytes it does not own; valid as long as
/// they are.
class RtpView {
 public:
  /// @return nothing unless version 2, header, CSRCs, extension and padding all fit.
  static std::optional<RtpView> parse(ByteView packet);

  bool marker() const { return bytes_[1] >> 7; }
  std::uint8_t payload_type() const { return bytes_[1] & 0x7f; }
  std::uint16_t sequence() const;
  std::uint32_t timestamp() const;
  std::uint32_t ssrc() const;
  std::uint8_t csrc_count() const { return bytes_[0] & 0x0f; }
  bool has_extension() const { return (bytes_[0] >> 4) & 1; }
  ByteView payload() const { return payload_; }  ///< without padding
  ByteView packet() const { return bytes_; }

 private:
  ByteView bytes_, payload_;
};

/// RTP or RTCP on one port (RFC 5761 §4): second byte 192..223 is RTCP.
bool is_rtcp(ByteView packet);

/// Writes a 12-byte header and the payload into `out` (cleared first).
struct RtpHeader {
  bool marker = false;
  std::uint8_t payload_type = 0;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
};
void write_rtp(const RtpHeader& header, ByteView payload, Bytes& out);

}  // namespace isthmus::rtp
