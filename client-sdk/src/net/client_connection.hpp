#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "net/gateway_url.hpp"
#include "net/trust.hpp"
#include "wire/link.hpp"
#include "wire/session.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::net {

/// What carries a session at present.
enum class LinkKind : std::uint8_t { none, websocket, udp };
inline const char* to_text(LinkKind kind) {
  if (kind == LinkKind::none) return "none";
  return kind == LinkKind::udp ? "udp" : "websocket";
}

/// What a connection tells its owner, from the io_context's thread. Inside a callback everything
/// may be called, and the connection may be destroyed. Spans are valid during the call only.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void on_established(const wire::WelcomeInfo& welcome) = 0;
  /// The link is gone or an attempt at a new one failed; the session stands and waits for one. SIP
  /// that is sent meanwhile waits too, media is dropped.
  /// @param will_retry_in  zero: now
  virtual void on_link_lost(wire::CloseCode /*code*/, const std::string& /*reason*/,
                            Duration /*will_retry_in*/) {}
  /// The session goes on over a new link. @param gap  since the loss; zero when the old link stood
  virtual void on_link_back(const wire::WelcomeInfo& /*welcome*/, Duration /*gap*/) {}
  /// The gateway is about to stop: calls go on for so long at most, new ones are refused. The
  /// connection moves elsewhere once may_leave().
  virtual void on_go_away(const std::string& /*reason*/, Duration /*deadline*/) {}
  /// Would nothing be lost if the session gave way to a new one, at another gateway perhaps? Not
  /// while there are calls. Asked now and then when the gateway goes away or cannot be reached.
  virtual bool may_leave() const { return true; }
  virtual void on_sip(std::string message) = 0;  ///< one complete SIP message
  virtual void on_media(wire::Channel channel, ByteView bytes) = 0;
  /// The session ended, or an attempt failed.
  /// @param reason         for a person; names the step that failed and what to do where that is
  /// known
  /// @param will_retry_in  when the next attempt begins; nothing: never, until start()
  virtual void on_closed(wire::CloseCode code, const std::string& reason,
                         std::optional<Duration> will_retry_in) = 0;
};

struct ConnectionOptions {
  /// "wss://gateway.example[:443][/isthmus/v1]", or udp:// or isthmus://. A name without a port may
  /// be a domain whose SRV records name its gateways (gateway_srv.hpp).
  std::string url;
  /// Gateways that serve the same users, in order: tried when those before cannot be reached. A
  /// session lives at one of them; its calls cannot move to another.
  std::vector<std::string> other_urls;
  /// DNS servers for SRV records (gateway_srv.hpp) and addresses; empty: the system's, and
  /// addresses as the system finds them.
  std::vector<Endpoint> dns_servers;
  wire::HelloInfo hello;
  TrustOptions trust;
  /// URL of an HTTP proxy; empty: as the environment says (see ProxyChoice); "none": no proxy.
  std::string proxy;
  Duration connect_timeout = seconds(10);  ///< name, TCP, TLS and upgrade together
  /// Between Pings. Zero: on UDP links by search, up to what the NAT allows
  /// (wire::KeepAliveSearch); on WebSocket as the gateway says, since what is lost with a mapping
  /// there is the link.
  Duration keep_alive{};
  bool compact_rtp = true;  ///< where the gateway has it too
  /// Begin a new session after the end of one, and after the first round of attempts. Where the
  /// gateway offers it, a session that lost its link is resumed in any case.
  bool reconnect = true;
  /// Retry also after a refusal that repeating rarely cures: unauthorized, forbidden (an untrusted
  /// certificate is one), credentials_expired, version_mismatch, replaced. For connectors, which
  /// nobody restarts.
  bool retry_refused = false;
  /// The wait doubles from first to last with each failure, and is shortened at random by up to
  /// half, so that a gateway's clients do not come back in one moment.
  Duration first_retry = milliseconds(500);
  Duration last_retry = seconds(30);
  /// Notice where the system says so (Linux) that the gateway is reached from another address than
  /// before, and act as on_network_changed().
  bool watch_network = true;
  /// The same for a session that lost its link, which has no time to lose; the first attempt comes
  /// at once.
  Duration first_resume_retry = milliseconds(100);
  Duration last_resume_retry = seconds(3);
};

/// A session with a gateway, kept up: dials, greets, resumes, reconnects. Not thread-safe:
/// everything happens on the thread that runs `io`.
///
///     idle ──start──▶ dialing ──link──▶ greeting ──Welcome──▶ established
///                        ▲  └──────────────┴───────┬─────────────┘ failure, on_closed
///                        └───────── waiting ◀──────┘──▶ idle (when no retry is due)
///
/// A gateway that offers it keeps the session when its link is lost: another is dialled at once,
/// then again and again, until one resumes the session or the gateway's window is over. Where the
/// gateway knows the session no more, a new one begins at once. While media is sent, a link on
/// which nothing comes back, not even the Pong to a Ping out of turn, is taken for dead after a
/// second: another is dialled beside it, and the first that works carries on. At any time there is
/// at most one link in use and one attempt at the next.
///
/// A domain's SRV records are asked for before a round of attempts, and again when they have
/// expired. Of several gateways the next is tried at once when one cannot be reached; the waits are
/// between rounds. A session without calls is given up for another gateway when two attempts to
/// resume it have failed, and when its gateway goes away (GoAway): the new session is there before
/// the old one ends. One with calls stays until they are over.
class ClientConnection {
 public:
  /// @return a fault of the options (UrlError, the proxy, a pin, a CA file) in words
  static Result<std::unique_ptr<ClientConnection>, TrustError> make(boost::asio::io_context& io,
                                                                    ConnectionOptions options,
                                                                    ConnectionHandler& handler);
  /// Ends without callbacks; an established session is told (going_away).
  ~ClientConnection();

  void start();  ///< nothing happens unless idle
  /// Ends the session and stops trying; on_closed(code, reason, nothing) follows unless idle.
  void close(wire::CloseCode code = wire::CloseCode::normal, std::string_view reason = {});

  /// The network is another, or may be: a session that can be resumed moves to a new link now,
  /// keeping the old one until then; whoever waits for an attempt has it now.
  void on_network_changed();

  bool established() const;  ///< a session stands, with a link or waiting for one
  bool has_link() const;     ///< and has one
  /// Without a link the frame waits for the next.
  /// @return false unless established and at most limits::kReliableFrameBytes long: not sent
  bool send_sip(ByteView message);
  void send_media(wire::Channel channel, ByteView bytes);  ///< dropped without a link

  LinkKind link_kind() const;  ///< of the link in use
  /// Which gateway, and by which proxy: "gw.example (a.example:443)", "gw.example by the proxy
  /// p:8080".
  std::string gateway_text() const;
  /// Why the last change of links came about, for a person; empty before the first.
  const std::string& move_reason() const;
  std::string local_text() const;   ///< "192.0.2.7:51034" of the socket in use, empty without one
  std::string remote_text() const;  ///< same, of the gateway, or of the proxy in between
  wire::SessionStatistics session_statistics() const;  ///< of the present or last session
  wire::LinkCounters link_counters() const;            ///< of that session's links
  wire::MediaFormCounters media_in() const;            ///< of the present or last session
  wire::MediaFormCounters media_out() const;           ///< same
  std::uint64_t attempts() const;                      ///< since construction

 private:
  class Impl;
  class LinkEnd;
  explicit ClientConnection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace isthmus::net
