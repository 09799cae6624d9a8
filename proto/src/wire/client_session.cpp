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
      state_ = in_established(channel, bytes, now, out);
      return;
    case State::idle:  // a link brings nothing before it is open, and then start() comes first
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
  out.push_back(SessionEstablished{std::move(welcome)});
  return State::established;
}

ClientSession::State ClientSession::on_reject(const v1::ControlMessage& message,
                                              SessionEvents& out) {
  const v1::Reject& reject = message.reject();
  core_.end({to_close_code(reject.code()), reject.reason(), reject.retry_after_s(), true}, out);
  return State::closed;
}

ClientSession::State ClientSession::in_established(Channel channel, ByteView bytes, Instant now,
                                                   SessionEvents& out) {
  return core_.on_frame(channel, bytes, now, out) == Life::over ? State::closed
                                                                : State::established;
}

bool ClientSession::send_sip(ByteView message, SessionEvents& out) {
  return state_ == State::established && core_.send_sip(message, out);
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
  if (core_.on_timeout(now, out) == Life::over) state_ = State::closed;
}

std::optional<Instant> ClientSession::next_deadline() const {
  if (state_ == State::idle || state_ == State::closed) return std::nullopt;
  return core_.next_deadline();
}

}  // namespace isthmus::wire
