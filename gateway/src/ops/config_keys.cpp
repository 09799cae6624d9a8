#include "ops/config_keys.hpp"

#include "base/limits.hpp"
#include "ops/config_registration.hpp"
#include "ops/locating_config_keys.hpp"
#include "ops/policy_config_keys.hpp"
#include "ops/registrar_config_keys.hpp"
#include "ops/routing_config_keys.hpp"
#include "ops/sip_config_keys.hpp"

namespace isthmus::ops {
namespace {

constexpr std::uint32_t kMostSessions = 1'000'000;

constexpr KeyDoc kKeyLog{
    "Write TLS secrets of links (WebSocket and UDP) to the file that the environment variable "
    "SSLKEYLOGFILE names, and keys of the UDP link's media to that with .srtp behind its name, for "
    "Wireshark (proto/wireshark): whoever has them reads, and hears, all that was captured. For "
    "investigations only."};

void visit_websocket(KeyVisitor& v, WebSocketConfig& c) {
  v.value("address", {"Address to listen on; `::` listens on IPv6 and IPv4."},
          ip_address(c.address));
  v.value("port", {"TCP port; 0 takes any free one and logs it."}, port(c.port));
  v.value("certificate",
          {"Certificate chain (PEM), the gateway's own first. Without it the gateway makes a "
           "self-signed certificate, keeps it in the state directory, and logs its pin.",
           "", "self-signed"},
          readable_file(c.certificate));
  v.value("private_key", {"Private key (PEM) of `certificate`; both or none.", "", "self-signed"},
          readable_file(c.private_key));
  v.values("names",
           {"Names to put into a self-signed certificate, besides the host's own, localhost and "
            "the loopback "
            "addresses.",
            "", "none"},
           list_of(c.names, domain_name));
  v.value("max_connections", {"Connections beyond this are closed at once.", "connections"},
          count(c.max_connections, 1, kMostSessions));
  v.value("key_log", kKeyLog, boolean(c.key_log));
}

void visit_udp_link(KeyVisitor& v, UdpLinkConfig& c) {
  v.value("enabled",
          {"Takes links over UDP (QUIC, and SRTP beside it) as well, on the WebSocket's "
           "address and with its certificate."},
          boolean(c.enabled));
  v.value("port",
          {"UDP port. Without it, the number of the WebSocket's; if another program has that, the "
           "gateway warns and goes on without UDP links.",
           "", "as listen.websocket.port"},
          optional(c.port, port));
  v.value("retry_above",
          {"Above as many new connections in one second, clients must first show that they are "
           "where they say they are (QUIC's Retry); 0 asks everybody.",
           "connections/s"},
          count(c.retry_above, 0, kMostSessions));
  v.value("early_data",
          {"Answers a client that comes back to its session (resume) with the first datagram, by "
           "QUIC's 0-RTT; nothing else is taken before the handshake is done. False: tickets are "
           "not given, and coming back takes a round trip more."},
          boolean(c.early_data));
}

void visit_media(KeyVisitor& v, MediaConfig& c) {
  v.section("media", "RTP and RTCP toward the SIP side.", [&] {
    v.value("address", {"Address to bind."}, ip_address(c.address));
    v.value("advertised_address",
            {"Address to write into SDP.", "", "as sip.udp.advertised_address"},
            advertised(c.advertised_address));
    v.value("ipv6_address",
            {"Address to bind for calls over IPv6, beside an IPv4 `address`.", "",
             "that of the first IPv6 SIP listener"},
            optional(c.ipv6_address, ip_address));
    v.value("ipv6_advertised_address",
            {"Address to write into SDP of calls over IPv6.", "", "as bound"},
            advertised(c.ipv6_advertised_address));
    v.value("ports", {"Port range; a call with audio takes two ports (RTP and RTCP)."},
            port_range(c.ports));
    v.value(
        "source",
        {"Where media may come from: `learn` locks to the first valid stream of the first seconds "
         "and prefers the SDP's address (for peers behind NAT); `strict` takes the SDP's address "
         "only."},
        choice(c.source));
    v.value("timeout_s", {"A call that received no media for this long is ended; 0 never.", "s"},
            duration(c.timeout, seconds(0), seconds(86400)));
    v.value("compact_rtp",
            {"Replace RTP headers by two bytes on links whose other end can (PROTOCOL.md §3)."},
            boolean(c.compact_rtp));
  });
}

void visit_admin(KeyVisitor& v, AdminConfig& c) {
  v.section("admin",
            "HTTP server for /metrics, /healthz and /api/v1. It has no authentication: keep it on "
            "loopback or a management network.",
            [&] {
              v.value("address", {"Address to listen on."}, ip_address(c.address));
              v.value("port", {"TCP port; 0 switches the server off."}, port(c.port));
            });
}

void visit_log(KeyVisitor& v, LogConfig& c) {
  v.section("log", "Log lines go to standard error.", [&] {
    v.value("level", {"Least severe level that is written."}, choice(c.level));
    v.value("format", {"`text` is key=value lines, `json` one object a line."}, choice(c.format));
    v.value("redact",
            {"Hide all but the last two characters of phone numbers and user names, and the host "
             "part of "
             "addresses. "
             "Credentials are never written."},
            boolean(c.redact));
  });
}

void visit_timers(KeyVisitor& v, TimersConfig& c) {
  v.section("timers", "SIP timers (RFC 3261, table 4). Meant for tests.", [&] {
    v.value("t1_ms", {"Round-trip estimate: first retransmission.", "ms"},
            duration(c.t1, milliseconds(1), milliseconds(5000)));
    v.value("t2_ms", {"Longest interval between retransmissions.", "ms"},
            duration(c.t2, milliseconds(1), milliseconds(60000)));
    v.value("t4_ms", {"Longest time that a message stays in the network.", "ms"},
            duration(c.t4, milliseconds(1), milliseconds(60000)));
  });
}

void visit_user(KeyVisitor& v, UserConfig& c) {
  v.value("name", {"Name to authenticate with.", "", "", true}, user_name(c.name));
  v.value("password_hash",
          {"Output of `isthmus-gateway hash-password`. A user with SIP credentials only opens no "
           "links.",
           "", "none"},
          password_hash(c.password_hash));
  visit_sip_secrets(v, c);
  v.values(
      "aors",
      {"Addresses of record in the domain (user parts) that this user may register and call as; "
       "`\"*\"` is any, for a connector or a PBX.",
       "", "the user's name"},
      list_of(c.aors, address_of_record));
  v.value("trusted",
          {"P-Asserted-Identity of this user's clients is believed (RFC 3325): a PBX of one's own. "
           "That of others is taken out."},
          boolean(c.trusted));
  v.section("limits", "Limits of this user, over all sessions, in place of those of `limits.user`.",
            [&] { visit_account_limits(v, c.limits); });
}

void visit_tokens(KeyVisitor& v, TokensConfig& c) {
  v.section(
      "tokens",
      "Bearer tokens (JWT) as an alternative to passwords. `sub` is the user, `exp` is required, "
      "`aors` (a list) is optional and means the same as for users.",
      [&] {
        v.value("issuer", {"Required `iss`.", "", "not checked"}, text(c.issuer));
        v.value("audience", {"Required `aud`, or one of them.", "", "not checked"},
                text(c.audience));
        v.values("hmac_secrets",
                 {"Secrets for HS256: base64url of 32 bytes or more, or `file:PATH` of a file that "
                  "holds that. Any may have signed.",
                  "", "none"},
                 list_of(c.hmac_secrets, hmac_secret));
        v.values("ed25519_public_keys",
                 {"Public keys for EdDSA: `file:PATH` of a PEM, or base64url of the 32 bytes.", "",
                  "none"},
                 list_of(c.ed25519_public_keys, ed25519_key));
        v.value("leeway_s", {"How far the issuer's clock may be off.", "s"},
                duration(c.leeway, seconds(0), seconds(600)));
      });
}

constexpr KeyDoc kTopologyHiding{
    "`true`: Call-ID and tags differ on this leg from those on the other, and software and hosts "
    "of "
    "the other side are not shown; `false`: they pass. dialogs.md tells what is replaced by what."};

void visit_provider(KeyVisitor& v, ProviderConfig& c) {
  v.value("name", {"Name for routes, logs and metrics.", "", "", true}, provider_name(c.name));
  v.value(
      "target",
      {"Where requests go: an address, or a name with a port, as it stands; a name alone by its "
       "NAPTR and SRV records (RFC 3263).",
       "", "", true},
      sip_target(c.target));
  v.values("domains",
           {"SIP domains that belong to this provider: requests for them go to it.", "",
            "the target's host"},
           list_of(c.domains, domain_name));
  visit_registration(v, c.registration);
  v.values("addresses",
           {"Addresses or networks, besides the target's, from which its requests may come.", "",
            "none"},
           list_of(c.addresses, network));
  v.value("user_agent",
          {"Replaces User-Agent in requests to the provider.", "", "as the client says"},
          header_text(c.user_agent));
  v.value("topology_hiding", kTopologyHiding, boolean(c.topology_hiding));
  v.value("redirects",
          {"What becomes of a 3xx of the provider: `pass` hands it to the client, Contacts as they "
           "are; `follow` sends the request to the Contacts, best first."},
          choice(c.redirects));
  v.value("dtmf",
          {"In which form the provider takes and sends digits: `info` makes INFO "
           "(application/dtmf-relay) of telephone events toward it, and events of its INFOs; "
           "`rfc4733` makes telephone events of INFOs that clients send; `pass` leaves both as "
           "they come."},
          choice(c.dtmf));
  v.section("session_timer",
            "Session timers (RFC 4028) that the gateway keeps with the provider by itself, so that "
            "a call "
            "whose far end has vanished is ended on both sides.",
            [&] {
              v.value("expires_s",
                      {"Interval to ask for; it is refreshed at half of it. 0: session timers are "
                       "between client and provider, and pass. Otherwise 90 or more.",
                       "s"},
                      duration(c.session_timer.expires, seconds(0), seconds(86400)));
              v.value("min_s", {"Shortest interval that the provider may ask for.", "s"},
                      duration(c.session_timer.min, seconds(90), seconds(86400)));
            });
  v.value(
      "failover_timeout_s",
      {"An INVITE to which a host of the provider answers nothing for this long goes to the next "
       "host, other requests after twice the time; 0 waits for the SIP timers, 32 s.",
       "s"},
      duration(c.failover_timeout, seconds(0), seconds(32)));
  v.value(
      "probe_interval_s",
      {"Interval of OPTIONS requests to each host of the provider. A host that does not answer, "
       "or with 503, gets no requests until it answers one. 0 probes only hosts that failed.",
       "s"},
      duration(c.probe_interval, seconds(0), seconds(86400)));
  visit_provider_transport(v, c);
  visit_headers(v, c.headers);
  v.section("limits", "Limits of this provider, in place of those of `limits.provider`.",
            [&] { visit_account_limits(v, c.limits); });
}

void visit_links(KeyVisitor& v, LinksConfig& c) {
  v.section("links", "What holds for every client's link.", [&] {
    v.value("shards",
            {"Threads that carry links: handshakes, encryption, sockets. 1: the thread that does "
             "all else does this too, which is cheapest and enough for most. More, at most one for "
             "each core to spare, for gateways that fill a core. Of "
             "listen.udp.retry_above, and of listen.websocket.max_connections for UDP, each has an "
             "equal share.",
             "threads"},
            count(c.shards, 1, limits::kMostShards));
    v.value("topology_hiding", kTopologyHiding, boolean(c.topology_hiding));
    v.value(
        "resume_window_s",
        {"For how long a session that lost its link waits for the client to come back. Its calls "
         "and registrations stay up, and providers notice nothing. 0: sessions end with their "
         "links.",
         "s"},
        duration(c.resume_window, seconds(0),
                 std::chrono::duration_cast<seconds>(limits::kMaxResumeWindow)));
    v.value("drain_s",
            {"At SIGTERM or SIGINT: for how long calls may go on until the gateway ends them. New "
             "ones are refused; clients are told, and leave when they have no call. The gateway "
             "ends as soon as nobody is left. Give its supervisor three seconds more than this "
             "(TimeoutStopSec, terminationGracePeriodSeconds). A second signal ends it at once.",
             "s"},
            duration(c.drain, seconds(0), seconds(86'400)));
    v.values("drain_gateways",
             {"URLs of gateways that clients are told to use in place of this one then, in order. "
              "Without them, clients try their own others, or this one again.",
              "", "none"},
             list_of(c.drain_gateways, gateway_url));
  });
}

void visit_services(KeyVisitor& v, ServicesConfig& c) {
  v.section("services", "Answered by the gateway itself, for a first call and for monitoring.",
            [&] {
              v.value("echo", {"Calls to `echo_user` hear themselves."}, boolean(c.echo));
              v.value("tone", {"Calls to `tone_user` hear a test tone."}, boolean(c.tone));
              v.value("echo_user", {"User part in the domain."}, user_name(c.echo_user));
              v.value("tone_user", {"User part in the domain."}, user_name(c.tone_user));
            });
}

void visit_limits(KeyVisitor& v, LimitsConfig& c) {
  v.section("limits", "What is above is refused and counted.", [&] {
    v.value("sessions", {"Sessions at once.", "sessions"}, count(c.sessions, 1, kMostSessions));
    v.value("calls", {"Calls at once.", "calls"}, count(c.calls, 1, kMostSessions));
    v.value("detached_sessions",
            {"Sessions that wait for their clients to come back (links.resume_window_s). One more "
             "ends at once.",
             "sessions"},
            count(c.detached_sessions, 0, 1'000'000));
    v.value("detached_sessions_per_user", {"The same, of each user.", "sessions"},
            count(c.detached_sessions_per_user, 0, 1'000'000));
    v.value("calls_per_session", {"Calls of one session at once.", "calls"},
            count(c.calls_per_session, 1, limits::kCallsPerSession));
    v.value("registrations_per_session",
            {"Contacts that one session may register.", "registrations"},
            count(c.registrations_per_session, 1, limits::kBindingsPerSession));
    v.section("user", "Of each user, over all its sessions. Above it: 503 with Retry-After.",
              [&] { visit_account_limits(v, c.user); });
    v.section("provider", "Of each provider.", [&] { visit_account_limits(v, c.provider); });
    v.section("source", "Of each address that clients or providers have.",
              [&] { visit_account_limits(v, c.source, false); });
    v.value("stranger_answers",
            {"Requests of a source that is no provider which are answered 403, before silence.",
             "requests"},
            count(c.stranger_answers, 0, 1000));
  });
}

void visit_upstream(KeyVisitor& v, UpstreamConfig& c) {
  v.value(
      "url",
      {"Where the gateway listens: wss:// for a WebSocket over TLS, udp:// for QUIC and SRTP on "
       "one UDP socket, isthmus:// for UDP where it passes and WebSocket where not. A domain "
       "without a port may have SRV records that name its gateways, `_isthmus._udp` and "
       "`_isthmus._tcp`; the certificate is judged by the name in the URL.",
       "", "", true},
      gateway_url(c.url));
  v.values("other_urls",
           {"Other gateways for the same user, in order: tried when those before cannot be reached "
            "or go away. Calls live at one of them and end with it.",
            "", "none"},
           list_of(c.other_urls, gateway_url));
  v.value("keep_alive_s",
          {"How long the link may be silent before the connector gives a sign of life. On UDP, 0 "
           "finds it by search, up to 120 s, as far as the NATs on the way stand the silence.",
           "s"},
          duration(c.keep_alive, seconds(0), seconds(600)));
  v.values("dns_servers",
           {"DNS servers that know the gateway, with a port if it is not 53.", "",
            "those of the system"},
           list_of(c.dns_servers, dns_server));
  v.value("user", {"User of the gateway, with `password` or `password_file`.", "", "none"},
          user_name(c.user));
  v.value("password", {"Password in this file.", "", "none"}, secret(c.password));
  v.value("password_file", {"File that holds the password in its first line.", "", "none"},
          secret_file(c.password));
  v.value("token", {"Bearer token in this file, in place of user and password.", "", "none"},
          secret(c.token));
  v.value("token_file", {"File that holds the token in its first line.", "", "none"},
          secret_file(c.token));
  v.value(
      "proxy",
      {"HTTP proxy on the way to the gateway, `http://[USER[:PASSWORD]@]HOST[:PORT]`; `none`: no "
       "proxy.",
       "", "as `https_proxy` and `no_proxy` in the environment say"},
      proxy_url(c.proxy));
  v.section(
      "trust",
      "How the gateway's certificate is judged: at most one of these; without, by the system's "
      "authorities.",
      [&] {
        v.value("ca_file", {"Authorities (PEM) in place of the system's.", "", "system"},
                readable_file(c.trust.ca_file));
        v.value("pin",
                {"SHA-256 of the gateway's public key, as its log shows it: `sha256//BASE64` or "
                 "64 hexadecimal digits.",
                 "", "none"},
                key_pin(c.trust.pin));
        v.value("insecure", {"Accept any certificate. For a laboratory only."},
                boolean(c.trust.insecure));
        v.value("key_log", kKeyLog, boolean(c.trust.key_log));
      });
}

constexpr KeyDoc kStateDir{
    "Directory for what must survive a restart. Created if its parent exists.", "",
    "$STATE_DIRECTORY, else /var/lib/isthmus if writable, else $XDG_STATE_HOME/isthmus or "
    "~/.local/state/isthmus"};

}  // namespace

void visit_keys(KeyVisitor& v, GatewayConfig& c) {
  v.value("domain", {"SIP domain of the built-in registrar and the services."},
          domain_name(c.domain));
  v.value("state_dir", kStateDir, directory(c.state_dir));
  v.section("listen", "Where clients connect.", [&] {
    v.section("websocket", "WebSocket over TLS.", [&] { visit_websocket(v, c.websocket); });
    v.section("udp", "Links over UDP.", [&] { visit_udp_link(v, c.udp_link); });
  });
  visit_sip(v, c.sip, "SIP toward providers.");
  visit_media(v, c.media);
  v.sections(
      "users",
      "Who may connect. With neither users nor tokens configured, the gateway makes one user, "
      "`demo`, with a random password that it keeps in the state directory and prints at start. "
      "Users can be added while it runs, too: `isthmus-gateway user add`.",
      [&] { visit_user(v, c.users.emplace_back()); });
  visit_tokens(v, c.tokens);
  v.sections("providers", "SIP providers, PBXs and trunks.",
             [&] { visit_provider(v, c.providers.emplace_back()); });
  visit_links(v, c.links);
  v.sections(
      "routes",
      "Ordered: the first that matches and has a place to go decides. Without a match, a request "
      "for a provider's domain goes to that provider, one for the gateway's own domain and one "
      "from a provider stay local, and any other goes to the first provider. A route that matches "
      "anything is for other domains than the gateway's own. `isthmus-gateway route explain` shows "
      "what decides.",
      [&] { visit_route(v, c.routes.emplace_back()); });
  visit_dns(v, c.dns);
  visit_enum(v, c.enumeration);
  v.sections("numbers", "Numbers and other names by which users of this gateway are called.",
             [&] { visit_number(v, c.numbers.emplace_back()); });
  v.section("push", "Waking clients that are not connected.", [&] { visit_push(v, c.push); });
  visit_services(v, c.services);
  visit_registrar(v, c.registrar);
  visit_admin(v, c.admin);
  visit_limits(v, c.limits);
  visit_log(v, c.log);
  visit_timers(v, c.timers);
}

void visit_keys(KeyVisitor& v, ConnectorConfig& c) {
  v.value("state_dir", kStateDir, directory(c.state_dir));
  v.section("gateway", "The gateway to connect to.", [&] { visit_upstream(v, c.gateway); });
  visit_sip(v, c.sip, "SIP toward the phones and the PBX on the local network.");
  visit_media(v, c.media);
  v.values("allow",
           {"Networks whose hosts may talk to the connector; packets from others are dropped."},
           list_of(c.allow, network));
  visit_admin(v, c.admin);
  visit_log(v, c.log);
  visit_timers(v, c.timers);
}

}  // namespace isthmus::ops
