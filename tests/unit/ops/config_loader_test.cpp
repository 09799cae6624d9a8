#include "ops/config_loader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/limits.hpp"
#include "ops/config_reference.hpp"
#include "session/password_hash.hpp"

namespace isthmus::ops {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kHash[] =
    "$scrypt$ln=15,r=8,p=1$mHMVsaInJ1nOfUodDL99kg$pXbDX3CWt+G1aStWWQ2ZbhjxloOSxMCttXwRitKqDmo";
constexpr char kPublicPem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    "-----END PUBLIC KEY-----\n";

/// Files that exist in these tests, in place of the disk.
FileReader files(std::map<std::string, std::string> content) {
  return [content = std::move(content)](const std::string& path) -> FileText {
    auto file = content.find(path);
    if (file == content.end()) return FileError{"No such file or directory"};
    return found(file->second);
  };
}

Result<GatewayConfig, ConfigFaults> gateway(std::string_view yaml,
                                            const FileReader& read = files({})) {
  return parse_gateway_config(yaml, "/etc/isthmus/gateway.yaml", read);
}

Result<ConnectorConfig, ConfigFaults> connector(std::string_view yaml,
                                                const FileReader& read = files({})) {
  return parse_connector_config(yaml, "/etc/isthmus/connector.yaml", read);
}

/// The faults of a configuration that has some, one a line.
template <typename Config>
std::string faults(const Result<Config, ConfigFaults>& result) {
  EXPECT_FALSE(result) << "was accepted";
  return result ? std::string() : to_string(result.error());
}

TEST(GatewayConfigFile, an_empty_file_is_a_working_gateway) {
  for (const char* yaml :
       {"", "\n", "# only a comment\n", "---\n", "{}", "listen:\nusers:\nsip:\n  udp:\n"}) {
    auto config = gateway(yaml);
    ASSERT_TRUE(config) << yaml << to_string(config.error());
    EXPECT_EQ(*config, GatewayConfig()) << yaml;
  }
  auto config = gateway("");
  EXPECT_EQ(config->domain, "isthmus.local");
  EXPECT_EQ(config->websocket.port, 8443);
  EXPECT_EQ(config->sip.udp.port, 5060);
  EXPECT_EQ(config->admin.address.to_string(), "127.0.0.1");
  EXPECT_TRUE(config->services.echo);
}

TEST(GatewayConfigFile, every_key_arrives_where_it_belongs) {
  auto config = gateway(R"(
domain: voice.example.net
state_dir: /srv/isthmus
listen:
  websocket: {address: "::", port: 443, certificate: tls/cert.pem, private_key: /keys/key.pem,
              names: [voice.example.net, gw.example.net], max_connections: 7}
sip: {udp: {address: 192.0.2.1, port: 5070, advertised_address: 198.51.100.1}}
media: {address: 192.0.2.2, advertised_address: 198.51.100.2, ports: 30000-30099, source: strict, timeout_s: 0}
users:
  - {name: alice, password_hash: ")" +
                            std::string(kHash) + R"(", aors: [alice, "+4930123"]}
  - {name: pbx, password_hash: ")" +
                            std::string(kHash) + R"(", aors: ["*"]}
  - {name: bob, password_hash: ")" +
                            std::string(kHash) + R"("}
tokens: {issuer: me, audience: you, leeway_s: 5,
         hmac_secrets: [AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, "file:secret"],
         ed25519_public_keys: ["file:/keys/token.pem"]}
providers:
  - {name: one, target: "sip:pbx.example:5080;transport=udp", domains: [pbx.example], registration: passthrough,
     addresses: [198.51.100.0/24, "2001:db8::1"], user_agent: "Isthmus 1"}
  - {name: two, target: "SIP:[2001:db8::2]"}
routes:
  - {match: {domain: pbx.example, user_prefix: "+49"}, to: one}
  - {to: local}
services: {echo: false, tone: true, echo_user: e, tone_user: t}
admin: {address: "::1", port: 0}
limits: {sessions: 1, calls: 2, calls_per_session: 3, registrations_per_session: 4}
log: {level: debug, format: json, redact: false}
timers: {t1_ms: 50, t2_ms: 400, t4_ms: 500}
)",
                        files({{"/etc/isthmus/tls/cert.pem", "c"},
                               {"/keys/key.pem", "k"},
                               {"/etc/isthmus/secret", std::string(42, 'B') + "A\n"},
                               {"/keys/token.pem", kPublicPem}}));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->domain, "voice.example.net");
  EXPECT_EQ(config->state_dir, "/srv/isthmus");
  EXPECT_EQ(config->websocket.address, *IpAddress::parse("::"));
  EXPECT_EQ(config->websocket.port, 443);
  EXPECT_EQ(config->websocket.certificate, "/etc/isthmus/tls/cert.pem") << "relative to the file";
  EXPECT_EQ(config->websocket.private_key, "/keys/key.pem");
  EXPECT_THAT(config->websocket.names, ElementsAre("voice.example.net", "gw.example.net"));
  EXPECT_EQ(config->websocket.max_connections, 7u);
  EXPECT_EQ(config->sip.udp.address.to_string(), "192.0.2.1");
  EXPECT_EQ(config->sip.udp.port, 5070);
  EXPECT_EQ(config->sip.udp.advertised_address->to_string(), "198.51.100.1");
  EXPECT_EQ(config->media.address.to_string(), "192.0.2.2");
  EXPECT_EQ(config->media.advertised_address->to_string(), "198.51.100.2");
  EXPECT_EQ(config->media.ports, (PortRange{30000, 30099}));
  EXPECT_EQ(config->media.source, MediaSource::strict);
  EXPECT_EQ(config->media.timeout, seconds(0));
  ASSERT_EQ(config->users.size(), 3u);
  EXPECT_EQ(config->users[0].password_hash, kHash);
  EXPECT_THAT(config->users[0].aors, ElementsAre("alice", "+4930123"));
  EXPECT_THAT(config->users[1].aors, ElementsAre("*"));
  EXPECT_THAT(config->users[2].aors, ElementsAre("bob")) << "the own name unless said";
  EXPECT_EQ(config->tokens.issuer, "me");
  EXPECT_EQ(config->tokens.audience, "you");
  EXPECT_EQ(config->tokens.leeway, seconds(5));
  ASSERT_EQ(config->tokens.hmac_secrets.size(), 2u);
  EXPECT_EQ(config->tokens.hmac_secrets[0].reveal(), std::string(32, '\0'));
  EXPECT_EQ(config->tokens.hmac_secrets[1].reveal().size(), 32u);
  ASSERT_EQ(config->tokens.ed25519_public_keys.size(), 1u);
  EXPECT_EQ(config->tokens.ed25519_public_keys[0].size(), 32u);
  ASSERT_EQ(config->providers.size(), 2u);
  EXPECT_EQ(config->providers[0].name, "one");
  EXPECT_EQ(config->providers[0].target, (SipTarget{"pbx.example", 5080, sip::Transport::udp}));
  EXPECT_THAT(config->providers[0].domains, ElementsAre("pbx.example"));
  EXPECT_THAT(config->providers[0].addresses,
              ElementsAre(*Network::parse("198.51.100.0/24"), *Network::parse("2001:db8::1")));
  EXPECT_EQ(config->providers[0].user_agent, "Isthmus 1");
  EXPECT_EQ(config->providers[1].target, (SipTarget{"2001:db8::2", 0}));
  ASSERT_EQ(config->routes.size(), 2u);
  EXPECT_EQ(config->routes[0].match.domain, "pbx.example");
  EXPECT_EQ(config->routes[0].match.user_prefix, "+49");
  EXPECT_THAT(config->routes[0].to, ElementsAre("one"));
  EXPECT_THAT(config->routes[1].to, ElementsAre("local"));
  EXPECT_EQ(config->services, (ServicesConfig{false, true, "e", "t"}));
  EXPECT_EQ(config->admin, (AdminConfig{*IpAddress::parse("::1"), 0}));
  EXPECT_EQ(config->limits, (LimitsConfig{1, 2, 3, 4}));
  EXPECT_EQ(config->log, (LogConfig{LogLevel::debug, LogFormat::json, false}));
  EXPECT_EQ(config->timers, (TimersConfig{milliseconds(50), milliseconds(400), milliseconds(500)}));
}

