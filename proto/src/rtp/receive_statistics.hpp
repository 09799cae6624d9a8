#pragma once
#include <cstdint>

#include "base/time.hpp"
#include "rtp/rtcp.hpp"

namespace isthmus::rtp {

/// Reception quality of one RTP stream (RFC 3550 §6.4.1, A.1, A.3, A.8): expected, lost, duplicates, reordered,
/// jitter. No allocation; one per stream and direction. A change of SSRC starts the count anew but keeps the totals.
class ReceiveStatistics {
 public:
  explicit ReceiveStatistics(std::uint32_t clock_rate = 8000) : clock_rate_(clock_rate) {}

  /// @param arrival monotonic receive time. Cannot fail; packets too far out of sequence resynchronise (A.1).
  void on_packet(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t ssrc, std::size_t payload_bytes,
                 Instant arrival);
  void on_sender_report(std::uint64_t ntp, Instant arrival);
  /// Report block for an RR; computes fraction lost since the last call.
  ReportBlock report(Instant now);
  void set_clock_rate(std::uint32_t clock_rate) { clock_rate_ = clock_rate; }

  std::uint64_t received() const { return total_received_; }
  std::uint64_t bytes() const { return total_bytes_; }
  std::uint64_t expected() const;
  std::uint64_t lost() const;  ///< never negative
  double loss_ratio() const;   ///< 0..1 of all expected
  double jitter_ms() const;
  double max_jitter_ms() const;
  std::uint32_t ssrc() const { return ssrc_; }
  bool started() const { return started_; }

 private:
  void restart(std::uint16_t sequence, std::uint32_t ssrc);

  std::uint32_t clock_rate_;
  bool started_ = false;
  bool have_transit_ = false;
  std::uint32_t ssrc_ = 0;
  std::uint32_t base_sequence_ = 0, cycles_ = 0, bad_sequence_ = 0;
  std::uint16_t max_sequence_ = 0;
  std::uint64_t received_ = 0, total_received_ = 0, total_bytes_ = 0;
  std::uint64_t past_expected_ = 0, past_received_ = 0;  ///< of earlier SSRCs
  std::uint64_t expected_prior_ = 0, received_prior_ = 0;
  std::int64_t transit_ = 0;
  double jitter_ticks_ = 0, max_jitter_ticks_ = 0;
  std::uint32_t last_sr_ = 0;
  Instant last_sr_arrival_{};
};

}  // namespace isthmus::rtp
