#include "quic/link_core.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "wire/control_codec.hpp"

namespace isthmus::quic {

using wire::CloseCode;

namespace {

constexpr std::size_t kEarlyBytes = limits::kHelloBytes + 16;  ///< a Hello with its frame
/// Channel (at most 8 bytes as a varint) before the largest reliable frame.
constexpr std::size_t kMessageBytes = limits::kReliableFrameBytes + 8;

CloseCode code_of(wire::FrameError error) {
  const bool limit =
      error == wire::FrameError::too_large || error == wire::FrameError::channel_out_of_range;
  return limit ? CloseCode::limit_exceeded : CloseCode::protocol_error;
}

/// Master key and salt, as the key log has them.
std::string line_of(const MediaKey& key) {
  const ByteView bytes(key);
  return to_hex(bytes.first(kMediaMasterBytes)) + ' ' + to_hex(bytes.subspan(kMediaMasterBytes));
}

/// A Hello with a resume token?
bool resumes(ByteView control) {
  v1::ControlMessage message;
  return wire::parse_control(control, message) && message.has_hello() &&
         message.hello().has_resume();
}

std::uint32_t clock_ms(Instant now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count());
}

}  // namespace

DatagramKind kind_of(ByteView datagram) {
  if (datagram.empty()) return DatagramKind::other;
  const std::uint8_t first = datagram[0];
  if (first >= 192 || (first >= 64 && first <= 127)) return DatagramKind::quic;
  return first >= 128 ? DatagramKind::media : DatagramKind::other;
}

LinkCore::LinkCore(Side side, std::unique_ptr<Connection> connection, std::uint32_t media_id,
                   LinkEvents& events)
    : side_(side),
      connection_(std::move(connection)),
      media_id_(media_id),
      events_(&events),
      media_path_(connection_->path()),
      quic_path_(media_path_) {}

void LinkCore::on_datagram(const Path& path, MutableBytes datagram, Instant now) {
  ++counters_.datagrams_in;
  counters_.bytes_in += datagram.size();
  if (state_ == State::closed) return;
  switch (kind_of(datagram)) {
    case DatagramKind::media:
      return on_media_datagram(path, datagram);
    case DatagramKind::quic:
      connection_->read(path, datagram, now);
      return on_connection(now);
    case DatagramKind::other:
      ++counters_.other_datagrams;
  }
}

void LinkCore::on_media_datagram(const Path& path, MutableBytes datagram) {
  if (!cipher_) {
    ++counters_.media_early;
    return;
  }
  const auto opened = cipher_->open(datagram);
  if (!opened) {
    switch (cipher_->fault()) {
      case MediaFault::malformed:
        ++counters_.media_malformed;
        break;
      case MediaFault::forged:
        ++counters_.media_forged;
        break;
      case MediaFault::replayed:
        ++counters_.media_replayed;
        break;
    }
    return;
  }
  ++counters_.media_packets_in;
  counters_.media_bytes_in += datagram.size();
  // A gateway's address does not change; a client's does, whenever a NAT forgets it.
  if (opened->newest && side_ == Side::server) move_media_to(path);
  if (state_ == State::open) deliver_media(opened->payload);
}

void LinkCore::move_media_to(const Path& path) {
  if (media_path_ == path) return;
  if (media_path_.remote != path.remote) ++counters_.address_moves;
  media_path_ = path;
}

/// What the connection became by the last input.
void LinkCore::on_connection(Instant now) {
  if (!cipher_ && connection_->ready()) begin_media();
  if (side_ == Side::server && state_ == State::handshake && connection_->early()) take_early();
  if (const Path path = connection_->path(); path != quic_path_) {
    quic_path_ = path;
    move_media_to(path);
  }
  deliver_stream();
  if (state_ == State::draining && connection_->unacknowledged_bytes() == 0) {
    connection_->close(code_, reason_);
  }
  media_room_ = connection_->largest_datagram() - kMediaOverhead;
  if (const auto& end = connection_->ended()) finish(end->code, end->text);
  if (drain_until_ && now >= *drain_until_) connection_->close(code_, reason_);
}

