#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.hpp"
#include "wire/session_core.hpp"
#include "wire/session_events.hpp"

namespace isthmus::wire {

/// The gateway's end of one session's handshake and control channel. Pure; single-threaded. The
/// states:
///
///     waiting ──Hello──▶ judging ──accept──▶ established ──Close, timeout──▶ closed
///        └─── 5 s, bytes over limit, bad frame ──▶ closed ◀── reject ──┘
///
/// Once closed it ignores every input and has no deadline.
class ServerSession {
 public:
  explicit ServerSession(Instant now);

  /// A reliable frame. Frames on SIP before Welcome close the session (protocol_error).
  void on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  /// The frame to put on the link for a media packet (compact RTP or as it is); valid until the
  /// next call, empty when no frame can carry it. May ask for control frames to be sent.
  ByteView write_media(Channel channel, ByteView packet, Instant now, SessionEvents& out) {
    return core_.write_media(channel, packet, now, out);
  }
  /// The packet that a media frame brought; valid as long as `frame` and until the next call,
  /// nothing when it cannot be rebuilt (counted). Any media frame counts as a sign of life. The
  /// owner drops media unless established.
  std::optional<ByteView> read_media(Channel channel, ByteView frame, Instant now,
                                     SessionEvents& out) {
    return core_.read_media(channel, frame, now, out);
  }
  const MediaFormCounters& media_out() const { return core_.media_out(); }
  const MediaFormCounters& media_in() const { return core_.media_in(); }
  /// Answers AuthenticateHello; ignored when the session is not waiting for it (it may have ended
  /// meanwhile).
  void accept(WelcomeInfo welcome, Instant now, SessionEvents& out);
  void reject(CloseCode code, std::string_view reason, std::uint32_t retry_after_s,
              SessionEvents& out);
  /// @return false, nothing sent, unless established and 1 to limits::kReliableFrameBytes long.
  bool send_sip(ByteView message, SessionEvents& out);
  void close(CloseCode code, std::string_view reason, SessionEvents& out);
  void on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;
  bool established() const { return state_ == State::established; }
  bool closed() const { return state_ == State::closed; }
  const SessionStatistics& statistics() const { return core_.statistics(); }

 private:
  enum class State : std::uint8_t { waiting, judging, established, closed };
  State in_waiting(Channel channel, ByteView bytes, SessionEvents& out);
  State in_judging(Channel channel, ByteView bytes, SessionEvents& out);
  State in_established(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  State on_hello(const v1::ControlMessage& message, SessionEvents& out);
  State refuse(CloseCode code, std::string_view reason, std::uint32_t retry_after_s,
               SessionEvents& out);
  State close_now(CloseCode code, std::string_view reason, SessionEvents& out);

  State state_ = State::waiting;
  SessionCore core_{SessionCore::Side::server};
  std::size_t unauthenticated_bytes_ = 0;
  std::uint32_t version_ = 0;  ///< negotiated
  bool peer_compact_ = false;  ///< Hello announced compact RTP
};

/// The client's end: sends Hello, gets Welcome or Reject; Pings every keep-alive interval. Pure;
/// single-threaded.
///
///     idle ──start──▶ greeting ──Welcome──▶ established ──Close, timeout──▶ closed
///                        └── Reject, 5 s ──▶ closed
class ClientSession {
 public:
  /// Once; ignored after that. A Hello above limits::kHelloBytes (limit_exceeded) or with text that
  /// is not UTF-8 (protocol_error) ends the session with nothing sent.
  void start(const HelloInfo& hello, Instant now, SessionEvents& out);
  void on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  ByteView write_media(Channel channel, ByteView packet, Instant now, SessionEvents& out) {
    return core_.write_media(channel, packet, now, out);  ///< as ServerSession::write_media
  }
  std::optional<ByteView> read_media(Channel channel, ByteView frame, Instant now,
                                     SessionEvents& out) {
    return core_.read_media(channel, frame, now, out);  ///< as ServerSession::read_media
  }
  const MediaFormCounters& media_out() const { return core_.media_out(); }
  const MediaFormCounters& media_in() const { return core_.media_in(); }
  bool send_sip(ByteView message, SessionEvents& out);  ///< as ServerSession::send_sip
  void close(CloseCode code, std::string_view reason, SessionEvents& out);
  void on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;
  bool established() const { return state_ == State::established; }
  bool closed() const { return state_ == State::closed; }
  const SessionStatistics& statistics() const { return core_.statistics(); }

 private:
  enum class State : std::uint8_t { idle, greeting, established, closed };
  State in_greeting(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  State in_established(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  State on_welcome(const v1::ControlMessage& message, Instant now, SessionEvents& out);
  State on_reject(const v1::ControlMessage& message, SessionEvents& out);
  State close_now(CloseCode code, std::string_view reason, SessionEvents& out);

  State state_ = State::idle;
  SessionCore core_{SessionCore::Side::client};
  std::uint32_t min_version_ = 0, max_version_ = 0;  ///< offered
  bool own_compact_ = false;                         ///< Hello announced compact RTP
};

}  // namespace isthmus::wire
