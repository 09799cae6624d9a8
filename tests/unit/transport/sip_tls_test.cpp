// SIP over TLS between two SipStreams: who is believed, and what is said when somebody is not.
#include <gmock/gmock.h>

#include "support/temporary_directory.hpp"
#include "support/test_authority.hpp"
#include "unit/transport/stream_support.hpp"

namespace isthmus::transport {
namespace {

using sip::Flow;
using sip::Transport;
using test::Authority;
using test::run_until;
using test::sip_ok;
using test::sip_options;
using test::StreamOwner;
using test::TcpPeer;
using ::testing::HasSubstr;

constexpr char kVia[] = "SIP/2.0/TLS 192.0.2.9:5071;branch=z9hG4bK1";
constexpr char kDomain[] = "example.net";

class SipTlsTest : public ::testing::Test {
 protected:
  void serve(const Authority::Files& files, TlsServer tls = {}, SipStreamTimes times = {}) {
    tls.certificate = files.certificate;
    tls.private_key = files.key;
    SipStreamConfig config;
    config.tls = tls;
    config.times = times;
    server = std::make_unique<SipStream>(io, config, provider);
    auto bound = server->listen(Transport::tls, {*IpAddress::parse("127.0.0.1"), 0}, 0);
    ASSERT_TRUE(bound) << bound.error().text;
    flow = Flow::to(Transport::tls, *bound);
  }
  /// Whether a request to the server arrives when this is expected of it.
  bool reaches(TlsPeer peer) {
    client = std::make_unique<SipStream>(io, SipStreamConfig{}, gateway);
    client->set_tls_peer(flow.remote, std::move(peer));
    gateway = StreamOwner();
    provider = StreamOwner();
    EXPECT_EQ(SendOutcome::sent, client->send(flow, sip_options(kVia)));
    run_until(io, [&] {
      return !provider.messages.empty() || !gateway.failed.empty() || !gateway.closed.empty();
    });
    const bool reached = !provider.messages.empty();
    EXPECT_EQ(gateway.failed.size() + gateway.closed.size(), reached ? 0u : 1u);
    return reached;
  }
  TlsPeer trusting(const std::string& name = kDomain) const {
    TlsPeer peer;
    peer.name = name;
    peer.ca_file = authority.ca_file();
    return peer;
  }