void LinkCore::begin_media() {
  std::array<std::uint8_t, 2 * sizeof(MediaKey)> exported{};
  MediaKeys keys;
  if (connection_->export_keys(kMediaKeyLabel, exported)) {
    std::copy_n(exported.begin(), keys.client.size(), keys.client.begin());
    std::copy_n(exported.begin() + sizeof(MediaKey), keys.server.size(), keys.server.begin());
    const bool client = side_ == Side::client;
    const MediaKey& send = client ? keys.client : keys.server;
    const MediaKey& receive = client ? keys.server : keys.client;
    cipher_ = MediaCipher::make(send, receive, media_id_);
    if (connection_->media_key_log()) {
      key_to_log_ = line_of(send);
      log_key(media_id_, line_of(receive));
    }
  }
  if (!cipher_) return cut(CloseCode::internal_error, "no keys for media");
  if (connection_->early_refused()) ++counters_.early_refused;
  const State before = state_;
  if (before == State::handshake || before == State::early) state_ = State::open;
  if (before == State::handshake && events_ != nullptr) events_->on_ready();
}

void LinkCore::log_key(std::uint32_t media_id, std::string_view key) {
  std::array<std::uint8_t, 4> ssrc{};
  for (std::size_t i = 0; i < ssrc.size(); ++i) {
    ssrc[i] = static_cast<std::uint8_t>(media_id >> (24 - 8 * i));
  }
  connection_->media_key_log()("SRTP " + to_hex(ssrc) + " AEAD_AES_128_GCM " + std::string(key));
}

void LinkCore::set_peer_media_id(std::uint32_t id) {
  peer_media_id_ = id;
  if (id != 0 && !key_to_log_.empty()) log_key(id, std::exchange(key_to_log_, {}));
}

/// The first message, if it is one that may be heard twice (PROTOCOL.md section 4, Replay).
void LinkCore::take_early() {
  if (stream_.size() <= kEarlyBytes) {
    const Bytes fresh = connection_->take_received();
    stream_.insert(stream_.end(), fresh.begin(), fresh.end());
  }
  std::size_t used = 0;
  const auto message = next_message(0, used);
  if (!message) return;
  wire::FrameReader reader(*message);
  const auto frame = reader.next();
  if (!frame || frame->channel != wire::kControlChannel || !resumes(frame->bytes)) {
    counters_.early_held = 1;
    return;
  }
  state_ = State::early;
  ++counters_.early_hellos;
  if (events_ != nullptr) events_->on_ready();
  if (state_ == State::early) deliver_reliable(*message);
  stream_.erase(stream_.begin(), stream_.begin() + static_cast<std::ptrdiff_t>(used));
}

/// The message that begins at `from` of what came. @param used  set to where it ends.
/// @return nothing: it is not all there, or is a fault, which has ended the link
std::optional<ByteView> LinkCore::next_message(std::size_t from, std::size_t& used) {
  Reader reader(ByteView(stream_).subspan(from));
  const std::uint64_t length = reader.varint();
  if (!reader.ok()) return std::nullopt;
  if (length == 0 || length > kMessageBytes) {
    malformed(length == 0 ? wire::FrameError::empty : wire::FrameError::too_large);
    return std::nullopt;
  }
  if (reader.remaining() < length) return std::nullopt;
  used = from + reader.offset() + static_cast<std::size_t>(length);
  return reader.take(static_cast<std::size_t>(length));
}

