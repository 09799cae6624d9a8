#include <string>
#include <utility>

#include "base/limits.hpp"
#include "wire/control_codec.hpp"
#include "wire/session.hpp"

namespace isthmus::wire {

ServerSession::ServerSession(Instant now) {
  core_.open(now);
}

void ServerSession::on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out) {
  if (state_ == State::closed || state_ == State::detached) return;
  core_.heard(now);
  if (state_ == State::established) {
    if (proof_pending_) generations_.prove();  // whoever sends has read the Welcome
    proof_pending_ = false;
    state_ = core_.after(core_.on_frame(channel, bytes, now, out), state_, now);
    return;
  }
  unauthenticated_bytes_ += bytes.size();
  if (unauthenticated_bytes_ > limits::kUnauthenticatedBytes) {
    state_ = close_now(CloseCode::limit_exceeded, "too many bytes before Welcome", out);
  } else if (state_ == State::waiting) {
    state_ = in_waiting(channel, bytes, out);
  } else {
    state_ = in_judging(channel, bytes, out);
  }
}

// Hello, or Close by a client that changed its mind; nothing else may come first.
ServerSession::State ServerSession::in_waiting(Channel channel, ByteView bytes,
                                               SessionEvents& out) {
  if (channel != kControlChannel) {
    return close_now(CloseCode::protocol_error, "the first frame is not Hello", out);
  }
  if (bytes.size() > limits::kHelloBytes) {
    return close_now(CloseCode::limit_exceeded, "Hello above 8192 bytes", out);
  }
  v1::ControlMessage message;
  if (!core_.parse(bytes, message)) {
    return close_now(CloseCode::protocol_error, "malformed control message", out);
  }
  if (message.has_hello()) return on_hello(message, out);
  if (message.has_close()) {
    core_.on_other_control(message, out);
    return State::closed;
  }
  return close_now(CloseCode::protocol_error, "the first frame is not Hello", out);
}

ServerSession::State ServerSession::on_hello(const v1::ControlMessage& message,
                                             SessionEvents& out) {
  const v1::Hello& hello = message.hello();
  if (hello.min_version() > hello.max_version()) {
    return close_now(CloseCode::protocol_error, "Hello with min_version above max_version", out);
  }
  if (hello.min_version() > kProtocolVersion || hello.max_version() < kProtocolVersion) {
    const std::string supported = std::to_string(kProtocolVersion);
    return refuse(CloseCode::version_mismatch,
                  "this gateway speaks versions " + supported + " to " + supported, 0, out);
  }
  auto info = to_info(hello);
  if (!info) {
    return refuse(CloseCode::unauthorized, "Hello without credentials", 0, out);
  }
  version_ = kProtocolVersion;
  peer_compact_ = has_capability(info->capabilities, kCompactRtpCapability);
  out.push_back(AuthenticateHello{std::move(*info)});
  return State::judging;
}

// The owner judges the credentials. The client must wait; what it cannot know to be out of place is
// counted.
ServerSession::State ServerSession::in_judging(Channel channel, ByteView bytes,
                                               SessionEvents& out) {
  if (channel == kSipChannel) {
    return close_now(CloseCode::protocol_error, "SIP before Welcome", out);
  }
  if (channel != kControlChannel) {
    core_.count_unknown_channel();
    return State::judging;
  }
  v1::ControlMessage message;
  if (!core_.parse(bytes, message)) {
    return close_now(CloseCode::protocol_error, "malformed control message", out);
  }
  return core_.on_other_control(message, out) == Life::over ? State::closed : State::judging;
}

void ServerSession::accept(WelcomeInfo welcome, Instant now, SessionEvents& out) {
  if (state_ != State::judging) return;
  welcome.version = version_;
  const v1::ControlMessage message = to_message(welcome);
  v1::ControlMessage check;  // the client would refuse text that is not UTF-8
  if (!parse_control(serialize_control(message), check)) {
    state_ = close_now(CloseCode::internal_error, "Welcome holds text that is not UTF-8", out);
    return;
  }
  core_.send(message, out);
  core_.establish(welcome.keep_alive_ms, now);
  if (peer_compact_ && has_capability(welcome.capabilities, kCompactRtpCapability)) {
    core_.enable_compact_rtp();
  }
  if (!welcome.resume_token.empty()) core_.make_resumable(milliseconds(welcome.resume_window_ms));
  state_ = State::established;
}