  test::TemporaryDirectory directory;
  Authority authority{directory.path(), "root"};
  boost::asio::io_context io;
  StreamOwner gateway, provider;
  std::unique_ptr<SipStream> server, client;
  Flow flow;
};

TEST_F(SipTlsTest, the_domain_asked_for_is_found_in_the_certificate) {
  serve(authority.issue("host", "DNS:sip1.hosting.example,URI:sip:example.net"));
  ASSERT_TRUE(reaches(trusting()));
  EXPECT_EQ(provider.flows[0].transport, Transport::tls);
  EXPECT_NE(provider.flows[0].connection, 0u);
  server->send(provider.flows[0], sip_ok(kVia));
  ASSERT_TRUE(run_until(io, [&] { return !gateway.messages.empty(); }));
  EXPECT_EQ(gateway.flows[0], flow);
  EXPECT_FALSE(reaches(trusting("sip1.hosting.example")))
      << "RFC 5922 §7.1: with a sip URI in it, DNS names are no SIP domains";
}

TEST_F(SipTlsTest, without_a_sip_uri_the_dns_names_count) {
  serve(authority.issue("host", "DNS:other.example,DNS:Example.NET"));
  EXPECT_TRUE(reaches(trusting()));
}

TEST_F(SipTlsTest, without_any_alternative_name_the_common_name_counts) {
  serve(authority.issue(kDomain, ""));
  EXPECT_TRUE(reaches(trusting()));
}

TEST_F(SipTlsTest, a_wrong_name_is_refused_and_said) {
  serve(authority.issue(kDomain, "DNS:sip1.example.net,URI:sip:user@example.net"));
  EXPECT_FALSE(reaches(trusting()));
  EXPECT_THAT(gateway.trouble, HasSubstr("is for sip1.example.net, not for example.net"));
  EXPECT_EQ(client->counters().ends(ConnectionEnd::tls_failed), 1u);
  EXPECT_EQ(gateway.failed.at(0), flow);
}

TEST_F(SipTlsTest, wildcards_stand_for_names_only_where_allowed) {
  serve(authority.issue("host", "DNS:*.example.net"));
  EXPECT_FALSE(reaches(trusting("sip.example.net")));
  TlsPeer peer = trusting("sip.example.net");
  peer.wildcards = true;
  EXPECT_TRUE(reaches(peer));
  peer.name = "a.sip.example.net";
  EXPECT_FALSE(reaches(peer)) << "one label";
}

TEST_F(SipTlsTest, an_address_is_found_among_the_addresses) {
  serve(authority.issue("host", "IP:127.0.0.1"));
  EXPECT_TRUE(reaches(trusting("")));
  serve(authority.issue("host", "DNS:127.0.0.1"));
  EXPECT_FALSE(reaches(trusting("")));
}

TEST_F(SipTlsTest, an_unknown_authority_is_refused) {
  Authority other(directory.path(), "other");
  serve(other.issue("host", "DNS:example.net"));
  EXPECT_FALSE(reaches(trusting()));
  EXPECT_THAT(gateway.trouble, HasSubstr("example.net is not acceptable"));
  TlsPeer by_system;
  by_system.name = kDomain;
  EXPECT_FALSE(reaches(by_system)) << "nor do the system's authorities know it";
  TlsPeer insecure;
  insecure.insecure = true;
  EXPECT_TRUE(reaches(insecure));
}

TEST_F(SipTlsTest, an_expired_certificate_is_refused) {
  serve(authority.issue("host", "DNS:example.net", -1));
  EXPECT_FALSE(reaches(trusting()));
  EXPECT_THAT(gateway.trouble, HasSubstr("expired"));
}

TEST_F(SipTlsTest, a_client_certificate_is_presented_and_judged) {
  Authority clients(directory.path(), "clients"), strangers(directory.path(), "strangers");
  TlsServer tls;
  tls.client_ca = clients.ca_file();
  tls.require_client_certificate = true;
  serve(authority.issue("host", "DNS:example.net"), tls);
  EXPECT_FALSE(reaches(trusting())) << "none presented";
  const auto good = clients.issue("gw", "DNS:gw.example"), bad = strangers.issue("gw", "");
  TlsPeer peer = trusting();
  peer.certificate = bad.certificate;
  peer.private_key = bad.key;
  EXPECT_FALSE(reaches(peer));
  peer.certificate = good.certificate;
  peer.private_key = good.key;
  EXPECT_TRUE(reaches(peer));
}

TEST_F(SipTlsTest, files_that_cannot_be_used_are_named) {
  const auto one = authority.issue("one", ""), two = authority.issue("two", "");
  TlsPeer peer = trusting();
  EXPECT_EQ(SipStream::check(peer), std::nullopt);
  peer.certificate = one.certificate;
  peer.private_key = two.key;
  EXPECT_THAT(SipStream::check(peer).value_or(""), HasSubstr(two.key));
  peer.ca_file = directory.file("nowhere.pem");
  EXPECT_THAT(SipStream::check(peer).value_or(""), HasSubstr("nowhere.pem"));
  SipStreamConfig config;
  config.tls = {one.certificate, two.key, "", false};
  SipStream stream(io, config, provider);
  auto bound = stream.listen(Transport::tls, {*IpAddress::parse("127.0.0.1"), 0}, 0);
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().text, HasSubstr("does not belong"));
}

TEST_F(SipTlsTest, two_identities_at_one_address_share_nothing) {
  serve(authority.issue("host", "DNS:one.example,DNS:two.example"),
        {"", "", authority.ca_file(), true});
  client = std::make_unique<SipStream>(io, SipStreamConfig{}, gateway);
  const auto peer = [&](const std::string& name, bool certificate) {
    TlsPeer made = trusting(name);
    if (!certificate) return made;
    const auto files = authority.issue("client-" + name, "");
    made.certificate = files.certificate;
    made.private_key = files.key;
    return made;
  };
  client->set_tls_identity(1, peer("one.example", true));
  client->set_tls_identity(2, peer("two.example", true));
  client->set_tls_identity(3, peer("three.example", true));
  client->set_tls_identity(4, peer("one.example", false));
  std::vector<Flow> flows;
  for (std::uint32_t identity = 1; identity <= 4; ++identity)
    flows.push_back(Flow::to(Transport::tls, flow.remote, identity));
  for (int round = 0; round < 2; ++round) {
    client->send(flows[0], sip_options(kVia));
    client->send(flows[1], sip_options(kVia));
  }
  ASSERT_TRUE(run_until(io, [&] { return provider.messages.size() == 4; }));
  EXPECT_EQ(client->counters().opened, 2u) << "one for each, kept";
  EXPECT_EQ(client->open_connections(Transport::tls, false), 2u);

  for (const Flow& from : provider.flows) server->send(from, sip_ok(kVia));
  ASSERT_TRUE(run_until(io, [&] { return gateway.messages.size() == 4; }));
  EXPECT_EQ(std::count(gateway.flows.begin(), gateway.flows.end(), flows[0]), 2);
  EXPECT_EQ(std::count(gateway.flows.begin(), gateway.flows.end(), flows[1]), 2);

  client->send(flows[2], sip_options(kVia));
  ASSERT_TRUE(run_until(io, [&] { return !gateway.failed.empty(); }));
  EXPECT_EQ(gateway.failed, std::vector<Flow>{flows[2]});
  EXPECT_THAT(gateway.trouble, HasSubstr("not for three.example"));
  client->send(flows[3], sip_options(kVia));
  run_until(io, [&] { return gateway.failed.size() + gateway.closed.size() == 2; });
  EXPECT_EQ(provider.messages.size(), 4u) << "without a certificate nothing gets in";
  EXPECT_EQ(client->open_connections(Transport::tls, false), 2u) << "the others stand";
}

TEST_F(SipTlsTest, a_peer_whose_files_are_gone_fails_its_flow) {
  serve(authority.issue("host", "DNS:example.net"));
  TlsPeer peer = trusting();
  peer.ca_file = directory.file("nowhere.pem");
  client = std::make_unique<SipStream>(io, SipStreamConfig{}, gateway);
  client->set_tls_peer(flow.remote, peer);
  EXPECT_EQ(SendOutcome::unreachable, client->send(flow, sip_options(kVia)));
  ASSERT_TRUE(run_until(io, [&] { return !gateway.failed.empty(); }));
  EXPECT_THAT(gateway.trouble, HasSubstr("nowhere.pem"));
}

TEST_F(SipTlsTest, a_handshake_that_never_comes_is_not_waited_for) {
  SipStreamTimes times;
  times.handshake = milliseconds(100);
  serve(authority.issue("host", "DNS:example.net"), {}, times);
  auto peer = TcpPeer::connect(flow.remote);
  const auto ends = [&](ConnectionEnd why) { return server->counters().ends(why); };
  ASSERT_TRUE(run_until(io, [&] { return peer->closed(); }));
  EXPECT_TRUE(run_until(io, [&] { return ends(ConnectionEnd::handshake_timeout) == 1; }));
  auto plain = TcpPeer::connect(flow.remote);
  plain->send(sip_options(kVia));
  ASSERT_TRUE(run_until(io, [&] { return plain->closed(); }));
  EXPECT_TRUE(run_until(io, [&] { return ends(ConnectionEnd::tls_failed) == 1; }));
  EXPECT_TRUE(provider.messages.empty());
}

TEST_F(SipTlsTest, renewed_certificates_are_taken_up) {
  const auto old = authority.issue("host", "DNS:old.example");
  serve(old);
  EXPECT_FALSE(reaches(trusting()));
  const auto renewed = authority.issue("host", "DNS:example.net");
  std::filesystem::copy_file(renewed.certificate, old.certificate,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(server->reload_certificates().value_or(""), HasSubstr("does not belong"));
  EXPECT_FALSE(reaches(trusting())) << "half of a pair changes nothing";
  std::filesystem::copy_file(renewed.key, old.key,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(server->reload_certificates(), std::nullopt);
  EXPECT_TRUE(reaches(trusting()));
}

TEST_F(SipTlsTest, large_messages_cross_in_pieces) {
  serve(authority.issue("host", "DNS:example.net"));
  ASSERT_TRUE(reaches(trusting()));
  std::string large = sip_options(kVia);
  for (int i = 0; i < 50; ++i)
    large.insert(large.find("Content-L"), "X-Filler: " + std::string(1000, 'x') + "\r\n");
  server->send(provider.flows[0], large);
  server->send(provider.flows[0], large);
  ASSERT_TRUE(run_until(io, [&] { return gateway.messages.size() == 2; }));
  EXPECT_EQ(gateway.messages[1].fields("X-Filler").size(), 50u);
}

}  // namespace
}  // namespace isthmus::transport
