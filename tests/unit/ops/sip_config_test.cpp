// The keys below `sip`, and what a provider says of its transport.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/config_loader.hpp"

namespace isthmus::ops {
namespace {

using sip::Transport;
using ::testing::HasSubstr;

FileReader pem_files() {
  return [](const std::string& path) -> FileText {
    if (!path.ends_with(".pem")) return FileError{"No such file or directory"};
    return found("PEM");
  };
}

Result<GatewayConfig, ConfigFaults> gateway(const std::string& yaml) {
  return parse_gateway_config(yaml, "/etc/isthmus/gateway.yaml", pem_files());
}

std::string faults(const std::string& yaml) {
  auto result = gateway(yaml);
  EXPECT_FALSE(result) << yaml << " was accepted";
  return result ? std::string() : to_string(result.error());
}

TEST(SipConfigFile, every_key_is_read) {
  auto config = gateway(R"(
sip:
  udp: {address: 192.0.2.1, datagram_bytes: 0}
  tcp: {enabled: false, address: 192.0.2.2, port: 5070, advertised_address: 198.51.100.2,
        max_connections: 7, max_connections_per_source: 3, idle_timeout_s: 60, keep_alive_s: 0}
  tls: {address: 192.0.2.3, port: 5071, advertised_address: 198.51.100.3, certificate: c.pem,
        private_key: k.pem, client_ca: ca.pem, require_client_certificate: true}
  listeners:
    - {transport: tls, address: "2001:db8::1", port: 0, advertised_address: "2001:db8::2"}
    - {address: "::"}
media: {address: 192.0.2.1, ipv6_address: "2001:db8::1", ipv6_advertised_address: "2001:db8::2"}
providers:
  - name: one
    target: sips:sip.example.net
    datagram_bytes: 9000
    tls: {name: example.net, ca_file: ca.pem, certificate: c.pem, private_key: k.pem,
          wildcards: true}
  - {name: two, target: "sip:[2001:db8::9]:5070;transport=TCP"}
)");
  ASSERT_TRUE(config) << to_string(config.error());
  const SipConfig& sip = config->sip;
  EXPECT_EQ(sip.udp.datagram_bytes, 0u);
  EXPECT_EQ(sip.tcp,
            (SipTcpConfig{false, *IpAddress::parse("192.0.2.2"), std::uint16_t{5070},
                          *IpAddress::parse("198.51.100.2"), 7, 3, seconds(60), seconds(0)}));
  EXPECT_EQ(sip.tls, (SipTlsConfig{*IpAddress::parse("192.0.2.3"), 5071,
                                   *IpAddress::parse("198.51.100.3"), "/etc/isthmus/c.pem",
                                   "/etc/isthmus/k.pem", "/etc/isthmus/ca.pem", true}));
  ASSERT_EQ(sip.listeners.size(), 2u);
  EXPECT_EQ(sip.listeners[0], (SipListenerConfig{Transport::tls, *IpAddress::parse("2001:db8::1"),
                                                 0, *IpAddress::parse("2001:db8::2")}));
  EXPECT_EQ(sip.listeners[1],
            (SipListenerConfig{Transport::udp, *IpAddress::parse("::"), 5060, std::nullopt}));
  EXPECT_EQ(config->media.ipv6_address, IpAddress::parse("2001:db8::1"));
  EXPECT_EQ(config->media.ipv6_advertised_address, IpAddress::parse("2001:db8::2"));
  EXPECT_EQ(config->providers[0].target, (SipTarget{"sip.example.net", 0, Transport::tls}));
  EXPECT_EQ(config->providers[0].datagram_bytes, 9000u);
  EXPECT_EQ(config->providers[0].tls,
            (ProviderTlsConfig{"example.net", "/etc/isthmus/ca.pem", "/etc/isthmus/c.pem",
                               "/etc/isthmus/k.pem", true, false}));
  EXPECT_EQ(config->providers[1].target, (SipTarget{"2001:db8::9", 5070, Transport::tcp}));
}

TEST(SipConfigFile, a_target_has_the_default_port_of_its_transport) {
  struct Case {
    const char* uri;
    Transport transport;
    std::uint16_t port;
  };
  for (const Case& one : {Case{"sip:pbx.example", Transport::udp, 5060},
                          Case{"sip:pbx.example;transport=tcp", Transport::tcp, 5060},
                          Case{"sip:pbx.example;transport=tls", Transport::tls, 5061},
                          Case{"sips:pbx.example", Transport::tls, 5061},
                          Case{"sips:pbx.example:5070;transport=tcp", Transport::tls, 5070}}) {
    auto config = gateway(std::string("providers: [{name: p, target: '") + one.uri + "'}]");
    ASSERT_TRUE(config) << to_string(config.error());
    EXPECT_EQ(config->providers[0].target.transport_or_default(), one.transport) << one.uri;
    EXPECT_EQ(config->providers[0].target.port_or_default(), one.port) << one.uri;
  }
}

TEST(SipConfigFile, contradictions_name_their_keys) {
  struct Case {
    const char *yaml, *fault;
  };
  for (const Case& one : {
           Case{"sip: {tls: {certificate: c.pem}}", "sip.tls.certificate: has no sip.tls.private"},
           Case{"sip: {tls: {private_key: k.pem}}", "sip.tls.private_key: has no sip.tls.cert"},
           Case{"sip: {tls: {require_client_certificate: true}}", "has no sip.tls.client_ca"},
           Case{"sip: {listeners: [{transport: tls, address: '::'}]}",
                "sip.listeners[0].transport: is tls, but there is no sip.tls.certificate"},
           Case{"sip: {listeners: [{port: 5060}]}", "sip.listeners[0].address: is missing"},
           Case{"sip: {listeners: [{address: '::', advertised_address: 192.0.2.1}]}",
                "other address family"},
           Case{"sip: {listeners: [{address: 0.0.0.0, port: 20001}]}",
                "contains sip.listeners[0].port 20001"},
           Case{"media: {ipv6_address: 192.0.2.1}", "media.ipv6_address: is an IPv4 address"},
           Case{"providers: [{name: p, target: 'sip:x', tls: {certificate: c.pem}}]",
                "providers[0].tls.certificate: has no private_key"},
           Case{"providers: [{name: p, target: 'sip:x', tls: {insecure: true, ca_file: ca.pem}}]",
                "providers[0].tls: has a ca_file and insecure"},
           Case{"providers: [{name: p, target: 'sip:x', session_timer: {expires_s: 89}}]",
                "providers[0].session_timer.expires_s: is shorter than min_s, 90"},
           Case{"providers: [{name: p, target: 'sips:x;transport=udp'}]", "sips:HOST"},
           Case{"providers: [{name: p, target: 'sip:x', datagram_bytes: 65001}]", "0 to 65000"},
       }) {
    EXPECT_THAT(faults(one.yaml), HasSubstr(one.fault)) << one.yaml;
  }
}

}  // namespace
}  // namespace isthmus::ops
