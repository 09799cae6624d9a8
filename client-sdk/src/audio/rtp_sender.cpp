#include "audio/rtp_sender.hpp"

#include <string>

#include "base/limits.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::audio {
namespace {

/// A pause in the pushed audio longer than that is a pause in media time, not a late timer.
constexpr Duration kPause = milliseconds(200);

}  // namespace

RtpSender::RtpSender(Codec& codec, const RtpFormat& format, Random& random, PacketSink sink)
    : codec_(codec),
      format_(format),
      sink_(std::move(sink)),
      ptime_ms_(codec.usable_ptime(format.ptime_ms)),
      packet_ticks_(codec.info().rtp_clock_rate / 1000 * ptime_ms_),
      dtmf_clock_rate_(format.dtmf_clock_rate != 0 ? format.dtmf_clock_rate
                                                   : codec.info().rtp_clock_rate),
      events_(dtmf_clock_rate_, dtmf_clock_rate_ / 1000 * ptime_ms_),
      ssrc_(random.u32()),
      // Below 2^15, so that SRTP's rollover counter cannot be guessed wrong by early loss (RFC 3711
      // §3.3.1).
      sequence_(static_cast<std::uint16_t>(random.u32() & 0x7fff)),
      timestamp_(random.u32()) {}

std::uint32_t RtpSender::ticks(Duration duration) const {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(us * codec_.info().rtp_clock_rate / 1'000'000);
}

std::uint32_t RtpSender::timestamp_at(Instant now) const {
  return packets_ == 0 ? timestamp_ : timestamp_ + ticks(now - last_frame_);
}

/// Media time goes on while nothing is pushed (hold, mute, a stopped device); RFC 3550 §5.1 wants
/// timestamps to follow the sampling clock even then. Measured from push to push, so that an audio
/// clock that differs from ours does not add up to a false pause.
void RtpSender::catch_up(Duration pushed, Instant now) {
  if (last_push_ && now - *last_push_ > pushed + kPause) {
    pending_.clear();
    const Duration paused = now - last_frame_ - pushed;
    if (paused > Duration::zero()) timestamp_ += ticks(paused);
    marker_ = true;
  }
  last_push_ = now;
}

AudioResult<void> RtpSender::push(SampleView samples, unsigned sample_rate, Instant now) {
  if (!resampler_ || resampler_->from() != sample_rate) {
    auto made = Resampler::create(sample_rate, codec_.sample_rate());
    if (!made) return made.error();
    resampler_ = std::move(*made);
  }
  if (!sending_) return {};
  catch_up(std::chrono::microseconds(samples.size() * 1'000'000 / sample_rate), now);
  resampler_->process(samples, pending_);
  const std::size_t frame = std::size_t{codec_.sample_rate()} / 1000 * ptime_ms_;
  std::size_t sent = 0;
  for (; pending_.size() - sent >= frame; sent += frame) {
    send_frame(SampleView(pending_).subspan(sent, frame), now);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(sent));
  return {};
}

void RtpSender::send_frame(SampleView frame, Instant now) {
  if (event_due_) event_due_ = now + milliseconds(2 * ptime_ms_);
  if (!send_event()) {
    if (codec_.encode(frame, payload_)) {
      send_packet(format_.send_payload_type, timestamp_, marker_, payload_);
      marker_ = false;
    }
  }
  timestamp_ += packet_ticks_;
  last_frame_ = now;
}

AudioResult<void> RtpSender::send_dtmf(std::string_view digits, milliseconds duration,
                                       Instant now) {
  if (!format_.send_dtmf_payload_type) {
    return AudioError{AudioFault::bad_argument, "DTMF: the far end does not take telephone events"};
  }
  if (duration < milliseconds(40) || duration > milliseconds(6000)) {
    return AudioError{AudioFault::bad_argument,
                      "DTMF: a digit lasts 40 to 6000 ms, not " + std::to_string(duration.count())};
  }
  for (const char digit : digits) {
    if (!rtp::event_of(digit)) {
      return AudioError{AudioFault::bad_argument,
                        std::string("DTMF: '") + digit + "' is none of 0-9 * # A-D"};
    }
  }
  if (!event_due_) event_due_ = now + milliseconds(2 * ptime_ms_);
  for (const char digit : digits) {
    if (!events_.add(digit, static_cast<unsigned>(duration.count()))) {
      return AudioError{AudioFault::bad_argument, "DTMF: more than " +
                                                      std::to_string(limits::kDtmfQueueDigits) +
                                                      " digits waiting; the rest was not queued"};
    }
  }
  return {};
}

/// @return whether an event took the place of this frame
bool RtpSender::send_event() {
  if (!events_.active()) {
    event_due_.reset();
    return false;
  }
  const auto event = events_.next();
  if (!event) return false;  // the gap between two digits
  payload_.clear();
  event->event.write(payload_);
  const auto back = static_cast<std::uint32_t>(std::uint64_t{event->timestamp_offset} *
                                               codec_.info().rtp_clock_rate / dtmf_clock_rate_);
  send_packet(*format_.send_dtmf_payload_type, timestamp_ - back, event->marker, payload_);
  marker_ = true;
  return true;
}

void RtpSender::send_packet(std::uint8_t payload_type, std::uint32_t timestamp, bool marker,
                            ByteView payload) {
  rtp::write_rtp({.marker = marker,
                  .payload_type = payload_type,
                  .sequence = sequence_++,
                  .timestamp = timestamp,
                  .ssrc = ssrc_},
                 payload, packet_);
  ++packets_;
  payload_bytes_ += payload.size();
  sink_(packet_);
}

std::optional<Instant> RtpSender::next_deadline() const {
  return event_due_;
}

void RtpSender::on_timeout(Instant now) {
  while (event_due_ && *event_due_ <= now) {
    const Instant due = *event_due_;
    // The first event after silence: media time has passed since the last frame.
    const Duration since = due - last_frame_;
    const Duration packet = milliseconds(ptime_ms_);
    if (packets_ != 0 && since > packet + kPause) timestamp_ += ticks(since - packet);
    send_event();
    timestamp_ += packet_ticks_;
    last_frame_ = due;
    last_push_ = due;
    if (event_due_) event_due_ = due + packet;
  }
}

}  // namespace isthmus::audio
