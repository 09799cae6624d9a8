#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace isthmus::media {

/// What the relay reads from an RTCP packet that passes through, without allocation
/// (rtp::RtcpCompound allocates).
struct RtcpGlance {
  struct Report {
    std::uint32_t last_sr = 0;              ///< 0: none received
    std::uint32_t delay_since_last_sr = 0;  ///< 1/65536 s
  };
  std::optional<std::uint32_t> sender_report;  ///< middle 32 bits of its NTP time
  std::array<Report, 4> reports{};
  std::size_t report_count = 0;
};
/// Bounded; reads up to the first length that does not fit.
RtcpGlance glance_at_rtcp(ByteView packet);

/// Round trip between the relay and one side: a sender report that we pass to it at some time comes
/// back named in its reports (RFC 3550 §6.4.1), as if it were ours. Pure; allocates nothing.
class RoundTrip {
 public:
  void on_sent(std::uint32_t sender_report, Instant now);
  void on_report(const RtcpGlance::Report& report, Instant now);
  double milliseconds() const { return milliseconds_; }  ///< latest; 0: unknown

 private:
  struct Sent {
    std::uint32_t sender_report = 0;
    Instant at{};
  };
  std::array<Sent, 8> sent_{};  ///< the reports of some 40 s
  std::size_t next_ = 0;
  double milliseconds_ = 0;
};

}  // namespace isthmus::media
