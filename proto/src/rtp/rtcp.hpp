#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace isthmus::rtp {

/// RFC 3550 §6.4.1.
struct ReportBlock {
  std::uint32_t ssrc = 0;
  std::uint8_t fraction_lost = 0;    ///< of 256, since the last report
  std::int32_t cumulative_lost = 0;  ///< packets, 24 bits signed on the wire
  std::uint32_t highest_sequence = 0;
  std::uint32_t jitter = 0;               ///< RTP ticks
  std::uint32_t last_sr = 0;              ///< middle 32 bits of the NTP time of the last SR
  std::uint32_t delay_since_last_sr = 0;  ///< 1/65536 s
};

struct SenderInfo {
  std::uint64_t ntp = 0;  ///< 32.32 fixed point, seconds since 1900
  std::uint32_t rtp_timestamp = 0;
  std::uint32_t packets = 0;
  std::uint32_t octets = 0;
};

/// What a compound RTCP packet says (RFC 3550 §6.1); unknown packet types are skipped.
struct RtcpCompound {
  std::uint32_t sender_ssrc = 0;
  std::optional<SenderInfo> sender;
  std::vector<ReportBlock> reports;
  std::string cname;
  std::vector<std::uint32_t> bye;

  /// Bounded by limits::kMediaFrameBytes; nothing if the lengths do not add up or the version is
  /// not 2. Reports of all SRs and RRs are put together; sender_ssrc is that of the last of them,
  /// cname the one it goes by.
  static std::optional<RtcpCompound> parse(ByteView packet);
  /// Appends an SR (when `sender`) or RR, then SDES CNAME when not empty (at most 255 bytes of it),
  /// then BYE when listed. More than 31 reports or BYEs take further packets. Lost is clipped to
  /// its 24 bits.
  void write(Bytes& out) const;
};

}  // namespace isthmus::rtp
