#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.hpp"
#include "wire/resume_tokens.hpp"
#include "wire/session_core.hpp"
#include "wire/session_events.hpp"

namespace isthmus::wire {

/// The gateway's end of one session: the handshake on its first link, and from Welcome on all that
/// outlives a link. Pure; single-threaded. The states:
///
///     waiting ──Hello──▶ judging ──accept──▶ established ──Close, timeout──▶ closed
///        └─── 5 s, bytes over limit, bad frame ──▶ closed ◀── reject ──┘
///
///     established ──on_link_lost, silence──▶ detached ──resume──▶ established
///                                               └── resume window over, close ──▶ closed
///
/// A link whose Hello carries ResumeCredentials has a ServerSession of its own until the owner
/// finds the session that it resumes: resume() of that one takes the link over, and the one that
/// shook hands is closed without a word.
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
  /// What answers a media frame of channel 0, to go back as one; nothing when it is no Ping.
  std::optional<Bytes> answer_media_ping(ByteView frame, Instant now) {
    core_.heard(now);
    return SessionCore::media_pong(frame);
  }
  const MediaFormCounters& media_out() const { return core_.media_out(); }
  const MediaFormCounters& media_in() const { return core_.media_in(); }
  /// Answers AuthenticateHello; ignored when the session is not waiting for it (it may have ended
  /// meanwhile).
  /// With a resume token (of ResumeGenerations::kFirst) and window in `welcome` the session
  /// outlives its links.
  void accept(WelcomeInfo welcome, Instant now, SessionEvents& out);
  /// Would this token's generation, and a client that has received so many SIP frames, attach a
  /// link to this session?
  bool can_resume(std::uint32_t generation, std::uint64_t sip_frames) const;
  /// Takes the link over on which `greeting` awaits its answer: Welcome goes out on it, then every
  /// SIP frame that the client has not. To be called when can_resume(); the owner carries out
  /// what is emitted on the new link and closes the old one, if there is one, with `replaced`.
  /// @param welcome  as for accept(); token and counts are filled in here
  void resume(ServerSession& greeting, std::uint32_t generation, std::uint64_t sip_frames,
              WelcomeInfo welcome, const ResumeTokens& tokens, Instant now, SessionEvents& out);
  /// The link ended without a Close: detaches the session, or ends it when it is not resumable or
  /// the code says so (ends_session). No event when it waits.
  void on_link_lost(CloseCode code, std::string_view reason, Instant now, SessionEvents& out);
  void reject(CloseCode code, std::string_view reason, std::uint32_t retry_after_s,
              SessionEvents& out);
  /// Without a link the frame waits for the next; too many that wait end the session (too_slow).
  /// @return false, nothing sent, unless established or detached and 1 to
  /// limits::kReliableFrameBytes long.
  bool send_sip(ByteView message, SessionEvents& out);
  void close(CloseCode code, std::string_view reason, SessionEvents& out);
  /// Tells the client that this gateway is about to stop. A session without a link hears nothing:
  /// to be said again when it resumes.
  void go_away(const GoAwayInfo& info, SessionEvents& out);
  void on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;
  bool established() const { return state_ == State::established; }
  bool detached() const { return state_ == State::detached; }
  bool closed() const { return state_ == State::closed; }
  SessionStatistics statistics() const { return core_.statistics(); }

 private:
  enum class State : std::uint8_t { waiting, judging, established, detached, closed };
  State in_waiting(Channel channel, ByteView bytes, SessionEvents& out);
  State in_judging(Channel channel, ByteView bytes, SessionEvents& out);
  State on_hello(const v1::ControlMessage& message, SessionEvents& out);
  State refuse(CloseCode code, std::string_view reason, std::uint32_t retry_after_s,
               SessionEvents& out);
  State close_now(CloseCode code, std::string_view reason, SessionEvents& out);

  State state_ = State::waiting;
  SessionCore core_{SessionCore::Side::server};
  std::size_t unauthenticated_bytes_ = 0;
  std::uint32_t version_ = 0;  ///< negotiated
  bool peer_compact_ = false;  ///< Hello announced compact RTP
  ResumeGenerations generations_;
  bool proof_pending_ = false;  ///< nothing came yet on the link that resumed
};

/// The client's end: sends Hello, gets Welcome or Reject; Pings every keep-alive interval. Pure;
/// single-threaded.
///
///     idle ──start──▶ greeting ──Welcome──▶ established ──Close, timeout──▶ closed
///                        └── Reject, 5 s ──▶ closed
///
///     established ──on_link_lost, silence──▶ detached ──adopt──▶ established
///                                               └── resume window over ──▶ closed
///
/// To resume, the owner starts another ClientSession on the new link with resume_hello(), and once
/// that one reports SessionEstablished, gives it to adopt() of this one. The old link may stand
/// until then.
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
  /// What attaches another link now, made of the Hello that began the session.
  /// @return nothing when the session is not resumable or over
  std::optional<HelloInfo> resume_hello(const HelloInfo& first) const;
  /// Goes on over the link on which `greeting` got this Welcome: Ack, then what the gateway has
  /// not. The owner drops the old link without a word. A Welcome that does not fit closes the
  /// session.
  /// @return false, nothing changed, when an attempt that the gateway heard later or earlier has
  /// won: which Welcome is the newer cannot be told, so the first counts and the owner drops this
  /// one's link
  bool adopt(ClientSession& greeting, const WelcomeInfo& welcome, Instant now, SessionEvents& out);
  void on_link_lost(CloseCode code, std::string_view reason, Instant now,
                    SessionEvents& out);  ///< as ServerSession::on_link_lost
  /// Sends a Ping out of turn: whether the link still lives shows in its Pong.
  void probe(Instant now, SessionEvents& out) {
    if (state_ == State::established) core_.send_ping(now, out);
  }
  /// Of the link in use: a silence that is searched for, where the gateway has kHeldPongCapability,
  /// or kept to when the bounds are all alike; elsewhere the gateway's interval or, when fixed, a
  /// shorter one. To be said again of each link.
  void keep_alive(KeepAliveBounds bounds, Instant now);
  bool media_pings() const { return media_pings_; }  ///< the gateway answers them
  static Bytes media_ping() { return SessionCore::media_ping(); }
  void close(CloseCode code, std::string_view reason, SessionEvents& out);
  void on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;
  bool established() const { return state_ == State::established; }
  bool detached() const { return state_ == State::detached; }
  bool closed() const { return state_ == State::closed; }
  SessionStatistics statistics() const { return core_.statistics(); }

 private:
  enum class State : std::uint8_t { idle, greeting, established, detached, closed };
  State in_greeting(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  State on_welcome(const v1::ControlMessage& message, Instant now, SessionEvents& out);
  State on_reject(const v1::ControlMessage& message, SessionEvents& out);
  void note(const WelcomeInfo& welcome);
  State close_now(CloseCode code, std::string_view reason, SessionEvents& out);

  State state_ = State::idle;
  SessionCore core_{SessionCore::Side::client};
  std::uint32_t min_version_ = 0, max_version_ = 0;  ///< offered
  bool own_compact_ = false;                         ///< Hello announced compact RTP
  bool held_pongs_ = false, media_pings_ = false;    ///< the gateway has these
  std::string token_;                                ///< for the next resume; empty: none
  std::string resumes_with_;                         ///< token of the Hello that was sent
};

}  // namespace isthmus::wire