TEST(GatewayConfigFile, three_mistakes_are_reported_at_once_in_the_order_of_the_file) {
  EXPECT_EQ(faults(gateway("domain: voice.example.net\n"
                           "sip:\n"
                           "  udp:\n"
                           "    port: 70000\n"
                           "media:\n"
                           "  prots: 20000-20099\n"
                           "log:\n"
                           "  level: loud\n")),
            "/etc/isthmus/gateway.yaml:4: sip.udp.port: is \"70000\", expected a port number, 0 to "
            "65535\n"
            "/etc/isthmus/gateway.yaml:6: media.prots: is not a known key; did you mean ports?\n"
            "/etc/isthmus/gateway.yaml:8: log.level: is \"loud\", expected trace, debug, info, "
            "warning or "
            "error\n");
}

/// "users[].name" with a value becomes "users: [{name: VALUE}]".
std::string yaml_at(const std::string& path, const std::string& value) {
  std::size_t dot = path.find('.');
  std::string name = path.substr(0, dot);
  std::string inner = dot == std::string::npos ? value : yaml_at(path.substr(dot + 1), value);
  bool list = name.ends_with("[]");
  if (list) name.resize(name.size() - 2);
  return "{" + name + ": " + (list ? "[" + inner + "]" : inner) + "}";
}

