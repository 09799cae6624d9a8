#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "isthmus/error.hpp"

namespace isthmus {

/// Which gateway is believed. Nothing said: the system's root certificates and the name in the URL.
struct Trust {
  std::string ca_file;  ///< PEM file of roots, in place of the system's
  /// Keys, each "sha256//<base64>" (as the error of an untrusted gateway shows it) or 64
  /// hexadecimal digits. If any is given, the key alone decides, not issuer, name or dates.
  std::vector<std::string> pins;
  bool insecure = false;  ///< take any certificate: for experiments only, the password is at stake
  /// Write TLS secrets to the file that the environment variable SSLKEYLOGFILE names, for
  /// Wireshark: whoever has them reads all that was captured.
  bool key_log = false;
};

/// How to reach a gateway, and as whom. Either user and password, or token.
struct GatewayOptions {
  /// "wss://gateway.example[:443][/isthmus/v1]": TLS over TCP; "udp://...": QUIC and SRTP on one
  /// UDP socket; "isthmus://...": whichever of both works, moving between them as the network
  /// changes. A domain name without a port may have SRV records that name its gateways
  /// (`_isthmus._udp`, `_isthmus._tcp`; see the README's "Networks"); its certificate is judged by
  /// the name that stands here.
  std::string url;
  /// Other gateways for the same user, in order: tried when those before cannot be reached or go
  /// away. Calls live at one of them and end with it.
  std::vector<std::string> other_urls = {};
  /// DNS servers in place of the system's: "192.0.2.53" or "192.0.2.53:5353", "[2001:db8::53]:53".
  std::vector<std::string> dns_servers = {};
  std::string user, password;
  std::string token;  ///< a JSON Web Token that the gateway can judge
  Trust trust;
  /// HTTP proxy that the way leads through (CONNECT, Basic authentication):
  /// "http://[user[:password]@]host[:port]". Empty: as https_proxy (or HTTPS_PROXY) and no_proxy
  /// (or NO_PROXY) say when the client is created; "none": no proxy.
  std::string proxy = {};
  std::string software;  ///< "my-app/1.2", shown in the gateway's logs; empty: the SDK's own
  std::chrono::milliseconds connect_timeout{10'000};
  /// Begin a new session after a loss, with growing waits from 0.5 to 30 s. Wrong credentials and
  /// an untrusted certificate are not tried again. A session whose link alone was lost is resumed
  /// in any case, where the gateway offers that.
  bool reconnect = true;
  /// Between signs of life on an idle link. Zero: on UDP found by search, from the gateway's
  /// interval (15 s) up to two minutes, as far as the NATs on the way stand the silence.
  std::chrono::milliseconds keep_alive{0};
  /// Notice on Linux by itself what on_network_changed() says, when the gateway is reached from
  /// another address than before.
  bool watch_network = true;
};

enum class ConnectionState {
  disconnected,  ///< and stays so until connect()
  connecting,
  connected,
  waiting,  ///< for the next attempt
  /// The link was lost; the session, its registrations and calls stay up and move to the next link,
  /// which is being dialled. `connected` follows, or `waiting` when the gateway gave the session
  /// up.
  resuming,
  /// The gateway is about to stop: calls go on, new ones are refused. When there are none, the
  /// client moves to another gateway, or waits for this one; `waiting` and `connected` follow.
  /// `retry_in` says how long calls have.
  leaving,
};
ISTHMUS_API const char* to_text(ConnectionState state);

struct ConnectionEvent {
  ConnectionState state = ConnectionState::disconnected;
  Error error;  ///< of disconnected and waiting: why
  std::optional<std::chrono::milliseconds> retry_in = std::nullopt;  ///< waiting, resuming, leaving
  /// Of connected: the session that stood before goes on, and was without a link for so long.
  std::optional<std::chrono::milliseconds> resumed_after = std::nullopt;
  /// Same: why the link was changed, for a person ("UDP passes here", "the network changed").
  std::string move_reason = {};
};

/// What carries a session at present.
enum class LinkKind {
  none,
  websocket,  ///< TLS over TCP
  udp,        ///< QUIC and SRTP
};
ISTHMUS_API const char* to_text(LinkKind kind);

/// The present session.
struct SessionInfo {
  std::string user;        ///< as the gateway knows us
  std::string sip_domain;  ///< of the gateway's own registrar
  std::string gateway_software;
  std::string local_address;       ///< "192.168.1.5:51034" of the one socket in use
  std::string gateway_address;     ///< its other end: the gateway's, or a proxy's in between
  std::string observed_address;    ///< ours, as the gateway saw it when the link began
  LinkKind link = LinkKind::none;  ///< none while the session waits for one
  /// Which of the gateways, where SRV records led, and by which proxy: "example.org
  /// (gw2.example.org:443)", "example.org by the proxy 192.0.2.8:3128".
  std::string gateway = {};
  std::uint64_t links = 0;  ///< that have carried it: one more than it changed
  /// The longest silence on the link; it changes while it is searched for.
  std::chrono::milliseconds keep_alive{0};
  bool keep_alive_adapts = false;
  std::uint64_t way_back_lost = 0;  ///< times that a NAT had forgotten us after a silence
  std::optional<std::chrono::microseconds> round_trip = std::nullopt;  ///< to the gateway
};

}  // namespace isthmus
