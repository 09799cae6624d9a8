#include "media/relay.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "media/event_stream.hpp"
#include "rtp/emodel.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::media {
namespace {

using call::LocalMedia;
using call::MediaEndpointId;
using call::MediaError;
using call::RemoteMedia;

constexpr auto kToneInterval = milliseconds(20);
constexpr auto kToneCatchUp = milliseconds(100);  // later than that, packets are left out

/// The address that SDP carries inside a link (PROTOCOL.md).
IpAddress link_address() {
  return IpAddress::v4(0xc0000008);
}

bool is_multicast(const IpAddress& address) {
  if (address.is_v4()) return (address.v4_host_order() >> 28) >= 0xe;  // 224/4, 240/4, broadcast
  return address.bytes()[0] == 0xff;
}

std::uint16_t control_port_of(const RemoteMedia& remote) {
  if (remote.rtcp_port != 0) return remote.rtcp_port;
  return static_cast<std::uint16_t>(remote.port + 1);
}

}  // namespace

const char* to_text(DropReason reason) {
  switch (reason) {
    case DropReason::none:
      return "none";
    case DropReason::too_large:
      return "too_large";
    case DropReason::not_rtp:
      return "not_rtp";
    case DropReason::no_remote:
      return "no_remote";
    case DropReason::unproven_source:
      return "unproven_source";
    case DropReason::wrong_source:
      return "wrong_source";
    case DropReason::unknown_session:
      return "unknown_session";
    case DropReason::unknown_channel:
      return "unknown_channel";
    case DropReason::no_peer:
      return "no_peer";
    case DropReason::no_destination:
      return "no_destination";
    case DropReason::no_link:
      return "no_link";
    case DropReason::send_blocked:
      return "send_blocked";
    case DropReason::send_failed:
      return "send_failed";
  }
  return "unknown";
}

Relay::Stream::Stream(Relay& relay, SourcePolicy policy)
    : media_latch(policy),
      control_latch(policy),
      media(relay, *this, false),
      control(relay, *this, true) {}
Relay::Stream::~Stream() = default;

Relay::Relay(boost::asio::io_context& io, const RelayConfig& config, Random& random)
    : io_(io),
      config_(config),
      random_(random),
      ports_(config.port_low, config.port_high, random),
      batch_(limits::kMediaBatchPackets, limits::kMediaFrameBytes),
      spares_({std::min(config.spare_pairs, ports_.size() / 2), config.spare_quiet,
               limits::kSparePairLatePackets},
              ports_, counters_.late_packets),
      tone_timer_(io),
      event_timer_(io),
      self_(std::make_shared<Relay*>(this)) {}

Relay::~Relay() {
  *self_ = nullptr;
}

void Relay::add_session(std::uint64_t session, MediaLink& link) {
  auto& entry = sessions_[session];
  if (!entry) entry = std::make_unique<Session>();
  entry->link = &link;
}

void Relay::remove_session(std::uint64_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  for (Stream* stream : found->second->pairs) {
    if (stream) stream->session = nullptr;
  }
  sessions_.erase(found);
}

Relay::Stream& Relay::add_stream() {
  auto stream = std::make_unique<Stream>(*this, config_.source);
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  stream->id = (MediaEndpointId{next_generation_++} << 32) | (slot + 1);
  slots_[slot] = std::move(stream);
  ++open_;
  return *slots_[slot];
}

Relay::Stream* Relay::find(MediaEndpointId id) const {
  const auto slot = static_cast<std::uint32_t>(id) - 1;
  if (slot >= slots_.size() || !slots_[slot] || slots_[slot]->id != id) return nullptr;
  return slots_[slot].get();
}

LocalMedia Relay::local_of(const Stream& stream) const {
  LocalMedia local{stream.id, link_address(), stream.port};
  if (stream.kind == Stream::Kind::network) {
    local.address = stream.ipv6 ? config_.advertised_v6.value_or(*config_.bind_v6)
                                : config_.advertised_v4.value_or(config_.bind_v4);
  }
  return local;
}

Result<SocketPair, transport::SocketError> Relay::bind_pair(const IpAddress& address,
                                                            std::uint16_t port) {
  transport::UdpOptions options;
  options.receive_buffer_bytes = config_.receive_buffer_bytes;
  options.traffic_class = config_.mark_traffic ? transport::kExpeditedForwarding : std::uint8_t{0};
  SocketPair pair;
  pair.port = port;
  for (transport::UdpSocket* half : {&pair.media, &pair.control}) {
    options.local = {address, static_cast<std::uint16_t>(half == &pair.control ? port + 1 : port)};
    auto socket = transport::UdpSocket::open(io_, options);
    if (!socket) return socket.error();
    *half = std::move(*socket);
  }
  return pair;
}