std::string first_element(std::string path) {
  for (std::size_t at = path.find("[]"); at != std::string::npos; at = path.find("[]")) {
    path.replace(at, 2, "[0]");
  }
  return path;
}

TEST(GatewayConfigFile, every_key_refuses_a_value_of_the_wrong_kind) {
  for (const KeyInfo& key : gateway_keys()) {
    std::string wanted = ": " + first_element(key.path);
    for (const char* value : {"{a: b}", "", "[[x]]"}) {
      if (key.list && *value == 0) continue;  // an empty list
      std::string text = faults(gateway(yaml_at(key.path, value)));
      EXPECT_THAT(text, HasSubstr(wanted)) << key.path << " given " << value;
      EXPECT_THAT(text, HasSubstr("expected")) << key.path;
    }
  }
}

TEST(ConnectorConfigFile, every_key_refuses_a_value_of_the_wrong_kind) {
  for (const KeyInfo& key : connector_keys()) {
    std::string text = faults(connector(yaml_at(key.path, "{a: b}")));
    EXPECT_THAT(text, HasSubstr(": " + first_element(key.path) + ": is a section")) << key.path;
  }
}

TEST(GatewayConfigFile, every_type_refuses_bad_text_and_says_what_it_expects) {
  struct Case {
    const char *key, *value, *expected;
  };
  const Case cases[] = {
      {"domain", "-x.example", "a domain name"},
      {"domain", "a..b", "a domain name"},
      {"domain", "'a b'", "a domain name"},
      {"state_dir", "here", "an absolute path"},
      {"listen.websocket.address", "localhost", "not a name"},
      {"listen.websocket.address", "1.2.3", "not a name"},
      {"listen.websocket.port", "-1", "0 to 65535"},
      {"listen.websocket.port", "8443x", "0 to 65535"},
      {"listen.websocket.port", "0x10", "0 to 65535"},
      {"listen.websocket.certificate", "nowhere.pem", "may read"},
      {"listen.websocket.max_connections", "0", "1 to 1000000"},
      {"links.shards", "65", "1 to 64"},
      {"listen.websocket.names", "[ok.example, 'not ok']", "a domain name"},
      {"sip.udp.advertised_address", "0.0.0.0", "not 0.0.0.0"},
      {"media.ports", "20000", "FIRST-LAST"},
      {"media.ports", "20001-20100", "even first port"},
      {"media.ports", "20000-20002", "at least 4"},
      {"media.ports", "30000-20000", "FIRST-LAST"},
      {"media.ports", "80-100", "1024"},
      {"media.ports", "65000-70000", "65535"},
      {"media.source", "guess", "learn or strict"},
      {"media.timeout_s", "1.5", "a whole number of seconds"},
      {"media.timeout_s", "90000", "0 to 86400"},
      {"users[].name", "a@b", "a user name"},
      {"users[].name", "'*'", "a user name"},
      {"users[].aors", "['']", "a user name"},
      {"tokens.leeway_s", "601", "0 to 600"},
      {"tokens.hmac_secrets", "[short]", "32 random bytes"},
      {"tokens.ed25519_public_keys", "[AAAA]", "an Ed25519 public key"},
      {"providers[].name", "a b", "letters, digits"},
      {"providers[].target", "pbx.example", "sip:HOST"},
      {"providers[].target", "sip:pbx.example;transport=sctp", "transport=udp|tcp|tls"},
      {"providers[].target", "sip:pbx.example:0", "sip:HOST"},
      {"providers[].target", "sip:user@pbx.example", "sip:HOST"},
      {"providers[].target", "'sip:2001:db8::1'", "sip:HOST"},
      {"providers[].target", "'sip:'", "sip:HOST"},
      {"providers[].registration", "direct", "passthrough, account or trunk"},
      {"providers[].addresses", "[192.0.2.1/24]", "no bits beyond"},
      {"providers[].addresses", "[192.0.2.0/33]", "a network"},
      {"providers[].user_agent", "\"a\\r\\nVia: x\"", "printable"},
      {"routes[].match.user_prefix", "'a b'", "beginning of a user name"},
      {"services.echo", "yes", "true or false"},
      {"services.echo_user", "''", "a user name"},
      {"admin.port", "65536", "0 to 65535"},
      {"limits.calls_per_session", "257", "1 to 256"},
      {"limits.sessions", "18446744073709551616", "a whole number"},
      {"log.level", "INFO", "trace, debug"},
      {"log.format", "xml", "text or json"},
      {"log.redact", "1", "true or false"},
      {"timers.t1_ms", "0", "a whole number of milliseconds, 1 to 5000"},
  };
  for (const Case& one : cases) {
    std::string text = faults(gateway(yaml_at(one.key, one.value)));
    EXPECT_THAT(text, AllOf(HasSubstr(": " + first_element(one.key)), HasSubstr(one.expected)))
        << one.key << ": " << one.value;
  }
}

