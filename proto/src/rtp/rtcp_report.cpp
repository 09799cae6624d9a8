#include "rtp/rtcp_report.hpp"

#include <algorithm>
#include <utility>

namespace isthmus::rtp {
namespace {

constexpr std::int64_t kUnixEpochInNtp = 2'208'988'800;  ///< seconds from 1900 to 1970

}  // namespace

std::uint64_t to_ntp(std::chrono::microseconds since_unix_epoch) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(since_unix_epoch);
  const auto rest = static_cast<std::uint64_t>((since_unix_epoch - whole).count());
  const auto ntp_seconds = static_cast<std::uint32_t>(whole.count() + kUnixEpochInNtp);
  return std::uint64_t{ntp_seconds} << 32 | (rest << 32) / 1'000'000;
}

std::optional<Duration> round_trip(const ReportBlock& block, std::uint64_t ntp) {
  if (block.last_sr == 0) return std::nullopt;
  const auto arrival = static_cast<std::uint32_t>(ntp >> 16);
  const auto units = static_cast<std::int32_t>(arrival - block.last_sr - block.delay_since_last_sr);
  if (units < 0) return std::nullopt;
  return std::chrono::duration_cast<Duration>(
      std::chrono::nanoseconds(std::int64_t{units} * 1'000'000'000 / 65536));
}

void SendStatistics::on_packet(std::uint32_t timestamp, std::size_t payload_bytes, Instant now) {
  ++packets_;
  octets_ += static_cast<std::uint32_t>(payload_bytes);
  last_timestamp_ = timestamp;
  last_sent_ = now;
}

std::optional<SenderInfo> SendStatistics::info(std::uint64_t ntp, Instant now) const {
  if (packets_ == 0) return std::nullopt;
  // RFC 3550 §6.4.1: the RTP timestamp of the same moment as the NTP time, not that of the last
  // packet.
  const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(
      std::max(now - last_sent_, Duration::zero()));
  const auto whole = std::chrono::floor<std::chrono::seconds>(passed);
  const std::uint64_t ticks =
      static_cast<std::uint64_t>(whole.count()) * clock_rate_ +
      static_cast<std::uint64_t>((passed - whole).count()) * clock_rate_ / 1'000'000;
  return SenderInfo{ntp, last_timestamp_ + static_cast<std::uint32_t>(ticks), packets_, octets_};
}

RtcpCompound make_report(std::uint32_t ssrc, std::string cname, const SendStatistics& sent,
                         ReceiveStatistics& received, std::uint64_t ntp, Instant now) {
  RtcpCompound result;
  result.sender_ssrc = ssrc;
  result.sender = sent.info(ntp, now);
  if (received.started()) result.reports.push_back(received.report(now));
  result.cname = std::move(cname);
  return result;
}

}  // namespace isthmus::rtp
