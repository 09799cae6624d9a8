// Gateways that a domain's SRV records name: what is asked, in which order they are tried, for how
// long that holds, and whose name the certificate must bear.
#include "net/gateway_srv.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <map>

#include "base/limits.hpp"
#include "net/gateway_lookup.hpp"
#include "support/fake_dns_server.hpp"
#include "unit/net/session_server.hpp"

namespace isthmus::net::test {
namespace {

using isthmus::test::FakeDnsServer;
using isthmus::test::FakeZone;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kUdp = "_isthmus._udp.example.net";
constexpr const char* kTcp = "_isthmus._tcp.example.net";

GatewayUrl url(const std::string& text) {
  return *parse_gateway_url(text);
}

std::vector<std::string> whereabouts(const LocatedGateways& found) {
  std::vector<std::string> out;
  for (const GatewayUrl& one : found.urls) {
    std::string kinds = one.kinds == LinkKinds::either ? "both " : "udp ";
    if (one.kinds == LinkKinds::websocket) kinds = "tcp ";
    out.push_back(kinds + one.whereabouts());
  }
  return out;
}

LocatedGateways locate(const std::string& text, const FakeZone& zone, std::uint64_t seed = 1) {
  const SrvQuestions asked = srv_questions(url(text));
  const auto answer = [&](const std::string& name) {
    return name.empty() ? dns::Answer{dns::Status::none} : zone.answer({dns::Type::srv, name});
  };
  SeededRandom random(seed);
  return locate_gateways(url(text), answer(asked.udp), answer(asked.tcp), random);
}

TEST(SrvQuestions, follow_the_scheme) {
  EXPECT_EQ(srv_questions(url("isthmus://Example.NET")).udp, kUdp);
  EXPECT_EQ(srv_questions(url("isthmus://example.net.")).tcp, kTcp);
  EXPECT_EQ(srv_questions(url("udp://example.net")).udp, kUdp);
  EXPECT_EQ(srv_questions(url("udp://example.net")).tcp, "");
  EXPECT_EQ(srv_questions(url("wss://example.net/path")).tcp, kTcp);
  EXPECT_EQ(srv_questions(url("wss://example.net/path")).udp, "");
}

TEST(SrvQuestions, addresses_ports_and_names_that_no_dns_knows_are_not_asked_for) {
  for (const char* text : {"isthmus://192.0.2.1", "isthmus://[2001:db8::1]",
                           "isthmus://example.net:443", "wss://example.net:8443",
                           "isthmus://gateway", "isthmus://gw.localhost", "udp://gw.local"}) {
    const SrvQuestions asked = srv_questions(url(text));
    EXPECT_EQ(asked.udp + asked.tcp, "") << text;
  }
}

TEST(LocateGateways, without_records_the_gateway_is_at_the_name_itself) {
  const auto found = locate("isthmus://example.net", {});
  EXPECT_THAT(whereabouts(found), ElementsAre("both example.net"));
  EXPECT_EQ(found.life, seconds(30));
  EXPECT_FALSE(found.failed);
}

TEST(LocateGateways, without_an_answer_too_and_it_is_asked_again_soon) {
  FakeZone zone;
  zone.fails = true;
  const auto found = locate("isthmus://example.net", zone);
  EXPECT_THAT(whereabouts(found), ElementsAre("both example.net"));
  EXPECT_LE(found.life, seconds(60));
  EXPECT_TRUE(found.failed);
}

TEST(LocateGateways, lower_priorities_come_first_and_the_shortest_ttl_counts) {
  FakeZone zone;
  zone.ttl = seconds(300);
  zone.srv(kUdp, 20, 0, 4433, "b.example.net").srv(kUdp, 10, 0, 4433, "a.example.net");
  zone.ttl = seconds(90);
  zone.srv(kTcp, 20, 0, 443, "b.example.net").srv(kTcp, 10, 0, 4433, "a.example.net");
  const auto found = locate("isthmus://example.net", zone);
  EXPECT_THAT(whereabouts(found), ElementsAre("both example.net (a.example.net:4433)",
                                              "both example.net (b.example.net:4433/443)"));
  EXPECT_EQ(found.urls.front().host, "example.net") << "whose certificate is expected";
  EXPECT_EQ(found.urls.back().tcp_port(), 443);
  EXPECT_EQ(found.urls.back().udp_port(), 4433);
  EXPECT_EQ(found.life, seconds(90));
}

TEST(LocateGateways, a_ttl_of_nothing_does_not_mean_a_question_for_each_attempt) {
  FakeZone zone;
  zone.ttl = seconds(0);
  zone.srv(kTcp, 0, 0, 443, "a.example.net");
  EXPECT_EQ(locate("wss://example.net", zone).life, limits::kDnsLeastLife);
}

TEST(LocateGateways, among_equals_the_weight_draws) {
  FakeZone zone;
  zone.srv(kTcp, 0, 30, 443, "big.example.net").srv(kTcp, 0, 10, 443, "small.example.net");
  int big_first = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto found = locate("wss://example.net", zone, seed);
    ASSERT_EQ(found.urls.size(), 2u);
    big_first += found.urls.front().dial_host() == "big.example.net" ? 1 : 0;
  }
  // 30 of 40, and the same seeds each time.
  EXPECT_GT(big_first, 1350);
  EXPECT_LT(big_first, 1650);
}

TEST(LocateGateways, records_of_one_service_hold_for_both) {
  FakeZone zone;
  zone.srv(kUdp, 0, 0, 443, "a.example.net");
  EXPECT_THAT(whereabouts(locate("isthmus://example.net", zone)),
              ElementsAre("both example.net (a.example.net:443)"));
  zone.failing.insert({dns::Type::srv, kTcp});
  EXPECT_THAT(whereabouts(locate("isthmus://example.net", zone)),
              ElementsAre("both example.net (a.example.net:443)"));
}

TEST(LocateGateways, a_gateway_that_one_service_leaves_out_is_reached_by_the_other_alone) {
  FakeZone zone;
  zone.srv(kUdp, 0, 0, 443, "a.example.net");
  zone.srv(kTcp, 5, 0, 443, "b.example.net").srv(kTcp, 6, 0, 443, "a.example.net");
  EXPECT_THAT(
      whereabouts(locate("isthmus://example.net", zone)),
      ElementsAre("both example.net (a.example.net:443)", "tcp example.net (b.example.net:443)"));
}

TEST(LocateGateways, two_gateways_of_one_host_are_told_apart_by_port) {
  FakeZone zone;
  for (const char* service : {kTcp, kUdp}) {
    zone.srv(service, 1, 0, 4431, "a.example.net").srv(service, 2, 0, 4432, "a.example.net");
  }
  EXPECT_THAT(whereabouts(locate("isthmus://example.net", zone)),
              ElementsAre("both example.net (a.example.net:4431)",
                          "both example.net (a.example.net:4432)"));
}

TEST(LocateGateways, a_dot_says_that_there_is_no_such_service) {
  FakeZone zone;
  zone.srv(kUdp, 0, 0, 0, "");
  EXPECT_THAT(whereabouts(locate("isthmus://example.net", zone)), ElementsAre("tcp example.net"));
  EXPECT_TRUE(locate("udp://example.net", zone).urls.empty());
  zone.srv(kTcp, 0, 0, 443, "a.example.net");
  EXPECT_THAT(whereabouts(locate("isthmus://example.net", zone)),
              ElementsAre("tcp example.net (a.example.net:443)"));
}

TEST(LocateGateways, a_flood_of_records_is_cut) {
  FakeZone zone;
  for (int i = 0; i < 60; ++i) {
    zone.srv(kTcp, static_cast<std::uint16_t>(i), 0, 443, "h" + std::to_string(i) + ".example.net");
  }
  EXPECT_EQ(locate("wss://example.net", zone).urls.size(), limits::kLocatedGateways);
}

/// A port on which nobody answers: bound, and never listened on.
struct DeadPort {
  explicit DeadPort(boost::asio::io_context& io)
      : socket(io, {boost::asio::ip::address_v4::loopback(), 0}) {}
  std::uint16_t port() const { return socket.local_endpoint().port(); }
  boost::asio::ip::tcp::socket socket;
};

/// Two gateways of one domain and a DNS server that knows them.
struct Domain {
  Loop loop;
  TemporaryDirectory state;
  SessionServer first{loop, state, 0, {"example.net"}};
  SessionServer second{loop, state, 0, {"example.net"}};
  FakeDnsServer dns{loop.io};