TEST(GatewayConfigFile, missing_keys_of_list_elements_are_named_with_their_line) {
  EXPECT_EQ(
      faults(gateway("users:\n  - name: alice\nroutes:\n  - match:\n      domain: x.example\n")),
      "/etc/isthmus/gateway.yaml:2: users[0].password_hash: is missing, and there is no "
      "sip_password either, expected \"$scrypt$…\", as printed by isthmus-gateway hash-password\n"
      "/etc/isthmus/gateway.yaml:4: routes[0]: does nothing, expected to, reject, or what to "
      "change: rewrite, caller, enum\n");
}

TEST(GatewayConfigFile, a_scalar_in_place_of_an_element_is_one_fault) {
  EXPECT_EQ(faults(gateway("users:\n  - alice\n")),
            "/etc/isthmus/gateway.yaml:2: users[0]: is a single value, expected a section with "
            "keys of its "
            "own\n");
}

TEST(GatewayConfigFile, a_key_far_from_any_other_gets_the_list_of_keys) {
  EXPECT_EQ(faults(gateway("log:\n  colourful: true\n")),
            "/etc/isthmus/gateway.yaml:2: log.colourful: is not a known key, expected one of "
            "level, format, "
            "redact\n");
  EXPECT_THAT(faults(gateway("lisen:\n  websocket:\n")), HasSubstr("did you mean listen?"));
}

TEST(GatewayConfigFile, a_key_given_twice_is_a_fault) {
  EXPECT_EQ(faults(gateway("domain: a.example\ndomain: b.example\n")),
            "/etc/isthmus/gateway.yaml:2: domain: is given twice, expected each key once\n");
}

