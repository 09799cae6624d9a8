#pragma once
// What the session tests share: control messages as bytes, and events as short text.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "wire/control_codec.hpp"
#include "wire/session.hpp"

namespace isthmus::wire::testing {

inline Bytes control(const v1::ControlMessage& message) {
  return serialize_control(message);
}

inline HelloInfo hello_info() {
  HelloInfo info;
  info.software = "example-phone/1.0";
  info.credentials = PasswordCredentials{"alice", "correct horse"};
  return info;
}
inline Bytes hello() {
  return control(to_message(hello_info()));
}
inline Bytes hello_versions(std::uint32_t min, std::uint32_t max) {
  HelloInfo info = hello_info();
  info.min_version = min;
  info.max_version = max;
  return control(to_message(info));
}

inline WelcomeInfo welcome_info(std::uint32_t keep_alive_ms = 15000) {
  WelcomeInfo info;
  info.session_id = 7;
  info.user = "alice";
  info.sip_domain = "example.org";
  info.observed_address = "192.0.2.7:51034";
  info.keep_alive_ms = keep_alive_ms;
  info.max_channels = 1024;
  return info;
}
inline Bytes welcome(std::uint32_t version = 1, std::uint32_t keep_alive_ms = 15000) {
  WelcomeInfo info = welcome_info(keep_alive_ms);
  info.version = version;
  return control(to_message(info));
}
inline Bytes reject(CloseCode code, std::uint32_t retry_after_s = 0) {
  v1::ControlMessage message;
  message.mutable_reject()->set_code(to_wire(code));
  message.mutable_reject()->set_reason("no");
  message.mutable_reject()->set_retry_after_s(retry_after_s);
  return control(message);
}
inline Bytes ping(std::uint64_t clock_ms = 5) {
  v1::ControlMessage message;
  message.mutable_ping()->set_clock_ms(clock_ms);
  return control(message);
}
inline Bytes pong(std::uint64_t ping_clock_ms = 5) {
  v1::ControlMessage message;
  message.mutable_pong()->set_ping_clock_ms(ping_clock_ms);
  return control(message);
}
inline Bytes ack(std::uint64_t sip_frames) {
  v1::ControlMessage message;
  message.mutable_ack()->set_sip_frames(sip_frames);
  return control(message);
}
inline Bytes close(CloseCode code, const std::string& reason = "bye") {
  v1::ControlMessage message;
  message.mutable_close()->set_code(to_wire(code));
  message.mutable_close()->set_reason(reason);
  return control(message);
}
/// Of the schema, not of this version.
inline Bytes media_context() {
  v1::ControlMessage message;
  message.mutable_media_context()->set_channel(16);
  return control(message);
}
/// Field 15 of ControlMessage, which no schema names yet.
inline Bytes unknown_message() {
  return {0x7a, 0x02, 0x08, 0x01};
}
inline Bytes ping_with_unknown_field() {
  return {0x22, 0x04, 0x08, 0x05, 0x48, 0x07};
}
inline Bytes malformed() {
  return {0x22, 0x05, 0x08, 0x01};
}
inline Bytes sip(std::string_view text = "OPTIONS sip:example.org SIP/2.0\r\n\r\n") {
  return to_bytes(as_bytes(text));
}

inline std::string describe_control(const Bytes& bytes) {
  v1::ControlMessage message;
  if (!parse_control(bytes, message)) return "MALFORMED";
  switch (message.body_case()) {
    case v1::ControlMessage::kHello:
      return "hello";
    case v1::ControlMessage::kWelcome:
      return "welcome";
    case v1::ControlMessage::kReject:
      return std::string("reject ") + to_text(to_close_code(message.reject().code()));
    case v1::ControlMessage::kPing:
      return "ping";
    case v1::ControlMessage::kPong:
      return "pong";
    case v1::ControlMessage::kAck:
      return "ack " + std::to_string(message.ack().sip_frames());
    case v1::ControlMessage::kGoAway:
      return "go away";
    case v1::ControlMessage::kClose:
      return std::string("close ") + to_text(to_close_code(message.close().code()));
    default:
      return "OTHER";
  }
}

/// "welcome", "close timeout, over timeout", "sip-in, ack 8", "over normal by peer"; "" for no
/// event.
inline std::string describe(const SessionEvents& events) {
  std::string text;
  for (const SessionEvent& event : events) {
    if (!text.empty()) text += ", ";
    if (const auto* send = std::get_if<SendFrame>(&event)) {
      text += send->channel == kSipChannel ? "sip-out" : describe_control(send->bytes);
    } else if (std::get_if<AuthenticateHello>(&event) != nullptr) {
      text += "authenticate";
    } else if (std::get_if<SessionEstablished>(&event) != nullptr) {
      text += "established";
    } else if (std::get_if<SipFrameReceived>(&event) != nullptr) {
      text += "sip-in";
    } else if (std::get_if<GoAwayReceived>(&event) != nullptr) {
      text += "told to go";
    } else if (const auto* lost = std::get_if<LinkLost>(&event)) {
      text += std::string("link lost ") + to_text(lost->code);
    } else if (const auto* closed = std::get_if<SessionClosed>(&event)) {
      text += std::string("over ") + to_text(closed->code) + (closed->by_peer ? " by peer" : "");
    }
  }
  return text;
}

inline std::string closes(CloseCode code) {
  return std::string("close ") + to_text(code) + ", over " + to_text(code);
}
inline std::string rejects(CloseCode code) {
  return std::string("reject ") + to_text(code) + ", over " + to_text(code);
}

template <typename Event>
const Event* find(const SessionEvents& events) {
  for (const SessionEvent& event : events) {
    if (const auto* found = std::get_if<Event>(&event)) return found;
  }
  return nullptr;
}

inline const Instant kStart{seconds(1000)};

template <typename Session>
using Input = std::function<void(Session&, SessionEvents&)>;

template <typename Session>
Input<Session> frame_input(Bytes bytes, Channel channel) {
  return [bytes = std::move(bytes), channel](Session& s, SessionEvents& out) {
    s.on_frame(channel, bytes, kStart, out);
  };
}

/// What one input does in each state but the last, closed, which is always silent.
template <typename Session>
struct StateRow {
  const char* input;
  Input<Session> apply;
  std::string expected[3];
};

/// A session, and in words what each input to it caused.
template <typename Session>
struct Described {
  Session session;
  SessionEvents events;

  std::string does(const Input<Session>& input) {
    events.clear();
    input(session, events);
    return describe(events);
  }
  std::string receives(const Bytes& bytes, Channel channel = kControlChannel,
                       Instant now = kStart) {
    return does([&](auto& s, auto& out) { s.on_frame(channel, bytes, now, out); });
  }
  std::string time(Instant now) {
    return does([&](auto& s, auto& out) { s.on_timeout(now, out); });
  }
};

}  // namespace isthmus::wire::testing
