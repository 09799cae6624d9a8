#include "audio/rtcp_reporter.hpp"

namespace isthmus::audio {
namespace {

constexpr Duration kMinimumInterval = seconds(5);
constexpr Duration kFirstInterval = milliseconds(2500);
constexpr double kCompensation = 2.71828 - 1.5;  // RFC 3550 §6.3.1: timer reconsideration

}  // namespace

RtcpReporter::RtcpReporter(std::string cname, std::uint32_t clock_rate, std::uint64_t ntp_at_start,
                           Random& random, PacketSink sink, Instant now)
    : cname_(std::move(cname)),
      clock_rate_(clock_rate),
      ntp_at_start_(ntp_at_start),
      random_(random),
      sink_(std::move(sink)),
      start_(now) {
  schedule(kFirstInterval, now);
}

void RtcpReporter::schedule(Duration minimum, Instant now) {
  const double spread = 0.5 + random_.fraction();
  due_ = now + std::chrono::duration_cast<Duration>(minimum * (spread / kCompensation));
}

std::uint64_t RtcpReporter::ntp(Instant now) const {
  const auto us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now - start_).count());
  return ntp_at_start_ + ((us / 1'000'000) << 32) + ((us % 1'000'000) << 32) / 1'000'000;
}

void RtcpReporter::send(const RtpSender& sender, RtpReceiver& receiver, bool bye, Instant now) {
  rtp::RtcpCompound compound;
  compound.sender_ssrc = sender.ssrc();
  compound.cname = cname_;
  // RFC 3550 §6.4: a sender report if data went out since the report before the last one.
  if (sender.packets() != packets_reported_) {
    compound.sender = rtp::SenderInfo{.ntp = ntp(now),
                                      .rtp_timestamp = sender.timestamp_at(now),
                                      .packets = static_cast<std::uint32_t>(sender.packets()),
                                      .octets = static_cast<std::uint32_t>(sender.payload_bytes())};
  }
  packets_reported_ = packets_last_;
  packets_last_ = sender.packets();
  // A block only for sources heard since the last report (§6.4.1).
  if (receiver.reception().started() && receiver.reception().received() != received_reported_) {
    compound.reports.push_back(receiver.reception().report(now));
    received_reported_ = receiver.reception().received();
  }
  if (bye) compound.bye.push_back(sender.ssrc());
  packet_.clear();
  compound.write(packet_);
  sink_(packet_);
}

void RtcpReporter::on_timeout(const RtpSender& sender, RtpReceiver& receiver, Instant now) {
  if (now < due_) return;
  send(sender, receiver, false, now);
  schedule(kMinimumInterval, now);
}

void RtcpReporter::send_bye(const RtpSender& sender, RtpReceiver& receiver, Instant now) {
  if (sender.packets() != 0) send(sender, receiver, true, now);
}

void RtcpReporter::on_rtcp(ByteView packet, const RtpSender& sender, RtpReceiver& receiver,
                           Instant now) {
  const auto compound = rtp::RtcpCompound::parse(packet);
  if (!compound) return;
  if (compound->sender && compound->sender_ssrc == receiver.reception().ssrc()) {
    receiver.reception().on_sender_report(compound->sender->ntp, now);
  }
  for (const std::uint32_t ssrc : compound->bye) {
    if (ssrc == receiver.reception().ssrc()) remote_bye_ = true;
  }
  for (const rtp::ReportBlock& block : compound->reports) {
    if (block.ssrc != sender.ssrc()) continue;
    remote_ = Remote{.loss_ratio = block.fraction_lost / 256.0,
                     .lost = block.cumulative_lost,
                     .jitter_ms = block.jitter * 1000.0 / clock_rate_};
    if (block.last_sr == 0) continue;
    // RFC 3550 §6.4.1: A - LSR - DLSR, in 1/65536 s. A far end that reports a delay longer than the
    // time that has passed would make it negative: no measurement.
    const auto here = static_cast<std::uint32_t>(ntp(now) >> 16);
    const auto units = static_cast<std::int32_t>(here - block.last_sr - block.delay_since_last_sr);
    if (units < 0) continue;
    round_trip_ = std::chrono::microseconds(std::int64_t{units} * 1'000'000 / 65536);
  }
}

}  // namespace isthmus::audio