TEST(GatewayConfigFile, what_is_not_yaml_is_said_with_its_line) {
  EXPECT_THAT(faults(gateway("domain: [a\nx: }")),
              HasSubstr("/etc/isthmus/gateway.yaml:2: is not valid YAML"));
  EXPECT_THAT(faults(gateway("- a\n- b\n")), HasSubstr("gateway.yaml:1: the file is a list"));
  EXPECT_THAT(faults(gateway("just text")), HasSubstr("the file is a single value"));
  EXPECT_THAT(faults(gateway("a: 1\n---\nb: 2\n")), HasSubstr("several YAML documents"));
  EXPECT_THAT(faults(gateway("? [a, b]\n: c\n")), HasSubstr("has a key that is no word"));
  EXPECT_THAT(faults(gateway(std::string(limits::kConfigFileBytes + 1, '#'))),
              HasSubstr("is larger than"));
}

TEST(GatewayConfigFile, secrets_never_appear_in_faults) {
  EXPECT_THAT(faults(gateway("tokens:\n  hmac_secrets: [TOPSECRET]\n")),
              Not(HasSubstr("TOPSECRET")));
  EXPECT_THAT(faults(gateway("users: [{name: a, password_hash: TOPSECRET}]")),
              Not(HasSubstr("TOPSECRET")));
  EXPECT_THAT(
      faults(connector("gateway: {url: 'wss://x', user: a, password: '', token: TOPSECRET}")),
      Not(HasSubstr("TOPSECRET")));
}

TEST(GatewayConfigFile, contradictions_between_keys_are_found) {
  const std::string hash = std::string("password_hash: '") + kHash + "'";
  const std::pair<std::string, const char*> cases[] = {
      {"listen: {websocket: {certificate: /c.pem}}",
       "listen.websocket.certificate: has no listen.websocket.private_key"},
      {"listen: {websocket: {private_key: /c.pem}}",
       "listen.websocket.private_key: has no listen.websocket.certificate"},
      {"sip: {udp: {port: 20004}}", "media.ports: contains sip.udp.port 20004"},
      {"users: [{name: a, " + hash + "}, {name: a, " + hash + "}]",
       "users[1].name: is \"a\", as of another"},
      {"users: [{name: echo, " + hash + "}]",
       "users[0].name: is \"echo\", which a service answers"},
      {"users: [{name: a, aors: [tone], " + hash + "}]",
       "users[0].aors: is \"tone\", which a service answers"},
      {"services: {echo_user: tone}", "services.tone_user: is \"tone\", as services.echo_user"},
      {"tokens: {audience: x}", "tokens: has no key to verify tokens with"},
      {"providers: [{name: local, target: 'sip:a'}]",
       "providers[0].name: is \"local\", which means something else in routes"},
      {"providers: [{name: a, target: 'sip:a'}, {name: a, target: 'sip:b'}]",
       "providers[1].name: is \"a\", as of another provider"},
      {"providers: [{name: a, target: 'sip:a', domains: [Isthmus.Local]}]",
       "providers[0].domains: holds \"Isthmus.Local\", the gateway's own"},
      {"providers: [{name: a, target: 'sip:a', domains: [x]}, {name: b, target: 'sip:b', domains: "
       "[X]}]",
       "providers[1].domains: holds \"X\", which belongs to a provider already"},
      {"{providers: [{name: a, target: 'sip:a'}], routes: [{to: b}]}",
       "routes[0].to: is \"b\", which is no provider, expected \"local\" or \"a\""},
  };
  for (const auto& [yaml, expected] : cases) {
    EXPECT_THAT(faults(gateway(yaml, files({{"/c.pem", "x"}}))), HasSubstr(expected)) << yaml;
  }
}

TEST(GatewayConfigFile, contradictions_point_at_their_line) {
  EXPECT_THAT(faults(gateway("domain: a.example\nservices:\n  echo: true\n  tone_user: echo\n")),
              HasSubstr("gateway.yaml:4: services.tone_user"));
}

