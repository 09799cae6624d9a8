#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

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

/// What a connection tells its owner, from the io_context's thread. Inside a callback everything
/// may be called, and the connection may be destroyed. Spans are valid during the call only.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void on_established(const wire::WelcomeInfo& welcome) = 0;
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
  std::string url;  ///< "wss://gateway.example[:443][/isthmus/v1]", or udp:// or isthmus://
  wire::HelloInfo hello;
  TrustOptions trust;
  Duration connect_timeout = seconds(10);  ///< name, TCP, TLS and upgrade together
  bool compact_rtp = true;                 ///< where the gateway has it too
  bool reconnect = true;
  /// Retry also after a refusal that repeating rarely cures: unauthorized, forbidden (an untrusted
  /// certificate is one), credentials_expired, version_mismatch, replaced. For connectors, which
  /// nobody restarts.
  bool retry_refused = false;
  /// The wait doubles from first to last with each failure, and is shortened at random by up to
  /// half, so that a gateway's clients do not come back in one moment.
  Duration first_retry = milliseconds(500);
  Duration last_retry = seconds(30);
};

/// A session with a gateway, kept up: dials, greets, reconnects. Not thread-safe: everything
/// happens on the thread that runs `io`.
///
///     idle ──start──▶ dialing ──link──▶ greeting ──Welcome──▶ established
///                        ▲  └──────────────┴───────┬─────────────┘ failure, on_closed
///                        └───────── waiting ◀──────┘──▶ idle (when no retry is due)
class ClientConnection {
 public:
  /// @return a fault of the options (UrlError, a pin, a CA file) in words
  static Result<std::unique_ptr<ClientConnection>, TrustError> make(boost::asio::io_context& io,
                                                                    ConnectionOptions options,
                                                                    ConnectionHandler& handler);
  /// Ends without callbacks; an established session is told (going_away).
  ~ClientConnection();

  void start();  ///< nothing happens unless idle
  /// Ends the session and stops trying; on_closed(code, reason, nothing) follows unless idle.
  void close(wire::CloseCode code = wire::CloseCode::normal, std::string_view reason = {});

  bool established() const;
  /// @return false unless established and at most limits::kReliableFrameBytes long: not sent
  bool send_sip(ByteView message);
  void send_media(wire::Channel channel, ByteView bytes);  ///< dropped unless established

  std::string local_text() const;   ///< "192.0.2.7:51034" of the socket in use, empty without one
  std::string remote_text() const;  ///< same, of the gateway
  wire::SessionStatistics session_statistics() const;  ///< of the present or last session
  wire::LinkCounters link_counters() const;            ///< of the present or last link
  wire::MediaFormCounters media_in() const;            ///< of the present or last session
  wire::MediaFormCounters media_out() const;           ///< same
  std::uint64_t attempts() const;                      ///< since construction

 private:
  class Impl;
  explicit ClientConnection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace isthmus::net
