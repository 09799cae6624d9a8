#include "wire/session_core.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.hpp"
#include "wire/control_codec.hpp"

namespace isthmus::wire {

void SessionCore::open(Instant now) {
  opened_ = now;
  last_heard_ = now;
}

void SessionCore::establish(std::uint32_t keep_alive_ms, Instant now) {
  established_ = true;
  keep_alive_ = keep_alive_ms == 0
                    ? limits::kKeepAlive
                    : std::clamp<Duration>(milliseconds(keep_alive_ms), limits::kMinKeepAlive,
                                           limits::kMaxKeepAlive);
  last_heard_ = now;
  next_ping_ = now + keep_alive_;
  held_.reset();
  peer_silence_ = {};
  end_search();
}

void SessionCore::end_search() {
  if (search_) statistics_.way_back_lost += search_->lost();
  search_.reset();
  awaited_.reset();
}

void SessionCore::search_keep_alive(KeepAliveBounds bounds, Instant now) {
  end_search();
  search_.emplace(bounds);
  next_ping_ = now;
}

void SessionCore::fix_keep_alive(Duration interval, Instant now) {
  end_search();
  keep_alive_ = std::clamp(interval, limits::kMinKeepAlive, keep_alive_);
  next_ping_ = now + keep_alive_;
}

void SessionCore::enable_compact_rtp() {
  compact_ = true;
  media_out_.enable();
  media_in_.enable();
}

ByteView SessionCore::write_media(Channel channel, ByteView packet, Instant now,
                                  SessionEvents& out) {
  on_traffic();
  const ByteView frame = media_out_.write(channel, packet, now);
  if (const auto proposal = media_out_.take_proposal()) send(to_message(*proposal), out);
  return frame;
}

std::optional<ByteView> SessionCore::read_media(Channel channel, ByteView frame, Instant now,
                                                SessionEvents& out) {
  heard(now);
  on_traffic();
  const auto packet = media_in_.read(channel, frame, now);
  if (const auto refusal = media_in_.take_refusal()) send(to_message(*refusal), out);
  return packet;
}

void SessionCore::make_resumable(Duration window) {
  window_ = std::min(window, limits::kMaxResumeWindow);
  ledger_.keep_unacknowledged();
}

void SessionCore::detach(Instant now) {
  attached_ = false;
  lost_at_ = now + window_;
  ack_due_.reset();
  ping_sent_.reset();
  awaited_.reset();
  held_.reset();
}

void SessionCore::attach(std::uint32_t keep_alive_ms, std::uint64_t base, Instant now) {
  attached_ = true;
  position_ = base;
  ack_due_.reset();
  ping_sent_.reset();
  ++statistics_.resumes;
  media_out_.reset();
  media_in_.reset();
  establish(keep_alive_ms, now);
}

void SessionCore::replay(SessionEvents& out) {
  for (const Bytes& frame : ledger_.unacknowledged()) {
    out.push_back(SendFrame{kSipChannel, frame});
    ++statistics_.sip_frames_repeated;
  }
}

Life SessionCore::on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out) {
  if (channel == kSipChannel) return on_sip(bytes, now, out);
  if (channel == kControlChannel) return on_control(bytes, now, out);
  count_unknown_channel();
  return Life::goes_on;
}

Life SessionCore::on_sip(ByteView bytes, Instant now, SessionEvents& out) {
  on_traffic();
  if (bytes.empty()) return close(CloseCode::protocol_error, "empty SIP frame", out);
  if (bytes.size() > limits::kReliableFrameBytes) {
    return close(CloseCode::limit_exceeded, "SIP frame above 65536 bytes", out);
  }
  if (++position_ <= ledger_.received()) {
    ++statistics_.sip_frames_duplicate;  // it came on an earlier link too
    return Life::goes_on;
  }
  ledger_.count_received();
  out.push_back(SipFrameReceived{std::string(as_text(bytes))});
  if (ledger_.received() - acked_in_ >= limits::kAckEveryFrames) {
    send_ack(out);
  } else if (!ack_due_) {
    ack_due_ = now + limits::kAckDelay;
  }
  return Life::goes_on;
}

bool SessionCore::parse(ByteView bytes, v1::ControlMessage& message) {
  if (!parse_control(bytes, message)) return false;
  if (has_unknown_fields(bytes, message)) ++statistics_.unknown_fields;
  return true;
}