TEST(GatewayConfigFile, a_service_that_is_off_frees_its_name) {
  auto config =
      gateway(std::string("{services: {echo: false}, users: [{name: echo, password_hash: '") +
              kHash + "'}]}");
  EXPECT_TRUE(config) << to_string(config.error());
}

TEST(GatewayConfigFile, topology_hiding_is_switched_on_for_a_provider_or_for_all_links) {
  auto config = gateway(R"(
providers:
  - {name: one, target: "sip:192.0.2.7", topology_hiding: on}
  - {name: two, target: "sip:192.0.2.8", topology_hiding: off}
links: {topology_hiding: true}
)");
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_TRUE(config->providers[0].topology_hiding);
  EXPECT_FALSE(config->providers[1].topology_hiding);
  EXPECT_TRUE(config->links.topology_hiding);
}

TEST(GatewayConfigFile, sessions_wait_for_their_clients_as_long_as_it_says) {
  auto silent = gateway("{}");
  ASSERT_TRUE(silent) << to_string(silent.error());
  EXPECT_EQ(silent->links.resume_window, std::chrono::seconds(60));
  auto off = gateway("{links: {resume_window_s: 0}, limits: {detached_sessions_per_user: 1}}");
  ASSERT_TRUE(off) << to_string(off.error());
  EXPECT_EQ(off->links.resume_window, std::chrono::seconds(0));
  EXPECT_EQ(off->limits.detached_sessions_per_user, 1u);
  EXPECT_THAT(faults(gateway("{links: {resume_window_s: 3601}}")), HasSubstr("resume_window_s"));
}

TEST(GatewayConfigFile, a_file_that_cannot_be_read_says_so) {
  auto config = load_gateway_config("/nonexistent/gateway.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(to_string(config.error()),
            "/nonexistent/gateway.yaml: cannot be read: No such file or directory\n");
  EXPECT_THAT(faults(load_gateway_config("/")), HasSubstr("not a regular file"));
}

TEST(ConnectorConfigFile, needs_a_gateway_and_credentials) {
  EXPECT_EQ(
      faults(connector("")),
      "/etc/isthmus/connector.yaml:1: gateway.url: is missing, expected wss://HOST[:PORT], "
      "udp://HOST[:PORT], or isthmus://HOST[:PORT] for UDP where it passes and WebSocket where "
      "not; "
      "without user name or password\n"
      "/etc/isthmus/connector.yaml:1: gateway: has no credentials, expected user with password or "
      "password_file, or token or token_file\n");
}

TEST(ConnectorConfigFile, takes_either_kind_of_credentials_inline_or_from_a_file) {
  auto read = files({{"/etc/isthmus/pw", "s3cret\nsecond line\n"}, {"/etc/isthmus/tk", "a.b.c"}});
  auto inline_password =
      connector("gateway: {url: 'wss://gw.example', user: u, password: p}", read);
  ASSERT_TRUE(inline_password) << to_string(inline_password.error());
  EXPECT_EQ(inline_password->gateway.password.reveal(), "p");
  auto password =
      connector("gateway: {url: 'wss://gw.example:8443', user: u, password_file: pw}", read);
  ASSERT_TRUE(password) << to_string(password.error());
  EXPECT_EQ(password->gateway.password.reveal(), "s3cret");
  auto token = connector("gateway: {url: 'wss://[2001:db8::1]:8443', token_file: tk}", read);
  ASSERT_TRUE(token) << to_string(token.error());
  EXPECT_EQ(token->gateway.token.reveal(), "a.b.c");
  EXPECT_EQ(token->allow, ConnectorConfig::default_allow());
}

