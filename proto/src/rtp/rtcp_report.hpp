#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "rtp/receive_statistics.hpp"
#include "rtp/rtcp.hpp"

namespace isthmus::rtp {

/// NTP timestamp (RFC 3550 §4) of a wall-clock time since 1970-01-01 UTC; wraps in 2036 as the
/// format does.
std::uint64_t to_ntp(std::chrono::microseconds since_unix_epoch);

/// Round trip by a report block about our own stream (RFC 3550 §6.4.1, A - LSR - DLSR).
/// @param ntp  our NTP time when the block arrived
/// @return nothing if the peer has had no SR from us, or its figures are from the future.
std::optional<Duration> round_trip(const ReportBlock& block, std::uint64_t ntp);

/// What one sent RTP stream has to tell in its SRs.
class SendStatistics {
 public:
  /// @param clock_rate  ticks per second; 0 stands for 8000
  explicit SendStatistics(std::uint32_t clock_rate = 8000)
      : clock_rate_(clock_rate == 0 ? 8000 : clock_rate) {}

  void on_packet(std::uint32_t timestamp, std::size_t payload_bytes, Instant now);
  std::uint32_t packets() const { return packets_; }
  /// SR figures for `now`, the same moment as `ntp`; nothing before the first packet.
  std::optional<SenderInfo> info(std::uint64_t ntp, Instant now) const;

 private:
  std::uint32_t clock_rate_;
  std::uint32_t packets_ = 0, octets_ = 0;  ///< modulo 2^32, as the SR has them
  std::uint32_t last_timestamp_ = 0;
  Instant last_sent_{};
};

/// SR (once something was sent) or RR of one end of a two-party call, with its CNAME (RFC 3550 §6.1
/// wants one in each). Computes fraction lost since the last call, so call it once per report.
RtcpCompound make_report(std::uint32_t ssrc, std::string cname, const SendStatistics& sent,
                         ReceiveStatistics& received, std::uint64_t ntp, Instant now);

}  // namespace isthmus::rtp