void LinkCore::deliver_stream() {
  if (state_ == State::handshake || state_ == State::early || held_) return;
  const Bytes fresh = connection_->take_received();
  if (state_ != State::open || (fresh.empty() && stream_.empty())) return;
  stream_.insert(stream_.end(), fresh.begin(), fresh.end());
  std::size_t used = 0;
  while (state_ == State::open && used < stream_.size()) {
    const auto message = next_message(used, used);
    if (!message) break;
    deliver_reliable(*message);
  }
  stream_.erase(stream_.begin(), stream_.begin() + static_cast<std::ptrdiff_t>(used));
  if (stream_.empty() && stream_.capacity() > limits::kLinkBufferKeptBytes) stream_ = {};
}

void LinkCore::release() {
  held_ = false;
  deliver_stream();
}

void LinkCore::deliver_reliable(ByteView message) {
  wire::FrameReader reader(message);
  if (const auto frame = reader.next()) {
    if (frame->channel >= limits::kFirstMediaChannel) {
      return malformed(wire::FrameError::channel_out_of_range);
    }
    ++counters_.reliable_frames_in;
    if (events_ != nullptr) events_->on_reliable(frame->channel, frame->bytes);
  }
  if (reader.error() && state_ == State::open) malformed(*reader.error());
}

/// Faults in here are the peer's: the packet was authentic.
void LinkCore::deliver_media(ByteView payload) {
  wire::FrameReader reader(payload);
  while (const auto frame = reader.next()) {
    if (frame->channel < limits::kFirstMediaChannel) {
      ++counters_.media_malformed;
      return;
    }
    ++counters_.media_frames_in;
    if (events_ != nullptr) events_->on_media(frame->channel, frame->bytes);
    if (state_ != State::open || events_ == nullptr) return;
  }
  if (reader.error()) malformed(*reader.error());
}

void LinkCore::malformed(wire::FrameError error) {
  ++counters_.malformed_frames;
  cut(code_of(error), std::string("a malformed message came: ") + wire::to_text(error));
}

/// Ends the link without waiting for what is queued.
void LinkCore::cut(CloseCode code, std::string reason) {
  if (state_ == State::closed) return;
  connection_->close(code, reason);
  finish(code, std::move(reason));
}

void LinkCore::finish(CloseCode code, std::string reason) {
  if (state_ == State::closed) return;
  if (state_ == State::draining) {  // we asked for it
    code = code_;
    reason = reason_;
  }
  state_ = State::closed;
  drain_until_.reset();
  // The callback may end us, so the reason is its own.
  if (LinkEvents* events = std::exchange(events_, nullptr)) events->on_closed(code, reason);
}

void LinkCore::on_timeout(Instant now) {
  if (state_ == State::closed) return;
  if (drain_until_ && now >= *drain_until_) connection_->close(code_, reason_);
  connection_->on_timeout(now);
  on_connection(now);
}

std::optional<Instant> LinkCore::next_deadline() const {
  if (state_ == State::closed) return std::nullopt;
  std::optional<Instant> deadline = connection_->next_deadline();
  if (drain_until_ && (!deadline || *drain_until_ < *deadline)) deadline = drain_until_;
  return deadline;
}

void LinkCore::flush_media(Instant now, DatagramSink& sink) {
  const std::size_t full = std::exchange(full_count_, 0);
  for (std::size_t i = 0; i < full; ++i) send_packet(full_[i], now, sink);
  if (!bundle_waits()) return;
  writer_.reset();
  send_packet(bundle_, now, sink);
}

void LinkCore::send_packet(Bytes& packet, Instant now, DatagramSink& sink) {
  if (state_ == State::closed) return;
  if (!cipher_->seal(peer_media_id_, clock_ms(now), packet)) {
    return cut(CloseCode::going_away, "the keys of media are used up");
  }
  ++counters_.media_packets_out;
  counters_.media_bytes_out += packet.size();
  ++counters_.datagrams_out;
  counters_.bytes_out += packet.size();
  sink.send(media_path_, packet);
}

