#include "client/call_media.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace isthmus::detail {
namespace {

constexpr Duration kStep = milliseconds(20), kDeviceStep = milliseconds(10);
constexpr Duration kLate = milliseconds(200);  ///< a pause of the thread that is not made up for
constexpr int kPlayAheadSteps = 2;             ///< what is kept waiting at the loudspeaker

Instant now() {
  return std::chrono::steady_clock::now();
}

Error audio_error(const audio::AudioError& error) {
  return {ErrorKind::audio, error.message};
}

}  // namespace

Outcome<AudioEnds> AudioEnds::open(AudioOptions options) {
  constexpr std::array<unsigned, 4> kRates = {8000, 16000, 24000, 48000};
  if (std::ranges::find(kRates, options.sample_rate) == kRates.end()) {
    return Error{ErrorKind::bad_argument, "audio sample rate " +
                                              std::to_string(options.sample_rate) +
                                              " Hz is none of 8000, 16000, 24000, 48000"};
  }
  AudioEnds ends;
  if (!options.play_file.empty()) {
    using Mode = audio::FilePlayer::Mode;
    auto player = audio::FilePlayer::open(options.play_file, options.sample_rate,
                                          options.play_loop ? Mode::loop : Mode::once);
    if (!player) return audio_error(player.error());
    ends.player.emplace(std::move(*player));
  }
  if (!options.record_file.empty()) {
    auto recorder = audio::FileRecorder::create(options.record_file, options.sample_rate);
    if (!recorder) return audio_error(recorder.error());
    ends.recorder.emplace(std::move(*recorder));
  }
  if (options.device) {
    ends.device_sends = !options.source && !ends.player;
    audio::DeviceOptions device;
    device.input = ends.device_sends ? options.input_device : "none";
    device.output = options.output_device;
    device.sample_rate = options.sample_rate;
    auto opened = audio::open_audio_device(device);
    if (!opened) return audio_error(opened.error());
    ends.device = std::move(*opened);
  }
  ends.options = std::move(options);
  return ends;
}

CallMedia::CallMedia(boost::asio::io_context& io, net::ClientConnection& connection, Random& random,
                     AudioEnds ends, std::function<void(char)> on_dtmf)
    : connection_(connection),
      random_(random),
      ends_(std::move(ends)),
      on_dtmf_(std::move(on_dtmf)),
      cname_(random.token(16)),
      timer_(io),
      step_(ends_.device ? kDeviceStep : kStep) {}

Outcome<void> CallMedia::update(const ua::AgreedMedia& agreed) {
  const bool same_stream = stream_ != nullptr && agreed.codec == agreed_.codec &&
                           agreed.send_payload_type == agreed_.send_payload_type &&
                           agreed.receive_payload_type == agreed_.receive_payload_type &&
                           agreed.send_dtmf_payload_type == agreed_.send_dtmf_payload_type &&
                           agreed.receive_dtmf_payload_type == agreed_.receive_dtmf_payload_type &&
                           agreed.ptime_ms == agreed_.ptime_ms;
  if (!same_stream) {
    audio::AudioStreamConfig config;
    config.codec = agreed.codec;
    config.format = {agreed.send_payload_type,      agreed.receive_payload_type,
                     agreed.send_dtmf_payload_type, agreed.receive_dtmf_payload_type,
                     agreed.dtmf_clock_rate,        agreed.ptime_ms};
    config.cname = cname_;
    audio::AudioStreamHandlers handlers;
    handlers.send_rtp = [this](ByteView packet) {
      connection_.send_media(agreed_.remote_channel, packet);
    };
    handlers.send_rtcp = [this](ByteView packet) {
      connection_.send_media(agreed_.remote_rtcp_channel, packet);
    };
    handlers.on_dtmf = on_dtmf_;
    auto made = audio::AudioStream::create(config, random_, std::move(handlers), now());
    if (!made) return audio_error(made.error());
    if (stream_) {
      const auto before = stream_->statistics(now());
      past_.packets_sent += before.packets_sent;
      past_.payload_bytes_sent += before.payload_bytes_sent;
      past_.packets_received += before.packets_received;
      past_.payload_bytes_received += before.payload_bytes_received;
      past_.lost += before.lost;
      past_.late += before.late;
      stream_->close(now());
    }
    const bool first = stream_ == nullptr;
    agreed_ = agreed;
    stream_ = std::move(*made);
    if (first) {
      next_tick_ = now() + step_;
      arm();
    }
  }
  agreed_ = agreed;
  stream_->set_direction(agreed.send, agreed.receive);
  return {};
}

void CallMedia::arm() {
  timer_.expires_at(next_tick_);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->closed_) return;
    const Instant at = now();
    if (at - self->next_tick_ > kLate) self->next_tick_ = at;
    self->next_tick_ += self->step_;
    self->tick(at);
    if (!self->closed_) self->arm();
  });
}

