#pragma once
#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "rtp/rtcp.hpp"

namespace isthmus::rtp {

/// Reception quality of one RTP stream (RFC 3550 §6.4.1, A.1, A.3, A.8): expected, lost, jitter.
/// Late and repeated packets count as received, as §6.4.1 has it. No allocation; one per stream and
/// direction, on one thread. A change of SSRC or a jump of the sequence numbers starts the count
/// anew but keeps the totals.
class ReceiveStatistics {
 public:
  /// @param clock_rate  ticks per second; 0 stands for 8000
  explicit ReceiveStatistics(std::uint32_t clock_rate = 8000)
      : clock_rate_(clock_rate == 0 ? 8000 : clock_rate) {}

  /// Probation is left out: a stream counts from its first packet.
  /// @param timestamp  media-clock ticks, as in the RTP header
  /// @param arrival  monotonic receive time. Cannot fail; packets too far out of sequence
  /// resynchronise (A.1).
  void on_packet(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t ssrc,
                 std::size_t payload_bytes, Instant arrival);
  /// @param ntp  of the SR, 32.32 fixed point
  void on_sender_report(std::uint64_t ntp, Instant arrival);
  /// Report block for an RR; computes fraction lost since the last call. All but ssrc zero before
  /// the first packet.
  ReportBlock report(Instant now);
  /// @param clock_rate  ticks per second; 0 is ignored. Jitter so far is kept, in ms.
  void set_clock_rate(std::uint32_t clock_rate);

  std::uint64_t received() const { return total_received_; }  ///< packets, whatever their sequence
  std::uint64_t bytes() const { return total_bytes_; }
  std::uint64_t expected() const;
  std::uint64_t lost() const;  ///< never negative
  double loss_ratio() const;   ///< 0..1 of all expected
  double jitter_ms() const;
  double max_jitter_ms() const;
  std::uint32_t ssrc() const { return ssrc_; }
  bool started() const { return started_; }

 private:
  bool in_sequence(std::uint16_t sequence);
  void restart(std::uint16_t sequence, std::uint32_t ssrc);
  void update_jitter(std::uint32_t timestamp, Instant arrival);
  std::uint64_t highest_sequence() const { return cycles_ + max_sequence_; }
  std::uint64_t epoch_expected() const;
  std::uint64_t epoch_lost() const;

  std::uint32_t clock_rate_;
  bool started_ = false;
  std::uint64_t total_received_ = 0, total_bytes_ = 0;

  // The epoch: since the SSRC came up or the sequence numbers last jumped (RFC 3550 A.1, init_seq).
  std::uint32_t ssrc_ = 0;
  std::uint16_t base_sequence_ = 0, max_sequence_ = 0;
  std::uint64_t cycles_ = 0;  ///< sequence numbers in the wraps so far; the low 32 bits go out
  std::optional<std::uint16_t>
      after_jump_;  ///< bad_seq of A.1: next of a source that may have restarted
  std::uint64_t received_ = 0;
  std::uint64_t expected_prior_ = 0, received_prior_ = 0;
  std::uint64_t past_expected_ = 0, past_lost_ = 0;  ///< of earlier epochs

  bool have_transit_ = false;
  std::uint32_t transit_ = 0, last_timestamp_ = 0;
  double jitter_ticks_ = 0, max_jitter_ms_ = 0;

  struct SenderReport {
    std::uint32_t middle_ntp;
    Instant arrival;
  };
  std::optional<SenderReport> last_sr_;
};

}  // namespace isthmus::rtp
