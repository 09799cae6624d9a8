#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "ops/locating_config.hpp"
#include "ops/network.hpp"
#include "ops/policy_config.hpp"
#include "ops/registrar_config.hpp"
#include "ops/routing_config.hpp"
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
  bool key_log = false;  ///< secrets of links go to SSLKEYLOGFILE
  bool operator==(const WebSocketConfig&) const = default;
};

struct UdpLinkConfig {
  bool enabled = true;
  std::optional<std::uint16_t> port;  ///< without: the WebSocket's
  std::uint32_t retry_above = 200;    ///< new connections a second
  bool early_data = true;             ///< QUIC's 0-RTT, for clients that resume
  bool operator==(const UdpLinkConfig&) const = default;
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
  seconds timeout{60};      ///< a call without media this long is ended; 0: never
  bool compact_rtp = true;  ///< on links whose other end has it too
  bool operator==(const MediaConfig&) const = default;
};

struct UserConfig {
  std::string name;
  std::string password_hash;      ///< "$scrypt$…", as `session::hash_password` makes it; empty:
                                  ///< opens no links
  std::vector<std::string> aors;  ///< user parts in the domain; never empty after loading; "*": any
  Secret sip_password{};          ///< for digest; empty: none, or `sip_ha1`
  std::vector<Secret> sip_ha1{};  ///< "ALGORITHM:HEX" each
  bool trusted = false;           ///< what its clients say of identities is believed
  AccountLimitsConfig limits{};   ///< after loading, limits.user where it has none of its own
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
enum class Dtmf : std::uint8_t { pass, info, rfc4733 };

enum class RegistrationMode : std::uint8_t { passthrough, account, trunk };
enum class RegisterWhen : std::uint8_t { when_present, always, none };
enum class AccountFrom : std::uint8_t { account, client };
enum class InboundUser : std::uint8_t { request_uri, to, p_called_party_id };

/// A name at a provider with its credentials.
struct ProviderAccountConfig {
  std::string user;          ///< user part at the provider
  std::string auth_user;     ///< never empty after loading
  Secret password;           ///< of `password` or `password_file`
  std::string contact_user;  ///< user part of our Contact; empty: a token
  std::string aor;  ///< user part in our domain; never empty after loading, but for a trunk
  bool operator==(const ProviderAccountConfig&) const = default;
};

/// How and as what this gateway and its clients register with a provider.
struct RegistrationConfig {
  RegistrationMode mode = RegistrationMode::passthrough;
  seconds client_refresh{60};      ///< passthrough: 0 lets every REGISTER pass as it is
  seconds register_expires{3600};  ///< asked of the provider
  /// When accounts and the trunk are registered. Set after loading.
  RegisterWhen when = RegisterWhen::when_present;
  std::string domain;  ///< of accounts and the trunk; not empty after loading where there are some
  AccountFrom from = AccountFrom::account;
  InboundUser inbound_user = InboundUser::request_uri;
  bool outbound = false;                        ///< RFC 5626
  std::vector<ProviderAccountConfig> accounts;  ///< mode account
  ProviderAccountConfig trunk;                  ///< mode trunk
  bool operator==(const RegistrationConfig&) const = default;
};

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
  RegistrationConfig registration;
  std::vector<Network> addresses;  ///< besides the target's own, where its requests may come from
  std::string user_agent;  ///< replaces User-Agent in requests to it; empty: as the client says
  bool topology_hiding = false;  ///< it is not shown Call-IDs, tags, software and hosts of others
  Redirects redirects = Redirects::pass;
  Dtmf dtmf = Dtmf::pass;  ///< in which form digits go to it and come from it
  SessionTimerConfig session_timer;
  seconds failover_timeout{4};  ///< silence after which an INVITE tries the next host; 0: 32 s
  seconds probe_interval{0};    ///< OPTIONS to its hosts; 0: only to those that failed
  ProviderTlsConfig tls;
  /// Requests above this go by TCP instead of UDP; 0: never. Absent: as sip.udp.
  std::optional<std::uint32_t> datagram_bytes;
  HeadersConfig headers{};
  AccountLimitsConfig limits{};  ///< after loading, limits.provider where it has none of its own
  bool operator==(const ProviderConfig&) const = default;
};

/// What holds for every client's link.
struct LinksConfig {
  std::uint32_t shards = 1;  ///< threads that carry links; 1: the one that does all else
  bool topology_hiding = false;
  seconds resume_window = std::chrono::duration_cast<seconds>(limits::kResumeWindow);
  seconds drain{0};                         ///< for calls to end by themselves, at SIGTERM
  std::vector<std::string> drain_gateways;  ///< URLs that clients are told then
  bool operator==(const LinksConfig&) const = default;
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
  std::uint32_t detached_sessions = 2'000;
  std::uint32_t detached_sessions_per_user = 8;
  AccountLimitsConfig user = {0, 300, 300, 300}, provider{}, source{};
  std::uint32_t stranger_answers = 3;
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
  UdpLinkConfig udp_link;
  SipConfig sip;
  MediaConfig media;
  std::vector<UserConfig> users;
  TokensConfig tokens;
  std::vector<ProviderConfig> providers;
  LinksConfig links;
  std::vector<RouteConfig> routes;
  DnsConfig dns;
  EnumConfig enumeration;
  std::vector<NumberConfig> numbers;
  PushConfig push;
  ServicesConfig services;
  RegistrarConfig registrar;
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
  bool key_log = false;   ///< TLS secrets go to SSLKEYLOGFILE
  bool operator==(const TrustConfig&) const = default;
};

struct UpstreamConfig {
  std::string url;                      ///< "wss://host[:port]"; required
  std::vector<std::string> other_urls;  ///< in order
  std::vector<Endpoint> dns_servers;    ///< empty: the system's
  std::string user;
  Secret password;  ///< of `password` or `password_file`
  Secret token;     ///< of `token` or `token_file`; excludes user and password
  TrustConfig trust;
  seconds keep_alive{0};  ///< zero: by search
  Secret proxy;           ///< URL of an HTTP proxy, "none", or empty: as the environment says
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
