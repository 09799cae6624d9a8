#include "audio/audio_stream.hpp"

#include <algorithm>
#include <cmath>

#include "rtp/emodel.hpp"

namespace isthmus::audio {
namespace {

double to_ms(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

AudioResult<void> check(const AudioStreamConfig& config, const AudioStreamHandlers& handlers) {
  const RtpFormat& format = config.format;
  const auto bad = [](std::string message) {
    return AudioError{AudioFault::bad_argument, std::move(message)};
  };
  for (const int type : {int{format.send_payload_type}, int{format.receive_payload_type},
                         int{format.send_dtmf_payload_type.value_or(0)},
                         int{format.receive_dtmf_payload_type.value_or(0)}}) {
    if (type > 127) return bad("RTP payload type " + std::to_string(type) + " is above 127");
  }
  if (format.receive_dtmf_payload_type == format.receive_payload_type) {
    return bad("telephone-event and " + config.codec + " share one payload type");
  }
  if (format.dtmf_clock_rate % 1000 != 0) {
    return bad("telephone-event clock rate " + std::to_string(format.dtmf_clock_rate) +
               " Hz is no multiple of 1000");
  }
  const JitterConfig& jitter = config.jitter;
  if (jitter.min_delay < Duration::zero() || jitter.min_delay > jitter.initial_delay ||
      jitter.initial_delay > jitter.max_delay || jitter.max_delay > seconds(1)) {
    return bad("jitter buffer: wanted 0 <= min <= initial <= max delay <= 1000 ms");
  }
  if (!handlers.send_rtp) return bad("audio stream without a send_rtp handler");
  return {};
}

}  // namespace

AudioResult<std::unique_ptr<AudioStream>> AudioStream::create(const AudioStreamConfig& config,
                                                              Random& random,
                                                              AudioStreamHandlers handlers,
                                                              Instant now) {
  if (auto valid = check(config, handlers); !valid) return valid.error();
  auto codec = make_codec(config.codec, config.codec_options);
  if (!codec) return codec.error();
  return std::unique_ptr<AudioStream>(
      new AudioStream(std::move(*codec), config, random, std::move(handlers), now));
}

AudioStream::AudioStream(std::unique_ptr<Codec> codec, const AudioStreamConfig& config,
                         Random& random, AudioStreamHandlers handlers, Instant now)
    : codec_(std::move(codec)),
      sender_(*codec_, config.format, random, std::move(handlers.send_rtp)),
      receiver_(*codec_, config.format, config.jitter, std::move(handlers.on_dtmf)) {
  if (handlers.send_rtcp) {
    rtcp_.emplace(config.cname, codec_->info().rtp_clock_rate, config.ntp_at_start, random,
                  std::move(handlers.send_rtcp), now);
  }
}

AudioResult<void> AudioStream::push_audio(SampleView samples, unsigned sample_rate, Instant now) {
  return sender_.push(samples, sample_rate, now);
}

AudioResult<void> AudioStream::pull_audio(std::span<std::int16_t> out, unsigned sample_rate,
                                          Instant now) {
  return receiver_.pull(out, sample_rate, now);
}

void AudioStream::on_rtcp(ByteView packet, Instant now) {
  if (!rtcp_) return;
  rtcp_->on_rtcp(packet, sender_, receiver_, now);
  if (const auto& remote = rtcp_->remote()) {
    codec_->set_expected_loss(static_cast<unsigned>(std::lround(remote->loss_ratio * 100)));
  }
}

AudioResult<void> AudioStream::send_dtmf(std::string_view digits, Instant now,
                                         milliseconds duration) {
  return sender_.send_dtmf(digits, duration, now);
}

void AudioStream::set_direction(bool send, bool receive) {
  sender_.set_sending(send);
  receiver_.set_receiving(receive);
}

Instant AudioStream::next_deadline() const {
  Instant next = rtcp_ ? rtcp_->next_deadline() : Instant::max();
  if (const auto digits = sender_.next_deadline()) next = std::min(next, *digits);
  return next;
}

void AudioStream::on_timeout(Instant now) {
  sender_.on_timeout(now);
  if (rtcp_) rtcp_->on_timeout(sender_, receiver_, now);
}

void AudioStream::close(Instant now) {
  if (rtcp_) rtcp_->send_bye(sender_, receiver_, now);
}

AudioStreamStatistics AudioStream::statistics(Instant now) const {
  AudioStreamStatistics all;
  const rtp::ReceiveStatistics& reception = receiver_.reception();
  const JitterStatistics buffer = receiver_.jitter_buffer().statistics(now);
  all.packets_sent = sender_.packets();
  all.payload_bytes_sent = sender_.payload_bytes();
  all.packets_received = reception.received();
  all.payload_bytes_received = reception.bytes();
  all.lost = reception.lost();
  all.late = buffer.late;
  all.duplicates = buffer.duplicates;
  all.ignored = receiver_.ignored();
  all.undecodable = receiver_.undecodable();
  all.jitter_ms = reception.jitter_ms();
  all.concealed_ratio = buffer.concealed_ratio;
  all.jitter_buffer_ms = to_ms(buffer.delay);
  all.jitter_buffer_target_ms = to_ms(buffer.target);
  if (rtcp_) {
    if (const auto round_trip = rtcp_->round_trip()) all.round_trip_ms = to_ms(*round_trip);
    if (const auto& remote = rtcp_->remote()) {
      all.remote_loss_ratio = remote->loss_ratio;
      all.remote_jitter_ms = remote->jitter_ms;
    }
  }
  const rtp::QualityInput input = {.one_way_delay_ms = all.round_trip_ms.value_or(0) / 2 +
                                                       all.jitter_buffer_ms + sender_.ptime_ms(),
                                   .loss_ratio = all.concealed_ratio,
                                   .equipment_impairment = codec_->info().equipment_impairment,
                                   .loss_robustness = codec_->info().loss_robustness};
  all.r_factor = rtp::rating(input);
  all.mos = rtp::mos(all.r_factor);
  return all;
}

}  // namespace isthmus::audio
