#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "wire/frame.hpp"
#include "wire/link.hpp"

namespace isthmus::wire {

inline constexpr std::uint32_t kProtocolVersion = 1;

struct PasswordCredentials {
  std::string user, password;
};
struct TokenCredentials {
  std::string token;
};
using Credentials = std::variant<PasswordCredentials, TokenCredentials>;

/// What a client says first.
struct HelloInfo {
  std::uint32_t min_version = kProtocolVersion, max_version = kProtocolVersion;
  std::string software;  ///< "isthmus-phone/0.1.0"
  Credentials credentials;
  std::vector<std::string> capabilities;
};

/// What the gateway answers.
struct WelcomeInfo {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t session_id = 0;
  std::string software;
  std::string user;              ///< as authenticated
  std::string sip_domain;        ///< domain of the built-in registrar
  std::string observed_address;  ///< "192.0.2.7:51034", as the gateway saw it
  std::uint32_t keep_alive_ms = 15000;
  std::uint32_t max_channels = 0;
  std::vector<std::string> capabilities;
};

// What a session asks of its owner and reports to it. Drain after every input.
struct SendFrame {  ///< put this on the link's reliable service
  Channel channel;
  Bytes bytes;
};
struct AuthenticateHello {  ///< server: judge these credentials, then call accept() or reject()
  HelloInfo hello;
};
struct SessionEstablished {  ///< client: Welcome came
  WelcomeInfo welcome;
};
struct SipFrameReceived {  ///< one complete SIP message
  std::string bytes;
};
struct SessionClosed {  ///< the session is over; close the link (what must be said was emitted before this)
  CloseCode code;
  std::string reason;
  std::uint32_t retry_after_s = 0;  ///< from Reject, 0: none said
  bool by_peer = false;
};
using SessionEvent = std::variant<SendFrame, AuthenticateHello, SessionEstablished, SipFrameReceived, SessionClosed>;
using SessionEvents = std::vector<SessionEvent>;

/// State shared by both ends once the session stands: SIP counting and Acks, Ping and Pong, Close. Acks are
/// sent after limits::kAckEveryFrames frames or limits::kAckDelay; a peer that sends nothing for
/// limits::kMissedPings keep-alive intervals is dead (timeout).
struct SessionStatistics {
  std::uint64_t sip_frames_in = 0, sip_frames_out = 0, sip_frames_acked = 0;
  std::uint64_t unknown_channels = 0, unknown_control = 0;
  std::optional<Duration> round_trip;  ///< of the last Ping
};

/// The gateway's end of one session's handshake and control channel. Pure; single-threaded. The states:
///
///     waiting ──Hello──▶ judging ──accept──▶ established ──Close, timeout──▶ closed
///        └─── 5 s, bytes over limit, bad frame ──▶ closed ◀── reject ──┘
class ServerSession {
 public:
  explicit ServerSession(Instant now);

  /// A reliable frame. Frames on SIP before Welcome close the session (protocol_error).
  void on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  /// Any media frame counts as a sign of life.
  void on_media(Instant now) { last_heard_ = now; }
  void accept(WelcomeInfo welcome, Instant now, SessionEvents& out);
  void reject(CloseCode code, std::string_view reason, std::uint32_t retry_after_s, SessionEvents& out);
  void send_sip(ByteView message, SessionEvents& out);  ///< dropped unless established
  void close(CloseCode code, std::string_view reason, SessionEvents& out);
  void on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;
  bool established() const { return state_ == State::established; }
  bool closed() const { return state_ == State::closed; }
  const SessionStatistics& statistics() const { return statistics_; }

 private:
  enum class State : std::uint8_t { waiting, judging, established, closed };
  friend struct SessionCore;
  State state_ = State::waiting;
  Instant opened_{}, last_heard_{};
  std::size_t unauthenticated_bytes_ = 0;
  Duration keep_alive_{};
  std::optional<Instant> ack_due_;
  std::uint64_t acked_out_ = 0;  ///< frames that our last Ack covered
  SessionStatistics statistics_;
};

/// The client's end: sends Hello, gets Welcome or Reject; Pings every keep-alive interval.
///
///     idle ──start──▶ greeting ──Welcome──▶ established ──Close, timeout──▶ closed
///                        └── Reject, 5 s ──▶ closed
class ClientSession {
 public:
  void start(const HelloInfo& hello, Instant now, SessionEvents& out);
  void on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  void on_media(Instant now) { last_heard_ = now; }
  void send_sip(ByteView message, SessionEvents& out);
  void close(CloseCode code, std::string_view reason, SessionEvents& out);
  void on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;
  bool established() const { return state_ == State::established; }
  bool closed() const { return state_ == State::closed; }
  const SessionStatistics& statistics() const { return statistics_; }

 private:
  enum class State : std::uint8_t { idle, greeting, established, closed };
  State state_ = State::idle;
  Instant started_{}, last_heard_{}, next_ping_{};
  Duration keep_alive_{};
  std::optional<Instant> ack_due_;
  std::uint64_t acked_out_ = 0;
  SessionStatistics statistics_;
};

}  // namespace isthmus::wire
