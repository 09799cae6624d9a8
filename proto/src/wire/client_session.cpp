#include <string>
#include <utility>

#include "base/limits.hpp"
#include "wire/control_codec.hpp"
#include "wire/session.hpp"

namespace isthmus::wire {

void ClientSession::start(const HelloInfo& hello, Instant now, SessionEvents& out) {
  if (state_ != State::idle) return;
  core_.open(now);
  const v1::ControlMessage message = to_message(hello);
  const Bytes bytes = serialize_control(message);
  v1::ControlMessage check;
  if (bytes.size() > limits::kHelloBytes) {
    core_.end({CloseCode::limit_exceeded, "Hello above 8192 bytes"}, out);
    state_ = State::closed;
  } else if (!parse_control(bytes, check)) {
    core_.end({CloseCode::protocol_error, "Hello holds text that is not UTF-8"}, out);
    state_ = State::closed;
  } else {
    min_version_ = hello.min_version;
    max_version_ = hello.max_version;
    if (const auto* resume = std::get_if<ResumeCredentials>(&hello.credentials)) {
      resumes_with_ = resume->token;
    }
    own_compact_ = has_capability(hello.capabilities, kCompactRtpCapability);
    core_.send(message, out);
    state_ = State::greeting;
  }
}

void ClientSession::on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out) {
  switch (state_) {
    case State::greeting:
      core_.heard(now);
      state_ = in_greeting(channel, bytes, now, out);
      return;
    case State::established:
      core_.heard(now);
      state_ = core_.after(core_.on_frame(channel, bytes, now, out), state_, now);
      return;
    case State::detached:  // what a link brings that is given up already
    case State::idle:      // a link brings nothing before it is open, and then start() comes first
    case State::closed:
      return;
  }
}

// Hello is out; Welcome or Reject must come.
ClientSession::State ClientSession::in_greeting(Channel channel, ByteView bytes, Instant now,
                                                SessionEvents& out) {
  if (channel == kSipChannel) {
    return close_now(CloseCode::protocol_error, "SIP before Welcome", out);
  }
  if (channel != kControlChannel) {
    core_.count_unknown_channel();
    return State::greeting;
  }
  v1::ControlMessage message;
  if (!core_.parse(bytes, message)) {
    return close_now(CloseCode::protocol_error, "malformed control message", out);
  }
  if (message.has_welcome()) return on_welcome(message, now, out);
  if (message.has_reject()) return on_reject(message, out);
  return core_.on_other_control(message, out) == Life::over ? State::closed : State::greeting;
}

ClientSession::State ClientSession::on_welcome(const v1::ControlMessage& message, Instant now,
                                               SessionEvents& out) {
  WelcomeInfo welcome = to_info(message.welcome());
  if (welcome.version < min_version_ || welcome.version > max_version_) {
    return close_now(
        CloseCode::version_mismatch,
        "Welcome with version " + std::to_string(welcome.version) + ", which Hello did not offer",
        out);
  }
  core_.establish(welcome.keep_alive_ms, now);
  if (own_compact_ && has_capability(welcome.capabilities, kCompactRtpCapability)) {
    core_.enable_compact_rtp();
  }
  note(welcome);
  out.push_back(SessionEstablished{std::move(welcome)});
  return State::established;
}

ClientSession::State ClientSession::on_reject(const v1::ControlMessage& message,
                                              SessionEvents& out) {
  const v1::Reject& reject = message.reject();
  core_.end({to_close_code(reject.code()), reject.reason(), reject.retry_after_s(), true}, out);
  return State::closed;
}

void ClientSession::keep_alive(KeepAliveBounds bounds, Instant now) {
  if (state_ != State::established) return;
  if (held_pongs_) return core_.search_keep_alive(bounds, now);
  if (bounds.least == bounds.most) core_.fix_keep_alive(bounds.most, now);
}

void ClientSession::note(const WelcomeInfo& welcome) {
  held_pongs_ = has_capability(welcome.capabilities, kHeldPongCapability);
  media_pings_ = has_capability(welcome.capabilities, kMediaPingCapability);
  token_ = welcome.resume_window_ms == 0 ? std::string() : welcome.resume_token;
  if (!token_.empty()) core_.make_resumable(milliseconds(welcome.resume_window_ms));
}

std::optional<HelloInfo> ClientSession::resume_hello(const HelloInfo& first) const {
  const bool stands = state_ == State::established || state_ == State::detached;
  if (!stands || token_.empty()) return std::nullopt;
  HelloInfo hello = first;
  hello.credentials = ResumeCredentials{token_, core_.ledger().received()};
  return hello;
}

bool ClientSession::adopt(ClientSession& greeting, const WelcomeInfo& welcome, Instant now,
                          SessionEvents& out) {
  const bool stands = state_ == State::established || state_ == State::detached;
  if (!stands || greeting.state_ != State::established) return false;
  // Its token may be dead already and its counts are old: taking it would lose the session.
  if (greeting.resumes_with_ != token_) return false;
  greeting.state_ = State::closed;
  const SipLedger& ledger = core_.ledger();
  core_.attach(welcome.keep_alive_ms, welcome.sip_frames_before, now);
  note(welcome);
  if (welcome.sip_frames < ledger.acknowledged() || welcome.sip_frames_before > ledger.received() ||
      !core_.ledger().on_acknowledged(welcome.sip_frames)) {
    state_ = close_now(CloseCode::protocol_error, "Welcome does not fit the session", out);
    return true;
  }
  state_ = State::established;
  core_.send_ack(out);
  core_.replay(out);
  return true;
}

void ClientSession::on_link_lost(CloseCode code, std::string_view reason, Instant now,
                                 SessionEvents& out) {
  if (state_ == State::closed || state_ == State::detached || state_ == State::idle) return;
  if (state_ == State::established && !token_.empty() && !ends_session(code)) {
    core_.detach(now);
    state_ = State::detached;
    return;
  }
  core_.end({code, std::string(reason), 0, true}, out);
  state_ = State::closed;
}

bool ClientSession::send_sip(ByteView message, SessionEvents& out) {
  if (state_ != State::established && state_ != State::detached) return false;
  if (message.empty() || message.size() > limits::kReliableFrameBytes) return false;
  if (core_.send_sip(message, out) == Life::goes_on) return true;
  state_ = State::closed;
  return false;
}

void ClientSession::close(CloseCode code, std::string_view reason, SessionEvents& out) {
  if (state_ == State::closed) return;
  if (state_ == State::idle) {  // nobody to say it to
    core_.end({code, std::string(reason)}, out);
    state_ = State::closed;
    return;
  }
  state_ = close_now(code, reason, out);
}

ClientSession::State ClientSession::close_now(CloseCode code, std::string_view reason,
                                              SessionEvents& out) {
  core_.close(code, reason, out);
  return State::closed;
}

void ClientSession::on_timeout(Instant now, SessionEvents& out) {
  if (state_ == State::idle || state_ == State::closed) return;
  state_ = core_.after(core_.on_timeout(now, out), state_, now);
}

std::optional<Instant> ClientSession::next_deadline() const {
  if (state_ == State::idle || state_ == State::closed) return std::nullopt;
  return core_.next_deadline();
}

}  // namespace isthmus::wire