Life SessionCore::on_control(ByteView bytes, Instant now, SessionEvents& out) {
  v1::ControlMessage message;
  if (!parse(bytes, message))
    return close(CloseCode::protocol_error, "malformed control message", out);
  if (!message.has_pong()) on_traffic();
  switch (message.body_case()) {
    case v1::ControlMessage::kPing:
      on_ping(message, now, out);
      return Life::goes_on;
    case v1::ControlMessage::kPong:
      on_pong(message.pong().ping_clock_ms(), milliseconds(message.pong().held_ms()), now);
      return Life::goes_on;
    case v1::ControlMessage::kAck:
      return on_ack(message.ack().sip_frames(), out);
    case v1::ControlMessage::kMediaContext:
      if (!compact_) return on_other_control(message, out);
      send(to_message(media_in_.on_context(to_context(message.media_context()))), out);
      return Life::goes_on;
    case v1::ControlMessage::kMediaContextAck:
      if (!compact_) return on_other_control(message, out);
      media_out_.on_answer(to_answer(message.media_context_ack()), now);
      return Life::goes_on;
    case v1::ControlMessage::kGoAway:
      if (side_ == Side::server) return on_other_control(message, out);
      out.push_back(GoAwayReceived{to_info(message.go_away())});
      return Life::goes_on;
    default:
      return on_other_control(message, out);
  }
}

Life SessionCore::on_other_control(const v1::ControlMessage& message, SessionEvents& out) {
  const auto out_of_place = [&](std::string_view name) {
    return close(CloseCode::protocol_error, std::string(name) + " is out of place here", out);
  };
  switch (message.body_case()) {
    case v1::ControlMessage::kClose:
      return end({to_close_code(message.close().code()), message.close().reason(), 0, true}, out);
    case v1::ControlMessage::kHello:
      return out_of_place("Hello");
    case v1::ControlMessage::kWelcome:
      return out_of_place("Welcome");
    case v1::ControlMessage::kReject:
      return out_of_place("Reject");
    case v1::ControlMessage::kPing:
      return out_of_place("Ping");
    case v1::ControlMessage::kPong:
      return out_of_place("Pong");
    case v1::ControlMessage::kAck:
      return out_of_place("Ack");
    default:  // of a later version, or one of this schema that this version does not act on
      ++statistics_.unknown_control;
      return Life::goes_on;
  }
}

Life SessionCore::on_ack(std::uint64_t sip_frames, SessionEvents& out) {
  if (!ledger_.on_acknowledged(sip_frames)) {
    return close(CloseCode::protocol_error, "Ack of SIP frames that were never sent", out);
  }
  return Life::goes_on;
}

/// One Ping at a time is held: who sends another does without the answer to the first.
void SessionCore::on_ping(const v1::ControlMessage& message, Instant now, SessionEvents& out) {
  const Duration hold =
      std::min<Duration>(milliseconds(message.ping().hold_ms()), limits::kMaxKeepAlive);
  if (side_ == Side::client || hold == Duration{}) {
    return send_pong(message.ping().clock_ms(), {}, now, out);
  }
  peer_silence_ = hold;
  held_ = HeldPing{message.ping().clock_ms(), now, now + hold};
}

void SessionCore::send_pong(std::uint64_t ping_clock_ms, Duration held, Instant now,
                            SessionEvents& out) const {
  v1::ControlMessage answer;
  v1::Pong& pong = *answer.mutable_pong();
  pong.set_ping_clock_ms(ping_clock_ms);
  pong.set_clock_ms(clock_ms(now));
  pong.set_held_ms(
      static_cast<std::uint32_t>(std::chrono::duration_cast<milliseconds>(held).count()));
  send(answer, out);
}

std::optional<Bytes> SessionCore::media_pong(ByteView frame) {
  v1::ControlMessage message;
  if (frame.size() > limits::kMediaFrameBytes || !parse_control(frame, message))
    return std::nullopt;
  if (!message.has_ping()) return std::nullopt;
  v1::ControlMessage answer;
  answer.mutable_pong()->set_ping_clock_ms(message.ping().clock_ms());
  answer.mutable_pong()->set_padding(message.ping().padding());
  return serialize_control(answer);
}

Bytes SessionCore::media_ping() {
  constexpr std::size_t kSpeechBytes = 172;  // 20 ms of G.711 with its RTP header
  v1::ControlMessage message;
  message.mutable_ping()->set_padding(std::string(kSpeechBytes, '\0'));
  return serialize_control(message);
}

void SessionCore::on_pong(std::uint64_t ping_clock_ms, Duration held, Instant now) {
  if (awaited_ && awaited_->clock_ms == ping_clock_ms) {
    const HeldPing ping = *std::exchange(awaited_, std::nullopt);
    if (!search_) return;
    // A gateway that does not wait is none that holds; its Pongs must not make us send.
    if (now + kHeldPongEarly < ping.until) {
      next_ping_ = now + keep_alive_;
      return end_search();
    }
    search_->on_pong(now);
    if (held <= now - ping.since) statistics_.round_trip = now - ping.since - held;
    next_ping_ = now;
    return;
  }
  // Only the Ping sent last measures: a Pong to any other, or one made up, says nothing.
  if (!ping_sent_ || clock_ms(*ping_sent_) != ping_clock_ms) return;
  statistics_.round_trip = now - *ping_sent_;
  ping_sent_.reset();
}