void Relay::use_pair(Stream& stream, SocketPair pair) {
  stream.port = pair.port;
  stream.media.socket = std::move(pair.media);
  stream.control.socket = std::move(pair.control);
  stream.media.socket.start(stream.media);
  stream.control.socket.start(stream.control);
}

Result<LocalMedia, MediaError> Relay::open_network(bool ipv6) {
  if (ipv6 && !config_.bind_v6) return MediaError::socket_failed;
  if (auto spare = spares_.take(ipv6, std::chrono::steady_clock::now())) {
    Stream& stream = add_stream();
    stream.ipv6 = ipv6;
    use_pair(stream, std::move(*spare));
    return local_of(stream);
  }
  if (ports_.available() == 0) spares_.give_up();
  const IpAddress address = ipv6 ? *config_.bind_v6 : config_.bind_v4;
  const std::size_t tries = std::min(ports_.available(), limits::kMediaPortTries);
  for (std::size_t attempt = 0; attempt < tries; ++attempt) {
    const auto port = ports_.take();
    if (!port) break;
    auto pair = bind_pair(address, *port);
    if (pair) {
      Stream& stream = add_stream();
      stream.ipv6 = ipv6;
      use_pair(stream, std::move(*pair));
      return local_of(stream);
    }
    ports_.put_back(*port);
    const int code = pair.error().code;
    const bool no_descriptors = code == EMFILE || code == ENFILE;
    if (code == EADDRINUSE || (no_descriptors && spares_.give_up())) continue;
    return MediaError::socket_failed;
  }
  return MediaError::ports_exhausted;
}

Result<LocalMedia, MediaError> Relay::open_link(std::uint64_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return MediaError::no_such_session;
  Session& owner = *found->second;
  for (std::size_t i = 0; i < Session::kPairs; ++i) {
    const std::size_t pair = (owner.next + i) % Session::kPairs;
    if (pair >= owner.pairs.size()) owner.pairs.resize(pair + 1);
    if (owner.pairs[pair]) continue;
    Stream& stream = add_stream();
    stream.kind = Stream::Kind::link;
    stream.session = &owner;
    stream.port = static_cast<std::uint16_t>(limits::kFirstMediaChannel + 2 * pair);
    owner.pairs[pair] = &stream;
    owner.next = pair + 1;
    return local_of(stream);
  }
  return MediaError::channels_exhausted;
}

Result<LocalMedia, MediaError> Relay::open_service(call::MediaService service) {
  Stream& stream = add_stream();
  stream.ssrc = random_.u32();
  if (service == call::MediaService::echo) {
    stream.kind = Stream::Kind::echo;
  } else {
    stream.kind = Stream::Kind::tone;
    stream.tone_sequence = static_cast<std::uint16_t>(random_.u32());
    stream.tone_timestamp = random_.u32();
    if (++tones_ == 1 && !tones_scheduled_) {
      tone_timer_.expires_after(kToneInterval);
      schedule_tones();
    }
  }
  return local_of(stream);
}

void Relay::set_remote(MediaEndpointId id, const RemoteMedia& remote) {
  Stream* stream = find(id);
  if (!stream) return;
  const Instant now = std::chrono::steady_clock::now();
  stream->remote = remote;
  stream->received.set_clock_rate(remote.clock_rate != 0 ? remote.clock_rate : 8000);
  watch_events(*stream);
  if (Stream* peer = find(stream->peer)) {
    watch_events(*peer);
    peer->media_latch.renew(now);
  }
  if (stream->kind == Stream::Kind::link) {
    stream->has_destination = is_media_channel(remote.port);
    return;
  }
  stream->has_destination =
      remote.port != 0 && !remote.address.is_unspecified() && !is_multicast(remote.address);
  // On hold (port 0 or 0.0.0.0) the known source stays known.
  if (!stream->has_destination) return;
  // Where the other kind of address is named, nothing can be sent until its owner is heard, which
  // then sends from one of our kind.
  const bool reachable = remote.address.is_v4() != stream->ipv6;
  if (!reachable) ++counters_.unreachable_remotes;
  stream->media_latch.set_remote({remote.address, remote.port}, now, reachable);
  stream->control_latch.set_remote({remote.address, control_port_of(remote)}, now, reachable);
}

void Relay::join(MediaEndpointId a, MediaEndpointId b) {
  Stream* first = find(a);
  Stream* second = find(b);
  if (!first || !second || first == second) return;
  for (Stream* stream : {first, second}) {
    if (Stream* before = find(stream->peer)) before->peer = 0;
  }
  first->peer = b;
  second->peer = a;
  watch_events(*first);
  watch_events(*second);
}

void Relay::leave_session(Stream& stream) {
  if (!stream.session) return;
  stream.session->pairs[(stream.port - limits::kFirstMediaChannel) / 2] = nullptr;
  stream.session = nullptr;
}