void LinkCore::flush(Instant now, DatagramSink& sink) {
  flush_media(now, sink);
  std::array<std::uint8_t, kLargestDatagram> out;
  Path path;
  while (const std::size_t length = connection_->write(out, path, now)) {
    ++counters_.datagrams_out;
    counters_.bytes_out += length;
    sink.send(path, ByteView(out).first(length));
  }
  if (const auto& end = connection_->ended()) finish(end->code, end->text);
}

void LinkCore::send_reliable(wire::Channel channel, ByteView bytes) {
  if ((state_ != State::open && state_ != State::early) || bytes.empty()) return;
  Bytes message;
  message.reserve(bytes.size() + 8);
  if (const auto wrong = wire::write_reliable(channel, bytes, message)) {
    return cut(code_of(*wrong), "a frame of " + std::to_string(bytes.size()) +
                                    " bytes was to be sent: " + wire::to_text(*wrong));
  }
  if (connection_->unacknowledged_pieces() >= limits::kReliableQueueFrames ||
      connection_->unacknowledged_bytes() + message.size() > limits::kReliableQueueBytes) {
    return cut(CloseCode::too_slow, "the peer reads too slowly, " +
                                        std::to_string(connection_->unacknowledged_bytes()) +
                                        " bytes wait");
  }
  queue(message);
}

void LinkCore::queue(ByteView message) {
  Bytes framed;
  framed.reserve(message.size() + 4);
  Writer writer(framed);
  writer.varint(message.size());
  writer.bytes(message);
  connection_->send(std::move(framed));
  ++counters_.reliable_frames_out;
}

bool LinkCore::send_early(ByteView hello) {
  if (state_ != State::handshake || side_ != Side::client || !connection_->early()) return false;
  Bytes message;
  if (wire::write_reliable(wire::kControlChannel, hello, message)) return false;
  queue(message);
  ++counters_.early_hellos;
  held_ = true;
  return true;
}

void LinkCore::send_media(wire::Channel channel, ByteView bytes) {
  if (state_ != State::open && state_ != State::early) return;
  if (!cipher_ || peer_media_id_ == 0) {
    ++counters_.media_early;
    return;
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!writer_) {
      bundle_.assign(kMediaHeaderBytes, 0);
      writer_.emplace(bundle_, media_room_);
    }
    if (writer_->add(channel, bytes)) {
      ++counters_.media_frames_out;
      return;
    }
    if (writer_->frames() == 0) {
      writer_.reset();  // its bound may be old: the path's MTU is found while the link lives
      break;
    }
    put_full_aside();
  }
  ++counters_.media_too_large;
}

/// A full bundle waits for flush_media() while another begins.
void LinkCore::put_full_aside() {
  writer_.reset();
  if (full_count_ == full_.size()) full_.emplace_back();
  std::swap(full_[full_count_++], bundle_);
}

void LinkCore::close(CloseCode code, std::string_view reason, Instant now) {
  if (state_ == State::closed || state_ == State::draining) return;
  code_ = code;
  reason_ = reason;
  if (state_ == State::handshake || connection_->unacknowledged_bytes() == 0) {
    state_ = State::draining;
    connection_->close(code, reason);
    return;  // flush() says it and finishes
  }
  state_ = State::draining;
  drain_until_ = now + limits::kLinkCloseLife;
}

void LinkCore::abandon() {
  events_ = nullptr;
  if (state_ == State::handshake || state_ == State::early || state_ == State::open) {
    // Not `normal`, which would end the session too.
    connection_->close(CloseCode::going_away, {});
    state_ = State::draining;
  }
}

void LinkCore::end() {
  events_ = nullptr;
  connection_->close(code_, reason_);
}

bool LinkCore::migrate(const Path& path, Instant now) {
  if (state_ == State::closed || !connection_->migrate(path, now)) return false;
  quic_path_ = path;
  media_path_ = path;
  return true;
}

UdpCounters LinkCore::counters() const {
  UdpCounters counters = counters_;
  if (cipher_) counters.media_lost = cipher_->lost();
  counters.key_updates = connection_->key_updates();
  return counters;
}

}  // namespace isthmus::quic
