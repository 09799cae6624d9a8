#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.hpp"
#include "wire/compact_rtp.hpp"
#include "wire/keep_alive_search.hpp"
#include "wire/session_events.hpp"
#include "wire/sip_ledger.hpp"

namespace isthmus::v1 {
class ControlMessage;
}

namespace isthmus::wire {

/// Does the session that calls live on after this input?
enum class Life : std::uint8_t { goes_on, link_lost, over };

/// What both ends of a session do alike: the time allowed to establish it, and once it stands SIP
/// counting and Acks, Ping and Pong, Close. Acks are sent after limits::kAckEveryFrames frames or
/// limits::kAckDelay; a peer that sends nothing for limits::kMissedPings keep-alive intervals is
/// dead (timeout). The owner keeps the state and calls nothing here once `over` came back.
class SessionCore {
 public:
  enum class Side : std::uint8_t { server, client };
  explicit SessionCore(Side side) : side_(side) {}

  /// The time to establish the session (limits::kUnauthenticatedLife) runs from here.
  void open(Instant now);
  void establish(std::uint32_t keep_alive_ms, Instant now);
  /// Client, of a gateway that holds Pongs: looks for the longest silence on the link in use that
  /// NATs stand, or keeps to one.
  void search_keep_alive(KeepAliveBounds bounds, Instant now);
  /// Client: a Ping each so often, at most as the gateway said.
  void fix_keep_alive(Duration interval, Instant now);
  /// Server: the Pong to a Ping that came as a media frame of channel 0, to go back as one; nothing
  /// when it is none.
  static std::optional<Bytes> media_pong(ByteView frame);
  /// Client: such a Ping, as long as a packet of speech.
  static Bytes media_ping();
  /// Both ends announced kCompactRtpCapability: media frames may be compact from here on.
  void enable_compact_rtp();
  /// The frame that carries a media packet; valid until the next call, empty when none can.
  ByteView write_media(Channel channel, ByteView packet, Instant now, SessionEvents& out);
  /// The packet that a media frame carries; valid as long as the frame and until the next call.
  std::optional<ByteView> read_media(Channel channel, ByteView frame, Instant now,
                                     SessionEvents& out);
  const MediaFormCounters& media_out() const { return media_out_.counters(); }
  const MediaFormCounters& media_in() const { return media_in_.counters(); }

  /// From here on the session outlives its links by up to this long, and keeps what is not
  /// acknowledged.
  void make_resumable(Duration window);
  bool resumable() const { return window_ > Duration{}; }
  /// The link is gone; the session waits.
  void detach(Instant now);
  /// Goes on over a new link: the peer's first SIP frame on it has the number `base` + 1, and media
  /// contexts are to be agreed anew. What of ours is not acknowledged is to be sent with replay().
  void attach(std::uint32_t keep_alive_ms, std::uint64_t base, Instant now);
  void replay(SessionEvents& out);
  SipLedger& ledger() { return ledger_; }
  const SipLedger& ledger() const { return ledger_; }
  void send_ack(SessionEvents& out);
  /// Out of turn: does the link live?
  void send_ping(Instant now, SessionEvents& out);
  /// Anything that came from the peer, media included.
  void heard(Instant now) { last_heard_ = now; }

  /// The owner's state after an input. A session whose link was lost is detached here.
  template <typename State>
  State after(Life life, State stands, Instant now) {
    if (life == Life::goes_on) return stands;
    if (life == Life::over) return State::closed;
    detach(now);
    return State::detached;
  }

  /// A frame while the session stands.
  Life on_frame(Channel channel, ByteView bytes, Instant now, SessionEvents& out);
  /// A control message that no state treats in its own way: Close ends, a kind this version ignores
  /// is counted, any other is out of place here.
  Life on_other_control(const v1::ControlMessage& message, SessionEvents& out);
  /// Parses a control frame and counts what it carries that we do not know; nothing when it is
  /// malformed.
  bool parse(ByteView bytes, v1::ControlMessage& message);
  void count_unknown_channel() { ++statistics_.unknown_channels; }

  /// Sends a frame, or keeps it for the next link. Over the bounds of what may be kept it ends the
  /// session.
  Life send_sip(ByteView message, SessionEvents& out);
  Life on_timeout(Instant now, SessionEvents& out);
  std::optional<Instant> next_deadline() const;

  void send(const v1::ControlMessage& message, SessionEvents& out) const;
  /// Says Close to the peer and reports the end. @return over, for the caller to return.
  Life close(CloseCode code, std::string_view reason, SessionEvents& out) const;
  /// Reports the end that the peer said or that needs no word to it.
  Life end(SessionClosed closed, SessionEvents& out) const;

  SessionStatistics statistics() const;

 private:
  Life on_sip(ByteView bytes, Instant now, SessionEvents& out);
  Life on_control(ByteView bytes, Instant now, SessionEvents& out);
  Life on_ack(std::uint64_t sip_frames, SessionEvents& out);
  void on_ping(const v1::ControlMessage& message, Instant now, SessionEvents& out);
  void send_pong(std::uint64_t ping_clock_ms, Duration held, Instant now, SessionEvents& out) const;
  void on_pong(std::uint64_t ping_clock_ms, Duration held, Instant now);
  void next_ping(Instant now, SessionEvents& out);
  void end_search();
  void on_traffic() {
    if (search_) search_->on_traffic();
  }
  std::uint64_t clock_ms(Instant now) const;
  Instant peer_lost_at() const;

  Side side_;
  bool established_ = false, attached_ = true;
  Duration window_{};  ///< zero: not resumable
  Instant lost_at_{};  ///< while not attached: when the session ends
  SipLedger ledger_;
  std::uint64_t position_ = 0;  ///< number of the last SIP frame that came on this link
  Instant opened_{}, last_heard_{};
  /// A Ping whose Pong is held back: by us, or by the gateway.
  struct HeldPing {
    std::uint64_t clock_ms = 0;
    Instant since{}, until{};
  };
  Duration keep_alive_{};
  std::optional<HeldPing> held_;           ///< server: to be answered
  Duration peer_silence_{};                ///< server: what the last Ping announced
  std::optional<KeepAliveSearch> search_;  ///< client
  std::optional<HeldPing> awaited_;        ///< client: of the search
  Instant answer_due_{};                   ///< client: its Pong, the last one's when it was missed
  Instant next_ping_{};                    ///< client only
  std::optional<Instant> ping_sent_;       ///< the Ping whose Pong is awaited
  std::optional<Instant> ack_due_;
  std::uint64_t acked_in_ = 0;  ///< received frames that our last Ack covered
  SessionStatistics statistics_;
  bool compact_ = false;
  CompactRtpSender media_out_;
  CompactRtpReceiver media_in_;
};

}  // namespace isthmus::wire
