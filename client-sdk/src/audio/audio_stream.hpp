#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "audio/codec.hpp"
#include "audio/jitter_buffer.hpp"
#include "audio/rtcp_reporter.hpp"
#include "audio/rtp_receiver.hpp"
#include "audio/rtp_sender.hpp"

namespace isthmus::audio {

struct AudioStreamConfig {
  std::string codec = "PCMU/8000";  ///< a=rtpmap value that was agreed
  RtpFormat format{};
  CodecOptions codec_options{};
  JitterConfig jitter{};  ///< clock rate and FEC are taken from the codec
  std::string cname{};    ///< RTCP; an opaque random text (RFC 7022 §4.2), never a user's address
  std::uint64_t ntp_at_start = std::uint64_t{1}
                               << 32;  ///< NTP time at creation, 32.32; any will do
};

struct AudioStreamHandlers {
  PacketSink send_rtp;
  PacketSink send_rtcp;               ///< may be empty: no RTCP
  std::function<void(char)> on_dtmf;  ///< a digit of the far end, once; may be empty
};

struct AudioStreamStatistics {
  std::uint64_t packets_sent = 0;
  std::uint64_t payload_bytes_sent = 0;
  std::uint64_t packets_received = 0;
  std::uint64_t payload_bytes_received = 0;
  std::uint64_t lost = 0;  ///< by sequence numbers (RFC 3550 A.3)
  std::uint64_t late = 0;  ///< came after their play-out
  std::uint64_t duplicates = 0;
  std::uint64_t ignored = 0;  ///< no RTP of this stream
  std::uint64_t undecodable = 0;
  double jitter_ms = 0;         ///< RFC 3550 interarrival jitter
  double concealed_ratio = 0;   ///< 0..1 of play-out time
  double jitter_buffer_ms = 0;  ///< now
  double jitter_buffer_target_ms = 0;
  std::optional<double> round_trip_ms;      ///< once RTCP has gone both ways
  std::optional<double> remote_loss_ratio;  ///< of what we send, the far end's last report
  std::optional<double> remote_jitter_ms;
  double r_factor = 0;  ///< E-model rating of what is heard here
  double mos = 0;       ///< 1..4.5
};

/// One call's audio: PCM on one side, RTP and RTCP packets on the other. Wires codec, RtpSender,
/// RtpReceiver and RtcpReporter. All methods on one thread (the media thread); handlers are called
/// from within them and must not destroy the stream. Time is passed in and must not go back.
class AudioStream {
 public:
  /// @param random  outlives the stream
  /// @return an error that names the codec or option at fault
  static AudioResult<std::unique_ptr<AudioStream>> create(const AudioStreamConfig& config,
                                                          Random& random,
                                                          AudioStreamHandlers handlers,
                                                          Instant now);
  AudioStream(const AudioStream&) = delete;
  AudioStream& operator=(const AudioStream&) = delete;

  /// Audio to send: mono, any amount, at `sample_rate` Hz. Call at the pace of the audio, most
  /// simply every 20 ms with 20 ms.
  AudioResult<void> push_audio(SampleView samples, unsigned sample_rate, Instant now);
  /// Fills `out` with received audio, mono, at `sample_rate` Hz; call at the pace of play-out.
  AudioResult<void> pull_audio(std::span<std::int16_t> out, unsigned sample_rate, Instant now);

  void on_rtp(ByteView packet, Instant now) { receiver_.on_rtp(packet, now); }
  void on_rtcp(ByteView packet, Instant now);

  /// @param digits  0-9 * # A-D; queued behind those still playing
  AudioResult<void> send_dtmf(std::string_view digits, Instant now,
                              milliseconds duration = milliseconds(100));
  bool dtmf_active() const { return sender_.dtmf_active(); }

  /// Hold (RFC 3264 §8.4): the two directions as agreed. RTCP goes on.
  void set_direction(bool send, bool receive);

  /// When to call on_timeout() next (RTCP, DTMF without audio).
  Instant next_deadline() const;
  void on_timeout(Instant now);
  /// Says goodbye by RTCP BYE. Call once, at the end.
  void close(Instant now);

  AudioStreamStatistics statistics(Instant now) const;
  const CodecInfo& codec() const { return codec_->info(); }
  unsigned codec_sample_rate() const { return codec_->sample_rate(); }
  std::uint32_t ssrc() const { return sender_.ssrc(); }

 private:
  AudioStream(std::unique_ptr<Codec> codec, const AudioStreamConfig& config, Random& random,
              AudioStreamHandlers handlers, Instant now);

  std::unique_ptr<Codec> codec_;
  RtpSender sender_;
  RtpReceiver receiver_;
  std::optional<RtcpReporter> rtcp_;
};

}  // namespace isthmus::audio
