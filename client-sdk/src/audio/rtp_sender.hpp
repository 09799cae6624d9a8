#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "audio/codec.hpp"
#include "audio/resampler.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "rtp/rtcp.hpp"
#include "rtp/telephone_event.hpp"

namespace isthmus::audio {

/// What both ends agreed on for one audio stream (SDP offer/answer).
struct RtpFormat {
  std::uint8_t send_payload_type = 0;                    ///< as the far end's SDP maps the codec
  std::uint8_t receive_payload_type = 0;                 ///< as our SDP maps it
  std::optional<std::uint8_t> send_dtmf_payload_type{};  ///< telephone-event; nothing: not agreed
  std::optional<std::uint8_t> receive_dtmf_payload_type{};
  std::uint32_t dtmf_clock_rate = 0;  ///< of telephone-event in SDP; 0: the codec's RTP clock
  unsigned ptime_ms = 20;             ///< wished packet length; the codec may use a shorter one
};

/// Called with a finished packet; the bytes are valid during the call only.
using PacketSink = std::function<void(ByteView packet)>;

/// Turns PCM into RTP packets of one SSRC (RFC 3550 §5.1, RFC 3551) and digits into telephone
/// events (RFC 4733 §2.5). Packets go out as soon as push() completes a frame: the caller's audio
/// clock paces them. One thread; no clock of its own.
class RtpSender {
 public:
  /// @param codec  outlives the sender
  RtpSender(Codec& codec, const RtpFormat& format, Random& random, PacketSink sink);

  /// @param samples      mono, any amount, at `sample_rate` Hz
  /// @return an error for an impossible sample rate; nothing is sent then
  AudioResult<void> push(SampleView samples, unsigned sample_rate, Instant now);
  /// Queues digits; while one plays, its events replace the audio.
  /// @return an error that names the character at fault, or says that telephone-event was not
  /// agreed
  AudioResult<void> send_dtmf(std::string_view digits, milliseconds duration, Instant now);
  /// Digits go out even while no audio is pushed: when to call on_timeout() for that.
  std::optional<Instant> next_deadline() const;
  void on_timeout(Instant now);

  /// Muted: audio pushed is dropped, digits still go out.
  void set_sending(bool sending) { sending_ = sending; }
  bool sending() const { return sending_; }

  std::uint32_t ssrc() const { return ssrc_; }
  std::uint64_t packets() const { return packets_; }
  std::uint64_t payload_bytes() const { return payload_bytes_; }
  unsigned ptime_ms() const { return ptime_ms_; }
  bool dtmf_active() const { return events_.active(); }
  /// RTP time of `now`, for sender reports (RFC 3550 §6.4.1).
  std::uint32_t timestamp_at(Instant now) const;

 private:
  void catch_up(Duration pushed, Instant now);
  void send_frame(SampleView frame, Instant now);
  bool send_event();
  void send_packet(std::uint8_t payload_type, std::uint32_t timestamp, bool marker,
                   ByteView payload);
  std::uint32_t ticks(Duration duration) const;

  Codec& codec_;
  RtpFormat format_;
  PacketSink sink_;
  unsigned ptime_ms_;
  std::uint32_t packet_ticks_;
  std::uint32_t dtmf_clock_rate_;
  rtp::TelephoneEventSender events_;
  std::optional<Resampler> resampler_;
  Samples pending_;
  Bytes payload_, packet_;

  std::uint32_t ssrc_;
  std::uint16_t sequence_;
  std::uint32_t timestamp_;  ///< of the next frame's first sample
  bool marker_ = true;       ///< the next audio packet begins a talk spurt (RFC 3551 §4.1)
  bool sending_ = true;
  std::optional<Instant> last_push_;
  Instant last_frame_{};  ///< when timestamp_ last moved
  std::optional<Instant> event_due_;
  std::uint64_t packets_ = 0, payload_bytes_ = 0;
};

}  // namespace isthmus::audio