Life SessionCore::send_sip(ByteView message, SessionEvents& out) {
  on_traffic();
  if (!ledger_.send(message)) {
    return close(CloseCode::too_slow, "too many SIP frames wait to be acknowledged", out);
  }
  if (attached_) out.push_back(SendFrame{kSipChannel, to_bytes(message)});
  return Life::goes_on;
}

void SessionCore::send_ack(SessionEvents& out) {
  v1::ControlMessage message;
  message.mutable_ack()->set_sip_frames(ledger_.received());
  send(message, out);
  acked_in_ = ledger_.received();
  ack_due_.reset();
}

/// The Ping whose turn it is. In a search each asks for the next silence; a Pong that did not come
/// by then is asked after at once, which opens the way back again, and then again soon.
void SessionCore::next_ping(Instant now, SessionEvents& out) {
  if (!search_) return send_ping(now, out);
  if (awaited_) {
    search_->on_missed(now);
    awaited_.reset();
    send_ping(now, out);
  } else if (ping_sent_) {
    send_ping(now, out);
  } else {
    const Duration hold = search_->hold();
    v1::ControlMessage message;
    message.mutable_ping()->set_clock_ms(clock_ms(now));
    message.mutable_ping()->set_hold_ms(
        static_cast<std::uint32_t>(std::chrono::duration_cast<milliseconds>(hold).count()));
    send(message, out);
    awaited_ = HeldPing{clock_ms(now), now, now + hold};
    answer_due_ = now + hold;
    search_->on_ping();
    next_ping_ = now + hold + kHeldPongLate;
    return;
  }
  next_ping_ = now + kHeldPongLate;
}

void SessionCore::send_ping(Instant now, SessionEvents& out) {
  v1::ControlMessage message;
  message.mutable_ping()->set_clock_ms(clock_ms(now));
  send(message, out);
  ping_sent_ = now;
  on_traffic();
  if (!search_) next_ping_ = now + keep_alive_;
}

Life SessionCore::on_timeout(Instant now, SessionEvents& out) {
  if (!established_) {
    if (now < opened_ + limits::kUnauthenticatedLife) return Life::goes_on;
    return close(CloseCode::timeout, "the session was not established within 5 s", out);
  }
  if (!attached_) {
    if (now < lost_at_) return Life::goes_on;
    return close(CloseCode::timeout, "no link came back in time", out);
  }
  if (now >= peer_lost_at()) {
    const std::string reason = "nothing heard from the peer";
    if (!resumable()) return close(CloseCode::timeout, reason, out);
    out.push_back(LinkLost{CloseCode::timeout, reason});
    return Life::link_lost;
  }
  if (ack_due_ && now >= *ack_due_) send_ack(out);
  if (side_ == Side::client && now >= next_ping_) next_ping(now, out);
  if (held_ && now >= held_->until) {
    const HeldPing ping = *std::exchange(held_, std::nullopt);
    send_pong(ping.clock_ms, now - ping.since, now, out);
  }
  return Life::goes_on;
}

std::optional<Instant> SessionCore::next_deadline() const {
  if (!established_) return opened_ + limits::kUnauthenticatedLife;
  if (!attached_) return lost_at_;
  Instant next = peer_lost_at();
  if (ack_due_) next = std::min(next, *ack_due_);
  if (side_ == Side::client) next = std::min(next, next_ping_);
  if (held_) next = std::min(next, held_->until);
  return next;
}

Instant SessionCore::peer_lost_at() const {
  if (!search_) return last_heard_ + peer_silence_ + keep_alive_ * limits::kMissedPings;
  // Whatever is asked for, its answer and those to what is asked afterwards have their time.
  return std::max(last_heard_, answer_due_) + kHeldPongLate * (limits::kMissedPings + 1);
}

std::uint64_t SessionCore::clock_ms(Instant now) const {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(now - opened_).count());
}

SessionStatistics SessionCore::statistics() const {
  SessionStatistics all = statistics_;
  all.keep_alive = search_ ? search_->hold() : keep_alive_;
  all.keep_alive_adapts = search_ && !search_->fixed();
  all.way_back_lost += search_ ? search_->lost() : 0;
  all.sip_frames_in = ledger_.received();
  all.sip_frames_out = ledger_.sent();
  all.sip_frames_acked = ledger_.acknowledged();
  return all;
}

void SessionCore::send(const v1::ControlMessage& message, SessionEvents& out) const {
  if (!attached_) return;  // nobody hears it
  out.push_back(SendFrame{kControlChannel, serialize_control(message)});
}

Life SessionCore::close(CloseCode code, std::string_view reason, SessionEvents& out) const {
  v1::ControlMessage message;
  message.mutable_close()->set_code(to_wire(code));
  message.mutable_close()->set_reason(printable(reason));
  send(message, out);
  return end({code, std::string(reason), 0, false}, out);
}

Life SessionCore::end(SessionClosed closed, SessionEvents& out) const {
  closed.reason = printable(closed.reason);
  out.push_back(std::move(closed));
  return Life::over;
}

}  // namespace isthmus::wire