bool ServerSession::can_resume(std::uint32_t generation, std::uint64_t sip_frames) const {
  const bool stands = state_ == State::established || state_ == State::detached;
  return stands && core_.resumable() && generations_.good(generation) &&
         sip_frames <= core_.ledger().sent();
}

void ServerSession::resume(ServerSession& greeting, std::uint32_t generation,
                           std::uint64_t sip_frames, WelcomeInfo welcome,
                           const ResumeTokens& tokens, Instant now, SessionEvents& out) {
  if (!can_resume(generation, sip_frames) || greeting.state_ != State::judging) return;
  greeting.state_ = State::closed;
  version_ = greeting.version_;
  // A Hello that came late may know of less than an Ack that overtook it on the old link.
  (void)core_.ledger().on_acknowledged(sip_frames);
  welcome.version = version_;
  welcome.resume_token = tokens.issue({welcome.session_id, generations_.use(generation)});
  welcome.sip_frames = core_.ledger().received();
  welcome.sip_frames_before = core_.ledger().acknowledged();
  core_.attach(welcome.keep_alive_ms, welcome.sip_frames, now);
  state_ = State::established;
  proof_pending_ = true;
  core_.send(to_message(welcome), out);
  core_.replay(out);
}

void ServerSession::on_link_lost(CloseCode code, std::string_view reason, Instant now,
                                 SessionEvents& out) {
  if (state_ == State::closed || state_ == State::detached) return;
  if (state_ == State::established && core_.resumable() && !ends_session(code)) {
    core_.detach(now);
    state_ = State::detached;
    return;
  }
  core_.end({code, std::string(reason), 0, true}, out);
  state_ = State::closed;
}

void ServerSession::reject(CloseCode code, std::string_view reason, std::uint32_t retry_after_s,
                           SessionEvents& out) {
  if (state_ != State::judging) return;
  state_ = refuse(code, reason, retry_after_s, out);
}

ServerSession::State ServerSession::refuse(CloseCode code, std::string_view reason,
                                           std::uint32_t retry_after_s, SessionEvents& out) {
  v1::ControlMessage message;
  message.mutable_reject()->set_code(to_wire(code));
  message.mutable_reject()->set_reason(printable(reason));
  message.mutable_reject()->set_retry_after_s(retry_after_s);
  core_.send(message, out);
  core_.end({code, std::string(reason), retry_after_s, false}, out);
  return State::closed;
}

bool ServerSession::send_sip(ByteView message, SessionEvents& out) {
  if (state_ != State::established && state_ != State::detached) return false;
  if (message.empty() || message.size() > limits::kReliableFrameBytes) return false;
  if (core_.send_sip(message, out) == Life::goes_on) return true;
  state_ = State::closed;
  return false;
}

void ServerSession::go_away(const GoAwayInfo& info, SessionEvents& out) {
  if (state_ == State::established) core_.send(to_message(info), out);
}

void ServerSession::close(CloseCode code, std::string_view reason, SessionEvents& out) {
  if (state_ != State::closed) state_ = close_now(code, reason, out);
}

ServerSession::State ServerSession::close_now(CloseCode code, std::string_view reason,
                                              SessionEvents& out) {
  core_.close(code, reason, out);
  return State::closed;
}

void ServerSession::on_timeout(Instant now, SessionEvents& out) {
  if (state_ == State::closed) return;
  state_ = core_.after(core_.on_timeout(now, out), state_, now);
}

std::optional<Instant> ServerSession::next_deadline() const {
  if (state_ == State::closed) return std::nullopt;
  return core_.next_deadline();
}

}  // namespace isthmus::wire