void Relay::close(MediaEndpointId id) {
  Stream* stream = find(id);
  if (!stream) return;
  const auto slot = static_cast<std::uint32_t>(id) - 1;
  if (Stream* peer = find(stream->peer)) peer->peer = 0;
  stream->closed = true;
  if (stream->media.socket.is_open()) {
    spares_.put({std::move(stream->media.socket), std::move(stream->control.socket), stream->port},
                stream->ipv6, std::chrono::steady_clock::now());
  }
  leave_session(*stream);
  if (stream->kind == Stream::Kind::tone) --tones_;
  dead_.push_back(std::move(slots_[slot]));
  free_slots_.push_back(slot);
  --open_;
  if (dispatching_ == 0) bury();
}

void Relay::bury() {
  dead_.clear();
}

call::MediaStatistics Relay::statistics(MediaEndpointId id) const {
  call::MediaStatistics result;
  const Stream* stream = find(id);
  if (!stream) return result;
  result.packets = stream->received.received();
  result.bytes = stream->received.bytes();
  result.lost = stream->received.lost();
  result.dropped = stream->dropped;
  result.packets_sent = stream->packets_sent;
  result.jitter_ms = stream->received.jitter_ms();
  result.loss_ratio = stream->received.loss_ratio();
  result.round_trip_ms = stream->round_trip.milliseconds();
  if (stream->received.started()) {
    rtp::QualityInput quality;
    // Half the round trip, 20 ms of packetisation, and a jitter buffer of twice the jitter.
    quality.one_way_delay_ms = result.round_trip_ms / 2 + 20 + 2 * result.jitter_ms;
    quality.loss_ratio = result.loss_ratio;
    result.mos = rtp::mos(rtp::rating(quality));
  }
  if (stream->kind == Stream::Kind::network) {
    if (const auto remote = stream->media_latch.destination()) result.remote = remote->to_string();
  } else if (stream->kind == Stream::Kind::link && stream->has_destination) {
    result.remote = "channel " + std::to_string(stream->remote.port);
  }
  return result;
}

std::optional<std::uint64_t> Relay::idle_ms(MediaEndpointId id) const {
  const Stream* stream = find(id);
  if (!stream || !stream->last_packet) return std::nullopt;
  const auto idle = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() -
                                                             *stream->last_packet);
  return static_cast<std::uint64_t>(std::max<milliseconds::rep>(idle.count(), 0));
}

void Relay::schedule_tones() {
  tones_scheduled_ = true;
  tone_timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (error || !*self) return;
    Relay& relay = **self;
    relay.tones_scheduled_ = false;
    if (relay.tones_ == 0) return;
    const Instant now = std::chrono::steady_clock::now();
    relay.play_tones(now);
    const Instant due = relay.tone_timer_.expiry() + kToneInterval;
    relay.tone_timer_.expires_at(now - due > kToneCatchUp ? now + kToneInterval : due);
    relay.schedule_tones();
  });
}

void Relay::play_tones(Instant now) {
  Dispatch dispatch(*this);
  std::array<std::uint8_t, 12 + Tone::kPacketSamples> packet;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    Stream* stream = slots_[slot].get();
    if (!stream || stream->kind != Stream::Kind::tone) continue;
    stream->tone_timestamp += static_cast<std::uint32_t>(Tone::kPacketSamples);
    Stream* peer = find(stream->peer);
    const bool ready = peer && peer->has_destination;
    const auto payload = ready ? tone_.payload(peer->remote.payload_type, stream->tone_packets)
                               : std::optional<ByteView>{};
    if (!payload) {
      stream->tone_playing = false;
      continue;
    }
    const bool begins = !std::exchange(stream->tone_playing, true);
    ++stream->tone_packets;
    const std::uint16_t sequence = stream->tone_sequence++;
    const std::uint32_t timestamp = stream->tone_timestamp, ssrc = stream->ssrc;
    const auto byte = [](std::uint32_t value) { return static_cast<std::uint8_t>(value & 0xff); };
    packet = {0x80,
              byte((begins ? 0x80U : 0U) | peer->remote.payload_type),
              byte(std::uint32_t{sequence} >> 8),
              byte(sequence),
              byte(timestamp >> 24),
              byte(timestamp >> 16),
              byte(timestamp >> 8),
              byte(timestamp),
              byte(ssrc >> 24),
              byte(ssrc >> 16),
              byte(ssrc >> 8),
              byte(ssrc)};
    std::copy(payload->begin(), payload->end(), packet.begin() + 12);
    stream->last_packet = now;  // a service never falls silent
    count(stream, send_to(*peer, packet, false));
  }
}

}  // namespace isthmus::media