TEST(ConnectorConfigFile, contradictory_credentials_and_trust_are_faults) {
  auto read = files({{"/pw", "x"}, {"/ca", "x"}, {"/empty", "\n"}});
  const std::pair<const char*, const char*> cases[] = {
      {"{url: 'wss://a', user: u}", "gateway: has a user without a password"},
      {"{url: 'wss://a', password: p}", "gateway: has a password without a user"},
      {"{url: 'wss://a', user: u, token: t}", "gateway: has a token and a user or password"},
      {"{url: 'wss://a', user: u, password: p, password_file: /pw}",
       "gateway.password_file: is given beside gateway.password"},
      {"{url: 'wss://a', user: u, password_file: /empty}", "first line is empty: /empty"},
      {"{url: 'wss://a', token: t, trust: {ca_file: /ca, insecure: true}}",
       "gateway.trust: says several things"},
      {"{url: 'wss://a', token: t, trust: {pin: abc}}", "gateway.trust.pin: is \"abc\""},
      {"{url: 'https://a', token: t}", "gateway.url: is \"https://a\""},
      {"{url: 'wss://u:p@a', token: t}", "gateway.url: is"},
      {"{url: 'wss://', token: t}", "gateway.url: is"},
      {"{url: 'https://a', token: t}", "gateway.url: is"},
      {"{url: 'wss://a:99999', token: t}", "gateway.url: is"},
  };
  for (auto [yaml, expected] : cases) {
    EXPECT_THAT(faults(connector(std::string("gateway: ") + yaml, read)), HasSubstr(expected))
        << yaml;
  }
}

TEST(ConnectorConfigFile, pins_are_taken_in_both_spellings) {
  for (std::string pin :
       {std::string(64, 'a'), "sha256//" + std::string(43, 'A') + "=", std::string(43, 'A')}) {
    auto config = connector("gateway: {url: 'wss://a', token: t, trust: {pin: '" + pin + "'}}");
    ASSERT_TRUE(config) << to_string(config.error());
    EXPECT_EQ(config->gateway.trust.pin, pin);
  }
}

// ---- deploy/examples

FileReader example_files() {
  return [](const std::string& path) -> FileText {
    static const std::map<std::string, std::string> kInstalled = {
        {"/etc/isthmus/tls/fullchain.pem", "certificate"},
        {"/etc/isthmus/tls/privkey.pem", "key"},
        {"/etc/isthmus/token-secret", std::string(43, 'A') + "\n"},
        {ISTHMUS_SOURCE_DIR "/deploy/examples/branch-office.password", "change-me\n"}};
    auto installed = kInstalled.find(path);
    if (installed == kInstalled.end()) return FileError{"not installed"};
    return found(installed->second);
  };
}

std::string example(const std::string& name) {
  auto text = read_file(ISTHMUS_SOURCE_DIR "/deploy/examples/" + name);
  EXPECT_TRUE(text) << name;
  return text ? *text : std::string();
}

TEST(Examples, the_minimal_gateway_loads_and_its_password_is_as_documented) {
  auto config = gateway(example("gateway-minimal.yaml"));
  ASSERT_TRUE(config) << to_string(config.error());
  ASSERT_EQ(config->users.size(), 1u);
  auto hash = session::PasswordHash::parse(config->users[0].password_hash);
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->matches("change-me"));
}

TEST(Examples, the_kamailio_gateway_loads) {
  auto config = parse_gateway_config(example("gateway-kamailio.yaml"),
                                     ISTHMUS_SOURCE_DIR "/deploy/examples/gateway-kamailio.yaml",
                                     example_files());
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->providers.size(), 2u);
  EXPECT_EQ(config->routes.size(), 3u);
  EXPECT_TRUE(config->tokens.enabled());
}

TEST(Examples, the_trunk_gateway_loads) {
  auto config = gateway(example("gateway-trunk.yaml"));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->routes.size(), 6u);
  EXPECT_TRUE(config->routes[4].use_enum);
  EXPECT_EQ(config->numbers.size(), 2u);
  EXPECT_EQ(config->users[1].limits.calls, 120u);
  EXPECT_EQ(config->users[0].limits.call_attempts_per_s, 300u);  // of limits.user
}

TEST(Examples, the_connector_loads) {
  auto config =
      parse_connector_config(example("connector.yaml"),
                             ISTHMUS_SOURCE_DIR "/deploy/examples/connector.yaml", example_files());
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->gateway.password.reveal(), "change-me");
  EXPECT_EQ(config->allow.size(), 2u);
}

}  // namespace
}  // namespace isthmus::ops
