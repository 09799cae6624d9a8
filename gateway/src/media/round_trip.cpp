#include "media/round_trip.hpp"

namespace isthmus::media {
namespace {
constexpr std::uint8_t kSenderReport = 200, kReceiverReport = 201;
}

RtcpGlance glance_at_rtcp(ByteView packet) {
  RtcpGlance glance;
  Reader compound(packet);
  while (compound.remaining() >= 8) {
    const std::uint8_t first = compound.u8(), type = compound.u8();
    Reader body(compound.take(std::size_t{compound.u16()} * 4));
    if ((first >> 6) != 2 || !compound.ok()) break;
    if (type != kSenderReport && type != kReceiverReport) continue;
    body.skip(4);  // SSRC of the sender
    if (type == kSenderReport) {
      const std::uint64_t ntp = body.u64();
      body.skip(12);  // RTP time, packets, octets
      if (body.ok()) glance.sender_report = static_cast<std::uint32_t>(ntp >> 16);
    }
    for (int block = 0; block < (first & 0x1f); ++block) {
      body.skip(16);  // SSRC, loss, highest sequence, jitter
      const RtcpGlance::Report report{body.u32(), body.u32()};
      if (!body.ok() || glance.report_count == glance.reports.size()) break;
      glance.reports[glance.report_count++] = report;
    }
  }
  return glance;
}

void RoundTrip::on_sent(std::uint32_t sender_report, Instant now) {
  if (sender_report == 0) return;
  sent_[next_] = {sender_report, now};
  next_ = (next_ + 1) % sent_.size();
}

void RoundTrip::on_report(const RtcpGlance::Report& report, Instant now) {
  if (report.last_sr == 0) return;
  for (const auto& sent : sent_) {
    if (sent.sender_report != report.last_sr) continue;
    const std::chrono::duration<double, std::milli> elapsed = now - sent.at;
    const double held = static_cast<double>(report.delay_since_last_sr) * 1000.0 / 65536.0;
    // A peer whose clock runs fast can claim to have held it longer than it was away.
    if (elapsed.count() >= held) milliseconds_ = elapsed.count() - held;
    return;
  }
}

}  // namespace isthmus::media
