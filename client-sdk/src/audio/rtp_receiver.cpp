#include "audio/rtp_receiver.hpp"

#include <algorithm>
#include <cmath>

#include "audio/time_stretch.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::audio {
namespace {

constexpr std::uint8_t kComfortNoise = 13;  // RFC 3389 §4
constexpr unsigned kSilenceMs = 20;

JitterConfig jitter_for(const Codec& codec, JitterConfig config) {
  config.clock_rate = codec.info().rtp_clock_rate;
  config.fec = codec.has_fec();
  return config;
}

}  // namespace

RtpReceiver::RtpReceiver(Codec& codec, const RtpFormat& format, const JitterConfig& jitter,
                         std::function<void(char)> on_digit)
    : codec_(codec),
      format_(format),
      dtmf_clock_rate_(format.dtmf_clock_rate != 0 ? format.dtmf_clock_rate
                                                   : codec.info().rtp_clock_rate),
      jitter_(jitter_for(codec, jitter)),
      reception_(codec.info().rtp_clock_rate),
      on_digit_(std::move(on_digit)) {}

std::size_t RtpReceiver::samples_of(std::uint32_t ticks) const {
  return static_cast<std::size_t>(std::uint64_t{ticks} * codec_.sample_rate() /
                                  codec_.info().rtp_clock_rate);
}

void RtpReceiver::set_receiving(bool receiving) {
  if (receiving_ == receiving) return;
  receiving_ = receiving;
  jitter_.reset();
  decoded_.clear();
  noise_level_ = 0;
}

void RtpReceiver::on_rtp(ByteView packet, Instant now) {
  const auto view = rtp::RtpView::parse(packet);
  if (!view) {
    ++ignored_;
    return;
  }
  const rtp::RtpHeader header = {.marker = view->marker(),
                                 .payload_type = view->payload_type(),
                                 .sequence = view->sequence(),
                                 .timestamp = view->timestamp(),
                                 .ssrc = view->ssrc()};
  const ByteView payload = view->payload();
  if (format_.receive_dtmf_payload_type == header.payload_type) {
    on_event(header, payload, now);
    return;
  }
  std::uint32_t ticks = 0;
  if (header.payload_type == format_.receive_payload_type) {
    const auto samples = codec_.packet_samples(payload);
    if (samples) {
      ticks = static_cast<std::uint32_t>(std::uint64_t{*samples} * codec_.info().rtp_clock_rate /
                                         codec_.sample_rate());
    }
  } else if (header.payload_type == kComfortNoise && !payload.empty()) {
    ticks = codec_.info().rtp_clock_rate / 1000 * kSilenceMs;
  }
  if (ticks == 0) {
    ++ignored_;
    return;
  }
  reception_.on_packet(header.sequence, header.timestamp, header.ssrc, payload.size(), now);
  if (receiving_) jitter_.insert(header, payload, ticks, now);
}

void RtpReceiver::on_event(const rtp::RtpHeader& header, ByteView payload, Instant now) {
  const auto event = rtp::TelephoneEvent::parse(payload);
  if (!event) {
    ++ignored_;
    return;
  }
  // All packets of an event carry the timestamp of its start (RFC 4733 §2.1); with its duration
  // added they say when they were sent, which is what jitter is measured by.
  const auto duration = static_cast<std::uint32_t>(std::uint64_t{event->duration} *
                                                   codec_.info().rtp_clock_rate / dtmf_clock_rate_);
  reception_.on_packet(header.sequence, header.timestamp + duration, header.ssrc, payload.size(),
                       now);
  if (!receiving_) return;
  jitter_.insert_other(header);
  if (const auto digit = events_.on_packet(header.timestamp, *event); digit && on_digit_) {
    on_digit_(*digit);
  }
}

AudioResult<void> RtpReceiver::pull(std::span<std::int16_t> out, unsigned sample_rate,
                                    Instant now) {
  if (!resampler_ || resampler_->to() != sample_rate) {
    auto made = Resampler::create(codec_.sample_rate(), sample_rate);
    if (!made) {
      std::fill(out.begin(), out.end(), std::int16_t{0});
      return made.error();
    }
    resampler_ = std::move(*made);
    decoded_.clear();
  }
  if (!receiving_) {
    std::fill(out.begin(), out.end(), std::int16_t{0});
    return {};
  }
  while (decoded_.size() < out.size()) produce(now);
  const auto taken = static_cast<std::ptrdiff_t>(out.size());
  std::copy_n(decoded_.begin(), taken, out.begin());
  decoded_.erase(decoded_.begin(), decoded_.begin() + taken);
  return {};
}

/// One packet's worth of audio; each way leads to at least one sample.
void RtpReceiver::produce(Instant now) {
  frame_.clear();
  const JitterBuffer::Playout playout = jitter_.pop(now);
  switch (playout.kind) {
    case JitterBuffer::Kind::frame:
      play_frame(playout);
      break;
    case JitterBuffer::Kind::lost:
      if (noise_level_ > 0) {
        play_silence(samples_of(playout.ticks));
      } else {
        codec_.conceal(samples_of(playout.ticks), playout.next, frame_);
      }
      break;
    case JitterBuffer::Kind::empty:
      break;
  }
  if (frame_.empty()) play_silence(std::size_t{codec_.sample_rate()} / 1000 * kSilenceMs);
  resampler_->process(frame_, decoded_);
}

void RtpReceiver::play_frame(const JitterBuffer::Playout& playout) {
  const std::size_t samples = samples_of(playout.ticks);
  if (playout.payload_type == kComfortNoise && format_.receive_payload_type != kComfortNoise) {
    // RFC 3389 §3.1: level in -dBov; uniform noise of amplitude A has an RMS of A/sqrt(3).
    noise_level_ = 32768.0 * std::sqrt(3.0) * std::pow(10.0, -(playout.payload[0] & 0x7f) / 20.0);
    play_silence(samples);
    return;
  }
  noise_level_ = 0;
  if (!codec_.decode(playout.payload, frame_)) {
    ++undecodable_;
    codec_.conceal(samples, {}, frame_);
    return;
  }
  if (playout.adjust == JitterBuffer::Adjust::shorten) shorten(frame_, codec_.sample_rate());
  if (playout.adjust == JitterBuffer::Adjust::lengthen) lengthen(frame_, codec_.sample_rate());
}

void RtpReceiver::play_silence(std::size_t samples) {
  for (std::size_t i = 0; i < samples; ++i) {
    double value = 0;
    if (noise_level_ > 0) {
      noise_state_ = noise_state_ * 1664525U + 1013904223U;
      value = std::clamp((static_cast<double>(noise_state_ >> 8) / 8388608.0 - 1) * noise_level_,
                         -32768.0, 32767.0);
    }
    frame_.push_back(static_cast<std::int16_t>(value));
  }
}

}  // namespace isthmus::audio
