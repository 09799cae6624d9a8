#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "ops/network.hpp"
#include "ops/secret.hpp"
#include "ops/sip_config.hpp"

/// Configuration of the gateway and the connector as plain values. The loader
/// (ops/config_loader.hpp) has checked whatever is in here; every key and its meaning is described
/// once, in ops/config_keys.cpp, and docs/configuration.md is generated from it. A
/// default-constructed value is what an empty file gives.
namespace isthmus::ops {

struct WebSocketConfig {
  IpAddress address;               ///< 0.0.0.0: every IPv4 interface
  std::uint16_t port = 8443;       ///< 0: any free port
  std::string certificate;         ///< PEM chain; empty: self-signed, made in the state directory
  std::string private_key;         ///< PEM; empty together with `certificate`
  std::vector<std::string> names;  ///< in a self-signed certificate
  std::uint32_t max_connections = 10'000;
  bool operator==(const WebSocketConfig&) const = default;
};

enum class MediaSource : std::uint8_t { learn, strict };

struct PortRange {
  std::uint16_t first = 20'000, last = 29'999;  ///< both included; first is even
  bool operator==(const PortRange&) const = default;
};

struct MediaConfig {
  IpAddress address;
  std::optional<IpAddress> advertised_address;  ///< for SDP; absent: as sip.udp
  /// The other family's: IPv6 beside an IPv4 `address`. Absent: that of a SIP listener, if one has
  /// it; else such calls get no media.
  std::optional<IpAddress> ipv6_address, ipv6_advertised_address;
  PortRange ports;
  MediaSource source = MediaSource::learn;
  seconds timeout{60};  ///< a call without media this long is ended; 0: never
  bool operator==(const MediaConfig&) const = default;
};

struct UserConfig {
  std::string name;
  std::string password_hash;      ///< "$scrypt$…", as `session::hash_password` makes it
  std::vector<std::string> aors;  ///< user parts in the domain; never empty after loading; "*": any
  bool operator==(const UserConfig&) const = default;
};

struct TokensConfig {
  std::string issuer, audience;                  ///< empty: not checked
  std::vector<Secret> hmac_secrets;              ///< raw bytes, at least 32
  std::vector<std::string> ed25519_public_keys;  ///< raw 32 bytes
  seconds leeway{30};                            ///< for exp and nbf: clocks differ
  bool enabled() const { return !hmac_secrets.empty() || !ed25519_public_keys.empty(); }
  bool operator==(const TokensConfig&) const = default;
};

enum class Redirects : std::uint8_t { pass, follow };

enum class RegistrationMode : std::uint8_t { passthrough };

/// RFC 4028 toward one provider.
struct SessionTimerConfig {
  seconds expires{0};  ///< 0: session timers are between the end points
  seconds min{90};
  bool operator==(const SessionTimerConfig&) const = default;
};

struct ProviderConfig {
  std::string name;
  SipTarget target;
  std::vector<std::string> domains;  ///< SIP domains that belong to it; empty: the target's host
  RegistrationMode registration = RegistrationMode::passthrough;
  std::vector<Network> addresses;  ///< besides the target's own, where its requests may come from
  std::string user_agent;  ///< replaces User-Agent in requests to it; empty: as the client says
  bool topology_hiding = false;  ///< it is not shown Call-IDs, tags, software and hosts of others
  Redirects redirects = Redirects::pass;
  SessionTimerConfig session_timer;
  seconds failover_timeout{4};  ///< silence after which an INVITE tries the next host; 0: 32 s
  ProviderTlsConfig tls;
  /// Requests above this go by TCP instead of UDP; 0: never. Absent: as sip.udp.
  std::optional<std::uint32_t> datagram_bytes;
  bool operator==(const ProviderConfig&) const = default;
};

/// What holds for every client's link.
struct LinksConfig {
  bool topology_hiding = false;
  bool operator==(const LinksConfig&) const = default;
};

/// The first route that matches decides; a field that is empty matches anything.
struct RouteConfig {
  std::string domain, user_prefix;
  std::string to;  ///< a provider's name, or "local": the built-in registrar
  bool operator==(const RouteConfig&) const = default;
};

struct ServicesConfig {
  bool echo = true, tone = true;
  std::string echo_user = "echo", tone_user = "tone";
  bool operator==(const ServicesConfig&) const = default;
};

struct AdminConfig {
  IpAddress address = IpAddress::v4(0x7f000001);
  std::uint16_t port = 8080;  ///< 0: no admin server
  bool operator==(const AdminConfig&) const = default;
};

struct LimitsConfig {
  std::uint32_t sessions = 10'000;
  std::uint32_t calls = 5'000;  ///< half of the default media ports
  std::uint32_t calls_per_session = limits::kCallsPerSession;
  std::uint32_t registrations_per_session = limits::kBindingsPerSession;
  bool operator==(const LimitsConfig&) const = default;
};

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };
enum class LogFormat : std::uint8_t { text, json };

struct LogConfig {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
  bool redact = true;
  bool operator==(const LogConfig&) const = default;
};

/// SIP timers (RFC 3261 table 4). Tests shorten them; nobody else should need to.
struct TimersConfig {
  milliseconds t1{500}, t2{4000}, t4{5000};
  bool operator==(const TimersConfig&) const = default;
};

struct GatewayConfig {
  std::string domain = "isthmus.local";
  std::string state_dir;  ///< empty: `choose_state_dir` decides (ops/state_dir.hpp)
  WebSocketConfig websocket;
  SipConfig sip;
  MediaConfig media;
  std::vector<UserConfig> users;
  TokensConfig tokens;
  std::vector<ProviderConfig> providers;
  LinksConfig links;
  std::vector<RouteConfig> routes;
  ServicesConfig services;
  AdminConfig admin;
  LimitsConfig limits;
  LogConfig log;
  TimersConfig timers;
  bool operator==(const GatewayConfig&) const = default;
};

/// How the connector judges the gateway's certificate. Nothing set: the system's authorities.
struct TrustConfig {
  std::string ca_file;  ///< PEM file of authorities to use in place of the system's
  std::string pin;  ///< SHA-256 of the public key: "sha256//<base64>" or 64 hex digits; empty: none
  bool insecure = false;  ///< accept any certificate: laboratory only
  bool operator==(const TrustConfig&) const = default;
};

struct UpstreamConfig {
  std::string url;  ///< "wss://host[:port]"; required
  std::string user;
  Secret password;  ///< of `password` or `password_file`
  Secret token;     ///< of `token` or `token_file`; excludes user and password
  TrustConfig trust;
  bool operator==(const UpstreamConfig&) const = default;
};

struct ConnectorConfig {
  std::string state_dir;
  UpstreamConfig gateway;
  SipConfig sip;
  MediaConfig media;
  std::vector<Network> allow = default_allow();  ///< who on the local network may talk to it
  AdminConfig admin;
  LogConfig log;
  TimersConfig timers;
  bool operator==(const ConnectorConfig&) const = default;

  /// Loopback, private (RFC 1918), link-local and unique local (RFC 4193) addresses.
  static std::vector<Network> default_allow();
};

}  // namespace isthmus::ops