  Domain() {
    dns.zone.a("a.example.net", "127.0.0.1").a("b.example.net", "127.0.0.1");
    dns.zone.a("example.net", "127.0.0.1");
  }
  void name(std::uint16_t priority, std::uint16_t port, const std::string& host) {
    dns.zone.srv(kTcp, priority, 0, port, host);
  }
  static std::uint16_t port_of(const SessionServer& server) {
    return server.listener->local().port;
  }
  ConnectionOptions options(const std::string& domain = "wss://example.net") const {
    ConnectionOptions to = options_for(first);
    to.url = domain;
    to.dns_servers = {dns.endpoint()};
    to.trust = {state.path() + "/gateway-cert.pem", {}, false};
    return to;
  }
  long questions() const {
    return std::ranges::count_if(
        dns.asked, [](const dns::Question& one) { return one.type == dns::Type::srv; });
  }
};

TEST(SrvConnection, the_first_of_two_gateways_is_dead_and_the_second_takes_the_client) {
  Domain domain;
  const DeadPort dead(domain.loop.io);
  domain.name(10, dead.port(), "a.example.net");
  domain.name(20, Domain::port_of(domain.second), "b.example.net");
  Client client(domain.loop, domain.options());
  client.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 1; }));
  EXPECT_EQ(client.connection->remote_text(), domain.second.listener->local().to_string());
  EXPECT_EQ(client.closed.size(), 1u);
  EXPECT_EQ(client.connection->attempts(), 2u);
}