void CallMedia::tick(Instant at) {
  send_audio(at);
  if (!closed_) receive_audio(at);
  if (!closed_ && stream_->next_deadline() <= at) stream_->on_timeout(at);
}

void CallMedia::take_source(std::span<std::int16_t> frame) {
  if (ends_.options.source) return ends_.options.source(frame);
  if (ends_.player && answered_) return ends_.player->read(frame);
  const std::size_t count = std::min(frame.size(), pushed_.size());
  const auto end = pushed_.begin() + static_cast<std::ptrdiff_t>(count);
  std::copy(pushed_.begin(), end, frame.begin());
  std::fill(frame.begin() + static_cast<std::ptrdiff_t>(count), frame.end(), std::int16_t{0});
  pushed_.erase(pushed_.begin(), end);
}

// An impossible rate is the only error of push and pull; open() let none pass.
void CallMedia::send_audio(Instant at) {
  const unsigned rate = ends_.options.sample_rate;
  if (ends_.device_sends) {
    frame_.resize(rate / 10);
    const std::size_t count = ends_.device->read(frame_);
    (void)stream_->push_audio({frame_.data(), count}, ends_.device->sample_rate(), at);
    return;
  }
  frame_.resize(rate / static_cast<unsigned>(seconds(1) / step_));
  take_source(frame_);
  (void)stream_->push_audio(frame_, rate, at);
}

void CallMedia::receive_audio(Instant at) {
  if (!ends_.device) {
    frame_.resize(ends_.options.sample_rate / static_cast<unsigned>(seconds(1) / step_));
    (void)stream_->pull_audio(frame_, ends_.options.sample_rate, at);
    deliver(frame_);
    return;
  }
  const unsigned rate = ends_.device->sample_rate();
  const std::size_t samples = rate / static_cast<unsigned>(seconds(1) / step_);
  for (int i = 0; i < 2 * kPlayAheadSteps && !closed_; ++i) {
    if (ends_.device->queued() >= kPlayAheadSteps * samples) break;
    frame_.resize(samples);
    (void)stream_->pull_audio(frame_, rate, at);
    ends_.device->write(frame_);
    deliver(frame_);
  }
}

void CallMedia::deliver(std::span<const std::int16_t> samples) {
  const unsigned rate = ends_.device ? ends_.device->sample_rate() : ends_.options.sample_rate;
  if (ends_.recorder) ends_.recorder->record(samples, rate);
  if (ends_.options.sink) ends_.options.sink(samples);
}

void CallMedia::on_packet(std::uint32_t channel, ByteView bytes) {
  if (!stream_ || closed_) return;
  if (channel == agreed_.local_channel) {
    stream_->on_rtp(bytes, now());
  } else {
    stream_->on_rtcp(bytes, now());
  }
}

void CallMedia::push(std::span<const std::int16_t> samples) {
  const std::size_t room =
      ends_.options.sample_rate - std::min<std::size_t>(pushed_.size(), ends_.options.sample_rate);
  const auto taken = samples.first(std::min(room, samples.size()));
  pushed_.insert(pushed_.end(), taken.begin(), taken.end());
}

Outcome<void> CallMedia::send_dtmf(std::string_view digits, milliseconds duration) {
  if (!stream_) return Error{ErrorKind::wrong_state, "no media is agreed yet"};
  if (auto sent = stream_->send_dtmf(digits, now(), duration); !sent) {
    return Error{ErrorKind::bad_argument, sent.error().message};
  }
  return {};
}

void CallMedia::close() {
  if (std::exchange(closed_, true)) return;
  timer_.cancel();
  if (stream_) stream_->close(now());
  if (ends_.recorder) (void)ends_.recorder->close();
}

void CallMedia::fill(CallStatistics& to) const {
  if (!stream_) return;
  const audio::AudioStreamStatistics from = stream_->statistics(now());
  to.codec = std::string(stream_->codec().name);
  to.packets_sent = past_.packets_sent + from.packets_sent;
  to.packets_received = past_.packets_received + from.packets_received;
  to.packets_lost = past_.lost + from.lost;
  to.packets_late = past_.late + from.late;
  to.bytes_sent = past_.payload_bytes_sent + from.payload_bytes_sent;
  to.bytes_received = past_.payload_bytes_received + from.payload_bytes_received;
  const std::uint64_t expected = to.packets_received + to.packets_lost;
  to.loss_ratio =
      expected == 0 ? 0 : static_cast<double>(to.packets_lost) / static_cast<double>(expected);
  to.concealed_ratio = from.concealed_ratio;
  to.jitter_ms = from.jitter_ms;
  to.jitter_buffer_ms = from.jitter_buffer_ms;
  to.round_trip_ms = from.round_trip_ms;
  to.remote_loss_ratio = from.remote_loss_ratio;
  to.remote_jitter_ms = from.remote_jitter_ms;
  to.mos = from.mos;
}

}  // namespace isthmus::detail
