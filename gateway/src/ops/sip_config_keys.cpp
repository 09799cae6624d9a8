#include "ops/sip_config_keys.hpp"

#include "base/limits.hpp"
#include "ops/config_checks.hpp"

namespace isthmus::ops {
namespace {

constexpr std::uint32_t kMostConnections = 1'000'000;

constexpr KeyDoc kAdvertised{
    "Address to write into Via and Contact, when others reach this host by another one than it has "
    "(1:1 NAT, containers).",
    "", "the address from which packets leave"};

Scalar any_port(std::uint16_t& value) {
  return port(value);
}

Scalar datagram_bytes(std::uint32_t& value) {
  return count(value, 0, limits::kSipDatagramBytes);
}

void visit_tcp(KeyVisitor& v, SipTcpConfig& c) {
  v.value("enabled", {"Listen on TCP beside UDP. RFC 3261 wants it of everybody."},
          boolean(c.enabled));
  v.value("address", {"Address to bind.", "", "as sip.udp.address"},
          optional(c.address, ip_address));
  v.value("port", {"TCP port; 0 takes any free one and logs it.", "", "as sip.udp.port"},
          optional(c.port, any_port));
  v.value("advertised_address",
          {"Address to write into Via and Contact.", "", "as sip.udp.advertised_address"},
          advertised(c.advertised_address));
  v.value("max_connections",
          {"Connections of TCP and TLS together; those beyond are closed at once.", "connections"},
          count(c.max_connections, 1, kMostConnections));
  v.value("max_connections_per_source", {"The same, of one address.", "connections"},
          count(c.max_connections_per_source, 1, kMostConnections));
  v.value("idle_timeout_s",
          {"A connection without a SIP message for this long is closed. Keep it above the longest "
           "registration: a phone behind NAT is reached by its connection only.",
           "s"},
          duration(c.idle_timeout, seconds(10), seconds(7 * 86400)));
  v.value("keep_alive_s",
          {"Interval of the CRLF pings (RFC 5626) on connections that this program opened; a peer "
           "that used to answer them and stops is taken to be gone. 0 sends none.",
           "s"},
          duration(c.keep_alive, seconds(0), seconds(3600)));
}

void visit_tls(KeyVisitor& v, SipTlsConfig& c) {
  v.value("address", {"Address to bind.", "", "as sip.udp.address"},
          optional(c.address, ip_address));
  v.value("port", {"TCP port; 0 takes any free one and logs it."}, port(c.port));
  v.value("advertised_address",
          {"Address to write into Via and Contact.", "", "as sip.udp.advertised_address"},
          advertised(c.advertised_address));
  v.value("certificate", {"Certificate chain (PEM), the program's own first.", "", "no listener"},
          readable_file(c.certificate));
  v.value("private_key", {"Private key (PEM) of `certificate`.", "", "no listener"},
          readable_file(c.private_key));
  v.value("client_ca",
          {"Authorities (PEM) by which certificates of clients are judged. Without it none is "
           "asked for.",
           "", "none"},
          readable_file(c.client_ca));
  v.value("require_client_certificate", {"Refuse clients that present none."},
          boolean(c.require_client_certificate));
}

void visit_listener(KeyVisitor& v, SipListenerConfig& c) {
  v.value("transport", {"`tls` uses the certificate of sip.tls."}, choice(c.transport));
  v.value("address", {"Address to bind; an IPv6 one listens on IPv6 only.", "", "", true},
          ip_address(c.address));
  v.value("port", {"Port; 0 takes any free one and logs it."}, port(c.port));
  v.value("advertised_address", kAdvertised, advertised(c.advertised_address));
}

bool clashes(const IpAddress& a, const IpAddress& b) {
  return a.is_v4() == b.is_v4() && (a == b || a.is_unspecified() || b.is_unspecified());
}

}  // namespace

void visit_sip(KeyVisitor& v, SipConfig& c, std::string_view toward) {
  v.section("sip", "", [&] {
    v.section("udp", toward, [&] {
      v.value("address", {"Address to bind."}, ip_address(c.udp.address));
      v.value("port", {"UDP port; 0 takes any free one and logs it."}, port(c.udp.port));
      v.value("advertised_address", kAdvertised, advertised(c.udp.advertised_address));
      v.value("datagram_bytes",
              {"A request above this size goes by TCP instead, as RFC 3261 §18.1.1 demands, and by "
               "UDP after all when TCP is refused; 0 never moves one.",
               "bytes"},
              datagram_bytes(c.udp.datagram_bytes));
    });
    v.section("tcp", "SIP over TCP.", [&] { visit_tcp(v, c.tcp); });
    v.section("tls",
              "SIP over TLS 1.2 and later: a listener, when it is given a certificate. Toward "
              "providers TLS needs nothing here.",
              [&] { visit_tls(v, c.tls); });
    v.sections("listeners", "More addresses to listen on, as IPv6 beside IPv4.",
               [&] { visit_listener(v, c.listeners.emplace_back()); });
  });
}

void visit_provider_transport(KeyVisitor& v, ProviderConfig& c) {
  static constexpr char kTls[] =
      "When the provider is reached over TLS. Its connections are its own, even where another "
      "provider has the same address.";
  v.section("tls", kTls, [&] {
    v.value("name",
            {"SIP domain that its certificate must bear (RFC 5922).", "", "the target's host"},
            domain_name(c.tls.name));
    v.value("ca_file", {"Authorities (PEM) in place of the system's.", "", "system"},
            readable_file(c.tls.ca_file));
    v.value("certificate", {"Certificate chain (PEM) to present to the provider.", "", "none"},
            readable_file(c.tls.certificate));
    v.value("private_key", {"Private key (PEM) of `certificate`; both or none.", "", "none"},
            readable_file(c.tls.private_key));
    v.value("wildcards",
            {"Let `*.example.com` in its certificate stand for a name below example.com, which RFC "
             "5922 forbids and some providers need."},
            boolean(c.tls.wildcards));
    v.value("insecure", {"Accept any certificate. For a laboratory only."},
            boolean(c.tls.insecure));
  });
  v.value("datagram_bytes",
          {"A request above this size goes by TCP instead of UDP; 0 never moves one.", "bytes",
           "as sip.udp.datagram_bytes"},
          optional(c.datagram_bytes, datagram_bytes));
}

void check_sip(const SipConfig& sip, const MediaConfig& media, CheckSink& sink) {
  const auto check_port = [&](const std::string& key, const IpAddress& address,
                              std::uint16_t port) {
    if (!clashes(address, media.address)) return;
    if (port < media.ports.first || port > media.ports.last) return;
    sink.fault("media.ports", "contains " + key + " " + std::to_string(port), "a range without it");
  };
  check_port("sip.udp.port", sip.udp.address, sip.udp.port);
  for (std::size_t i = 0; i < sip.listeners.size(); ++i) {
    const SipListenerConfig& listener = sip.listeners[i];
    const std::string key = "sip.listeners[" + std::to_string(i) + "]";
    if (listener.transport == sip::Transport::udp) {
      check_port(key + ".port", listener.address, listener.port);
    }
    if (listener.transport == sip::Transport::tls && !sip.tls.enabled()) {
      sink.fault(key + ".transport", "is tls, but there is no sip.tls.certificate",
                 "udp, tcp, or a certificate");
    }
    if (listener.advertised_address &&
        listener.advertised_address->is_v4() != listener.address.is_v4()) {
      sink.fault(key + ".advertised_address", "is of the other address family than address",
                 "both IPv4 or both IPv6");
    }
  }
  const bool certificate = sink.given("sip.tls.certificate");
  if (certificate != sink.given("sip.tls.private_key")) {
    sink.fault(certificate ? "sip.tls.certificate" : "sip.tls.private_key",
               std::string("has no sip.tls.") + (certificate ? "private_key" : "certificate") +
                   " beside it",
               "both or none");
  }
  if (sip.tls.require_client_certificate && !sink.given("sip.tls.client_ca")) {
    sink.fault("sip.tls.require_client_certificate", "has no sip.tls.client_ca to judge by",
               "the authorities of clients");
  }
  if (media.ipv6_address && media.ipv6_address->is_v4()) {
    sink.fault("media.ipv6_address", "is an IPv4 address", "an IPv6 address");
  }
  if (media.ipv6_advertised_address && media.ipv6_advertised_address->is_v4()) {
    sink.fault("media.ipv6_advertised_address", "is an IPv4 address", "an IPv6 address");
  }
}

void check_provider_transport(const ProviderConfig& provider, const std::string& key,
                              CheckSink& sink) {
  const bool certificate = sink.given(key + ".tls.certificate");
  if (certificate != sink.given(key + ".tls.private_key")) {
    sink.fault(
        key + (certificate ? ".tls.certificate" : ".tls.private_key"),
        std::string("has no ") + (certificate ? "private_key" : "certificate") + " beside it",
        "both or none");
  }
  if (provider.tls.insecure && sink.given(key + ".tls.ca_file")) {
    sink.fault(key + ".tls", "has a ca_file and insecure, which ignores it", "one of the two");
  }
}

}  // namespace isthmus::ops
