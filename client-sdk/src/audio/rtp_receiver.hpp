#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "audio/codec.hpp"
#include "audio/jitter_buffer.hpp"
#include "audio/resampler.hpp"
#include "audio/rtp_sender.hpp"
#include "base/time.hpp"
#include "rtp/receive_statistics.hpp"
#include "rtp/telephone_event.hpp"

namespace isthmus::audio {

/// Turns the RTP packets of one stream into PCM: jitter buffer, decoding, loss concealment, time
/// stretching, comfort noise (RFC 3389), telephone events (RFC 4733), reception statistics. One
/// thread; no clock of its own.
class RtpReceiver {
 public:
  /// @param codec    outlives the receiver
  /// @param on_digit called once for each DTMF digit, as soon as its first packet is here
  RtpReceiver(Codec& codec, const RtpFormat& format, const JitterConfig& jitter,
              std::function<void(char)> on_digit);

  /// @param packet as received; anything that is no RTP of this stream is counted in ignored()
  void on_rtp(ByteView packet, Instant now);
  /// Fills all of `out` with the next audio, silence where there is none.
  /// @return an error for an impossible sample rate; `out` is silent then
  AudioResult<void> pull(std::span<std::int16_t> out, unsigned sample_rate, Instant now);

  /// Not receiving: pull() gives silence and digits go unheard; packets still count as received, or
  /// they would be reported as lost when receiving goes on.
  void set_receiving(bool receiving);
  bool receiving() const { return receiving_; }

  rtp::ReceiveStatistics& reception() { return reception_; }
  const rtp::ReceiveStatistics& reception() const { return reception_; }
  const JitterBuffer& jitter_buffer() const { return jitter_; }
  std::uint64_t ignored() const { return ignored_; }  ///< not RTP, or of an unknown payload type
  std::uint64_t undecodable() const { return undecodable_; }  ///< concealed although they had come

 private:
  void on_event(const rtp::RtpHeader& header, ByteView payload, Instant now);
  void produce(Instant now);
  void play_frame(const JitterBuffer::Playout& playout);
  void play_silence(std::size_t samples);
  std::size_t samples_of(std::uint32_t ticks) const;

  Codec& codec_;
  RtpFormat format_;
  std::uint32_t dtmf_clock_rate_;
  JitterBuffer jitter_;
  rtp::ReceiveStatistics reception_;
  rtp::TelephoneEventReceiver events_;
  std::function<void(char)> on_digit_;
  std::optional<Resampler> resampler_;
  Samples frame_;           ///< being made, at the codec's rate
  Samples decoded_;         ///< ready, at the caller's rate
  double noise_level_ = 0;  ///< amplitude of comfort noise; 0 none
  std::uint32_t noise_state_ = 1;
  bool receiving_ = true;
  std::uint64_t ignored_ = 0, undecodable_ = 0;
};

}  // namespace isthmus::audio
