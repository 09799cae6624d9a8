#include "rtp/receive_statistics.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace isthmus::rtp {
namespace {

// RFC 3550 A.1.
constexpr std::uint16_t kMaxDropout = 3000;
constexpr std::uint16_t kMaxMisorder = 100;
constexpr double kMaxDlsr = std::numeric_limits<std::uint32_t>::max();
constexpr double kMaxJitter = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kSequenceModulus = 1u << 16;

/// A timestamp that leaps this far against the clock began a new time line (a transfer, a new
/// sender behind the same SSRC). Taken as jitter it would spoil the figure for minutes.
constexpr std::int64_t kTimelineJumpSeconds = 5;

/// Receive time on the media clock, modulo 2^32 as RTP timestamps are.
std::uint32_t to_ticks(Instant when, std::uint32_t clock_rate) {
  const auto since = when.time_since_epoch();
  const auto whole = std::chrono::floor<std::chrono::seconds>(since);
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since - whole);
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(whole.count()) * clock_rate +
                                    static_cast<std::uint64_t>(rest.count()) * clock_rate /
                                        1'000'000'000u);
}

/// Time passed in 1/65536 s, as DLSR counts it; at most what 32 bits hold (18 hours).
std::uint32_t to_dlsr(Duration passed) {
  const double units = std::chrono::duration<double>(passed).count() * 65536.0;
  return static_cast<std::uint32_t>(std::clamp(units, 0.0, kMaxDlsr));
}

}  // namespace

void ReceiveStatistics::on_packet(std::uint16_t sequence, std::uint32_t timestamp,
                                  std::uint32_t ssrc, std::size_t payload_bytes, Instant arrival) {
  ++total_received_;
  total_bytes_ += payload_bytes;
  if (!started_ || ssrc != ssrc_) {
    if (started_) {  // what was learnt of another source
      last_sr_.reset();
      jitter_ticks_ = 0;
    }
    restart(sequence, ssrc);
  } else if (!in_sequence(sequence)) {
    return;
  }
  ++received_;
  update_jitter(timestamp, arrival);
}

// RFC 3550 A.1, update_seq: false for a lone packet far from all before it.
bool ReceiveStatistics::in_sequence(std::uint16_t sequence) {
  const auto ahead = static_cast<std::uint16_t>(sequence - max_sequence_);
  if (ahead < kMaxDropout) {
    if (sequence < max_sequence_) cycles_ += kSequenceModulus;
    max_sequence_ = sequence;
    after_jump_.reset();
    return true;
  }
  if (ahead <= kSequenceModulus - kMaxMisorder) {
    if (after_jump_ == sequence) {  // two in a row: the other side restarted
      restart(sequence, ssrc_);
      return true;
    }
    after_jump_ = static_cast<std::uint16_t>(sequence + 1);
    return false;
  }
  return true;  // late or repeated
}

void ReceiveStatistics::restart(std::uint16_t sequence, std::uint32_t ssrc) {
  past_expected_ += epoch_expected();
  past_lost_ += epoch_lost();
  started_ = true;
  ssrc_ = ssrc;
  base_sequence_ = sequence;
  max_sequence_ = sequence;
  cycles_ = 0;
  after_jump_.reset();
  received_ = 0;
  expected_prior_ = 0;
  received_prior_ = 0;
  have_transit_ = false;
}

// RFC 3550 A.8. Packets that share a timestamp (a video frame, a telephone event) tell nothing of
// the network's timing: they were not sent at the time they carry.
void ReceiveStatistics::update_jitter(std::uint32_t timestamp, Instant arrival) {
  if (have_transit_ && timestamp == last_timestamp_) return;
  const std::uint32_t transit = to_ticks(arrival, clock_rate_) - timestamp;
  const std::int64_t difference =
      std::abs(static_cast<std::int64_t>(static_cast<std::int32_t>(transit - transit_)));
  const bool same_timeline =
      have_transit_ && difference < kTimelineJumpSeconds * std::int64_t{clock_rate_};
  have_transit_ = true;
  transit_ = transit;
  last_timestamp_ = timestamp;
  if (!same_timeline) return;
  jitter_ticks_ += (static_cast<double>(difference) - jitter_ticks_) / 16;
  max_jitter_ms_ = std::max(max_jitter_ms_, jitter_ms());
}

void ReceiveStatistics::on_sender_report(std::uint64_t ntp, Instant arrival) {
  last_sr_ = SenderReport{static_cast<std::uint32_t>(ntp >> 16), arrival};
}

// RFC 3550 A.3.
ReportBlock ReceiveStatistics::report(Instant now) {
  ReportBlock block;
  block.ssrc = ssrc_;
  if (!started_) return block;

  const std::uint64_t expected = epoch_expected();
  const auto lost = static_cast<std::int64_t>(expected) - static_cast<std::int64_t>(received_);
  block.cumulative_lost =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(lost, -0x800000, 0x7fffff));
  block.highest_sequence = static_cast<std::uint32_t>(highest_sequence());
  block.jitter = static_cast<std::uint32_t>(std::min(jitter_ticks_, kMaxJitter));

  const std::uint64_t expected_now = expected - expected_prior_;
  const std::uint64_t received_now = received_ - received_prior_;
  expected_prior_ = expected;
  received_prior_ = received_;
  if (expected_now > received_now) {
    // 256/256 does not fit the field: all lost reads 255.
    block.fraction_lost = static_cast<std::uint8_t>(
        std::min<std::uint64_t>(255, ((expected_now - received_now) << 8) / expected_now));
  }
  if (last_sr_) {
    block.last_sr = last_sr_->middle_ntp;
    block.delay_since_last_sr = to_dlsr(now - last_sr_->arrival);
  }
  return block;
}

void ReceiveStatistics::set_clock_rate(std::uint32_t clock_rate) {
  if (clock_rate == 0 || clock_rate == clock_rate_) return;
  jitter_ticks_ *= static_cast<double>(clock_rate) / clock_rate_;
  clock_rate_ = clock_rate;
  have_transit_ = false;
}

std::uint64_t ReceiveStatistics::epoch_expected() const {
  return started_ ? highest_sequence() - base_sequence_ + 1 : 0;
}

std::uint64_t ReceiveStatistics::epoch_lost() const {
  const std::uint64_t expected = epoch_expected();
  return expected > received_ ? expected - received_ : 0;
}

std::uint64_t ReceiveStatistics::expected() const {
  return past_expected_ + epoch_expected();
}

std::uint64_t ReceiveStatistics::lost() const {
  return past_lost_ + epoch_lost();
}

double ReceiveStatistics::loss_ratio() const {
  const std::uint64_t all = expected();
  return all == 0 ? 0 : static_cast<double>(lost()) / static_cast<double>(all);
}

double ReceiveStatistics::jitter_ms() const {
  return jitter_ticks_ * 1000 / clock_rate_;
}

double ReceiveStatistics::max_jitter_ms() const {
  return max_jitter_ms_;
}

}  // namespace isthmus::rtp
