#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "audio/rtp_receiver.hpp"
#include "audio/rtp_sender.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "rtp/rtcp.hpp"

namespace isthmus::audio {

/// RTCP of one two-party stream: compound SR or RR with CNAME on the schedule of RFC 3550 §6.3, and
/// what the far end's reports say of ours. The bandwidth share never asks for less than the minimum
/// interval with two members, so the interval is 5 s (2.5 s for the first), times 0.5..1.5, over e
/// - 1.5. One thread.
class RtcpReporter {
 public:
  /// What the far end tells in its report blocks about the packets sent here.
  struct Remote {
    double loss_ratio = 0;  ///< 0..1 of the last interval
    std::int32_t lost = 0;  ///< packets in all
    double jitter_ms = 0;
  };

  /// @param ntp_at_start  NTP time (32.32, seconds since 1900) at `now`; any value will do if no
  ///                      wall clock is at hand (RFC 3550 §6.4.1)
  RtcpReporter(std::string cname, std::uint32_t clock_rate, std::uint64_t ntp_at_start,
               Random& random, PacketSink sink, Instant now);

  Instant next_deadline() const { return due_; }
  void on_timeout(const RtpSender& sender, RtpReceiver& receiver, Instant now);
  /// A last report with BYE (RFC 3550 §6.3.7); only if something has been sent.
  void send_bye(const RtpSender& sender, RtpReceiver& receiver, Instant now);
  void on_rtcp(ByteView packet, const RtpSender& sender, RtpReceiver& receiver, Instant now);

  std::optional<Duration> round_trip() const { return round_trip_; }
  const std::optional<Remote>& remote() const { return remote_; }
  bool remote_bye() const { return remote_bye_; }

 private:
  void send(const RtpSender& sender, RtpReceiver& receiver, bool bye, Instant now);
  void schedule(Duration minimum, Instant now);
  std::uint64_t ntp(Instant now) const;

  std::string cname_;
  std::uint32_t clock_rate_;
  std::uint64_t ntp_at_start_;
  Random& random_;
  PacketSink sink_;
  Instant start_, due_;
  Bytes packet_;
  std::uint64_t packets_reported_ =
      0;  ///< sender's count two reports back decides between SR and RR
  std::uint64_t packets_last_ = 0;
  std::uint64_t received_reported_ = 0;
  std::optional<Duration> round_trip_;
  std::optional<Remote> remote_;
  bool remote_bye_ = false;
};

}  // namespace isthmus::audio
