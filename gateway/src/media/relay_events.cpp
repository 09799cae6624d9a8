// Telephone events (RFC 4733) that the relay takes out of a stream or plays into one, where a call
// converts digits (call::RemoteMedia::events). A stream without conversion never comes here.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstring>

#include "media/event_stream.hpp"
#include "media/relay.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::media {
namespace {

constexpr auto kEventInterval = milliseconds(20);
constexpr auto kEventCatchUp = milliseconds(100);  // later than that, intervals are left out

std::uint8_t byte(std::uint32_t value) {
  return static_cast<std::uint8_t>(value & 0xff);
}

std::uint32_t ticks_of(std::uint32_t clock_rate) {
  return std::max(clock_rate / 50, 1U);
}

}  // namespace

/// Once events are taken from a stream or played to its peer, its packets are numbered here: from
/// before the first event on, so that what is played continues the stream.
void Relay::watch_events(Stream& stream) {
  const Stream* peer = find(stream.peer);
  const bool played_to = peer && peer->remote.events.plays();
  if (!stream.events && (stream.remote.events.taken.any() || played_to))
    stream.events = std::make_unique<EventStream>();
}

/// A packet of a stream with events: see EventStream.
DropReason Relay::forward_spliced(Stream& from, const rtp::RtpView& packet, ByteView bytes,
                                  Instant now) {
  EventStream& events = *from.events;
  if (from.remote.events.taken.test(packet.payload_type())) {
    events.splice.take_out(packet.sequence(), packet.ssrc());
    if (const auto event = rtp::TelephoneEvent::parse(packet.payload())) {
      for (const auto& digit : events.heard.on_packet(packet.timestamp(), *event, now)) {
        if (digit) report(from, *digit);
      }
    }
    ++counters_.event_packets;
    return DropReason::none;
  }
  if (const auto digit = events.heard.on_other(now)) report(from, *digit);
  const auto sequence =
      events.splice.pass(packet.sequence(), packet.timestamp(), packet.ssrc(), now);
  if (!sequence) {
    ++counters_.event_packets;  // an event stands in its place
    return DropReason::none;
  }
  if (*sequence == packet.sequence()) return forward(from, bytes, false, now);
  std::array<std::uint8_t, limits::kMediaFrameBytes> copy;
  if (bytes.size() > copy.size()) return DropReason::too_large;
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  copy[2] = byte(std::uint32_t{*sequence} >> 8);
  copy[3] = byte(*sequence);
  return forward(from, ByteView(copy).first(bytes.size()), false, now);
}

/// Tells the owner once the packet is through: it may close streams and send anything. A flood of
/// digits costs no more than what is kept here.
void Relay::report(const Stream& from, const rtp::DigitCollector::Digit& digit) {
  if (heard_.size() == limits::kDtmfQueueDigits) return;
  const std::uint64_t ms = std::uint64_t{digit.ticks} * 1000 / from.remote.events.clock();
  heard_.push_back({from.id, from.remote.events.call, digit.digit, static_cast<unsigned>(ms)});
  if (heard_.size() > 1) return;
  boost::asio::post(io_, [self = self_] {
    if (!*self) return;
    const std::vector<HeardDigit> heard = std::exchange((*self)->heard_, {});
    for (const HeardDigit& each : heard) {
      if (*self && (*self)->on_digit) (*self)->on_digit(each);
    }
  });
}

bool Relay::play_digit(call::MediaEndpointId to, char digit, unsigned duration_ms) {
  Stream* stream = find(to);
  Stream* from = stream ? find(stream->peer) : nullptr;
  if (!from || !from->events || !stream->remote.events.plays()) return false;
  EventStream& events = *from->events;
  const Instant now = std::chrono::steady_clock::now();
  const bool begins = !events.player;
  if (begins) {
    events.player_clock = stream->remote.events.clock();
    events.player.emplace(events.player_clock, ticks_of(events.player_clock));
  }
  if (!events.player->add(digit, duration_ms)) {
    if (begins) events.player.reset();
    return false;
  }
  if (!begins) return true;
  events.play_time = events.splice.begin(events.player_clock, now, random_);
  playing_.push_back(to);
  if (playing_.size() > 1) return true;
  event_timer_.expires_after(milliseconds(0));
  schedule_events();
  return true;
}

void Relay::schedule_events() {
  event_timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (error || !*self) return;
    Relay& relay = **self;
    const Instant now = std::chrono::steady_clock::now();
    relay.play_events(now);
    if (relay.playing_.empty()) return;
    const Instant due = relay.event_timer_.expiry() + kEventInterval;
    relay.event_timer_.expires_at(now - due > kEventCatchUp ? now + kEventInterval : due);
    relay.schedule_events();
  });
}

void Relay::play_events(Instant now) {
  Dispatch dispatch(*this);
  std::erase_if(playing_, [&](call::MediaEndpointId id) {
    Stream* to = find(id);
    Stream* from = to ? find(to->peer) : nullptr;
    return !from || !from->events || !play_event(*from, *to, now);
  });
}

/// One interval. @return false: everything has been played.
bool Relay::play_event(Stream& from, Stream& to, Instant now) {
  EventStream& events = *from.events;
  if (!events.player) return false;
  const auto next = events.player->next();
  const std::uint32_t time = events.play_time;
  events.play_time += ticks_of(events.player_clock);
  if (next && to.remote.events.plays()) {
    const rtp::SequenceSplice::Inserted place = events.splice.insert();
    const std::uint32_t timestamp = time - next->timestamp_offset;
    Bytes payload, packet;
    next->event.write(payload);
    rtp::write_rtp({next->marker, to.remote.events.type, place.sequence, timestamp, place.ssrc},
                   payload, packet);
    from.last_packet = now;  // whoever presses digits has not gone
    count(&from, send_to(to, packet, false));
  }
  if (events.player->active()) return true;
  events.player.reset();
  events.splice.end();
  return false;
}

}  // namespace isthmus::media