TEST(SrvConnection, priorities_are_kept) {
  Domain domain;
  domain.name(20, Domain::port_of(domain.second), "b.example.net");
  domain.name(10, Domain::port_of(domain.first), "a.example.net");
  Client client(domain.loop, domain.options());
  client.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 1; }));
  EXPECT_EQ(client.connection->remote_text(), domain.first.listener->local().to_string());
  EXPECT_TRUE(domain.second.sessions.empty());
}

TEST(SrvConnection, the_certificate_must_bear_the_name_of_the_url_and_not_the_records) {
  Domain domain;
  domain.name(10, Domain::port_of(domain.first), "a.example.net");
  domain.dns.zone.srv("_isthmus._tcp.example.org", 10, 0, Domain::port_of(domain.first),
                      "example.net");
  Client right(domain.loop, domain.options());
  right.connection->start();
  EXPECT_TRUE(domain.loop.run_until([&] { return right.welcomes.size() == 1; }));
  Client wrong(domain.loop, domain.options("wss://example.org"));
  wrong.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return !wrong.closed.empty(); }));
  EXPECT_EQ(wrong.closed.front().code, CloseCode::forbidden);
  EXPECT_THAT(wrong.closed.front().reason, HasSubstr("example.org"));
}

TEST(SrvConnection, records_that_hold_are_not_asked_for_again_until_the_network_changes) {
  Domain domain;
  domain.dns.zone.ttl = seconds(600);
  domain.name(10, Domain::port_of(domain.first), "a.example.net");
  Client client(domain.loop, domain.options());
  client.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 1; }));
  EXPECT_EQ(domain.questions(), 1);
  domain.first.sessions.back()->close(CloseCode::going_away, "restart");
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(domain.questions(), 1);

  // The records are others by now: whoever is told of another network asks.
  domain.dns.zone.records.erase({dns::Type::srv, kTcp});
  domain.name(10, Domain::port_of(domain.second), "b.example.net");
  domain.first.sessions.back()->close(CloseCode::going_away, "restart");
  ASSERT_TRUE(domain.loop.run_until([&] { return client.closed.size() == 2; }));
  client.connection->on_network_changed();
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 3; }));
  EXPECT_EQ(domain.questions(), 2);
  EXPECT_EQ(client.connection->remote_text(), domain.second.listener->local().to_string());
}

TEST(SrvConnection, a_dns_server_that_is_silent_costs_two_seconds_and_no_more) {
  Domain domain;
  domain.dns.silent = true;
  auto options = domain.options();
  options.reconnect = false;
  options.connect_timeout = milliseconds(300);  // of the name itself, which has no address then
  Client client(domain.loop, options);
  const Instant began = clock_now();
  client.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.connection->attempts(), 1u) << "the name itself was tried";
  EXPECT_LT(clock_now() - began, seconds(15));
}

TEST(SrvConnection, a_domain_without_gateways_is_told_as_such) {
  Domain domain;
  domain.name(0, 0, "");
  auto options = domain.options();
  options.reconnect = false;
  Client client(domain.loop, options);
  client.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_THAT(client.closed.front().reason, HasSubstr("no gateway at example.net"));
  EXPECT_EQ(client.connection->attempts(), 0u);
}

TEST(SrvConnection, one_that_is_told_to_leave_asks_where_to_go) {
  Domain domain;
  domain.dns.zone.ttl = seconds(0);  // 5 s, at least
  domain.name(10, Domain::port_of(domain.first), "a.example.net");
  domain.name(20, Domain::port_of(domain.second), "b.example.net");
  Client client(domain.loop, domain.options());
  client.connection->start();
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 1; }));
  domain.first.sessions.front()->go_away({seconds(30), {}, "maintenance"});
  ASSERT_TRUE(domain.loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(client.connection->remote_text(), domain.second.listener->local().to_string());
}

}  // namespace
}  // namespace isthmus::net::test
