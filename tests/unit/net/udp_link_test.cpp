#include "net/udp_link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "link/udp_listener.hpp"
#include "net/link_dialer.hpp"
#include "unit/net/net_support.hpp"

namespace isthmus::net::test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using wire::CloseCode;

/// A gateway's UDP socket on loopback; every link becomes a Peer that sends back what comes.
class UdpServer {
 public:
  explicit UdpServer(Loop& loop, std::uint16_t port = 0, std::uint32_t retry_above = 200) {
    const auto certificate =
        link::load_or_make_self_signed(directory.path(), {"gateway.example"}, wall_now());
    EXPECT_TRUE(certificate);
    pin = certificate->pin;
    link::UdpListenerOptions options;
    options.bind = {IpAddress::v4(0x7f000001), port};
    options.server.retry_above = retry_above;
    auto opened = link::UdpListener::open(
        loop.io, options, *certificate, [this](std::unique_ptr<wire::Link> link) {
          peers.push_back(std::make_unique<Peer>(std::move(link), true));
        });
    EXPECT_TRUE(opened || port != 0);
    if (opened) listener = std::move(*opened);
  }
  std::string url(const std::string& scheme = "udp") const {
    return scheme + "://127.0.0.1:" + std::to_string(listener->local().port);
  }
  TrustOptions trust() const { return {{}, {pin}, false}; }

  TemporaryDirectory directory;
  std::string pin;
  std::unique_ptr<link::UdpListener> listener;
  std::vector<std::unique_ptr<Peer>> peers;
};

DialOutcome dial_any(Loop& loop, const std::string& text, const TrustOptions& trust,
                     Duration limit = seconds(10)) {
  DialOutcome outcome;
  auto url = parse_gateway_url(text);
  auto made = ClientTrust::make(trust);
  if (!url || !made) return outcome;
  bool done = false;
  LinkDialer dialer(loop.io, *made, {*url, "test/1", limit},
                    [&](Result<std::unique_ptr<wire::Link>, DialError> result) {
                      done = true;
                      if (result) {
                        outcome.link = std::move(*result);
                      } else {
                        outcome.error = result.error();
                      }
                    });
  EXPECT_TRUE(loop.run_until([&] { return done; }));
  return outcome;
}

TEST(UdpLink, frames_cross_real_sockets_both_ways) {
  Loop loop;
  UdpServer server(loop);
  auto outcome = dial_any(loop, server.url(), server.trust());
  ASSERT_TRUE(outcome.link) << outcome.error->text;
  Peer client(std::move(outcome.link));
  client.link->send_reliable(0, as_bytes("hello"));
  ASSERT_TRUE(loop.run_until([&] { return client.reliable.size() == 1; }));
  wire::Link& there = *server.peers.at(0)->link;
  client.link->set_peer_media_id(there.media_id());
  there.set_peer_media_id(client.link->media_id());
  for (int i = 0; i < 100; ++i) client.link->send_media(16, as_bytes("\x80 media"));
  ASSERT_TRUE(loop.run_until([&] { return client.media.size() == 100; }));
  EXPECT_EQ(client.media[99], (ReceivedFrame{16, "\x80 media"}));
  client.link->close(CloseCode::normal, "done");
  ASSERT_TRUE(loop.run_until([&] { return client.closed && server.peers[0]->closed; }));
  EXPECT_EQ(server.peers[0]->close_reason, "done");
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 0; }));
}

TEST(UdpLink, a_key_that_is_not_the_pinned_one_is_not_trusted) {
  Loop loop;
  UdpServer server(loop);
  const TrustOptions other{{}, {std::string(64, 'a')}, false};
  const auto outcome = dial_any(loop, server.url(), other);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, CloseCode::forbidden);
  EXPECT_THAT(outcome.error->text, HasSubstr(server.pin));
}

TEST(UdpLink, an_unknown_issuer_and_a_wrong_name_are_told_as_on_the_tcp_link) {
  Loop loop;
  UdpServer server(loop);
  const auto unknown = dial_any(loop, server.url(), {});
  ASSERT_TRUE(unknown.error);
  EXPECT_EQ(unknown.error->code, CloseCode::forbidden);
  EXPECT_THAT(unknown.error->text, HasSubstr("unknown authority"));
  const TrustOptions issuer{server.directory.path() + "/gateway-cert.pem", {}, false};
  EXPECT_TRUE(dial_any(loop, server.url(), issuer).link);
}

TEST(UdpLink, where_nobody_listens_the_attempt_fails_at_once) {
  Loop loop;
  std::string url;
  {
    UdpServer server(loop);
    url = server.url();
  }
  const Instant began = clock_now();
  const auto outcome = dial_any(loop, url, {});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, CloseCode::going_away);
  EXPECT_LT(clock_now() - began, seconds(2));
}

TEST(UdpLink, a_retry_is_followed) {
  Loop loop;
  UdpServer server(loop, 0, 0);
  EXPECT_TRUE(dial_any(loop, server.url(), server.trust()).link);
  EXPECT_EQ(server.listener->counters().server.retries, 1u);
}

TEST(UdpLink, without_udp_a_client_of_either_kind_comes_by_websocket) {
  Loop loop;
  Server tcp(loop);  // nothing listens on UDP there
  std::string url = tcp.url();
  url.replace(0, 3, "isthmus");
  const auto outcome = dial_any(loop, url, tcp.trust());
  ASSERT_TRUE(outcome.link) << outcome.error->text;
  EXPECT_EQ(outcome.link->media_id(), 0u);
}

TEST(UdpLink, with_both_a_client_of_either_kind_takes_udp) {
  Loop loop;
  std::optional<Server> tcp;
  std::optional<UdpServer> udp;
  for (int tries = 0; tries < 10 && !(udp && udp->listener); ++tries) {
    udp.reset();  // the port that TCP got was another's by UDP
    tcp.emplace(loop);
    udp.emplace(loop, tcp->listener->local().port);
  }
  ASSERT_TRUE(udp->listener);
  const TrustOptions both{{}, {tcp->pin(), udp->pin}, false};
  const auto outcome = dial_any(loop, udp->url("isthmus"), both);
  ASSERT_TRUE(outcome.link) << outcome.error->text;
  EXPECT_NE(outcome.link->media_id(), 0u);
}

TEST(UdpLink, a_renewed_certificate_serves_those_who_come_later) {
  Loop loop;
  UdpServer server(loop);
  auto first = dial_any(loop, server.url(), server.trust());
  ASSERT_TRUE(first.link);
  Peer client(std::move(first.link));
  const TemporaryDirectory directory;
  const auto renewed = link::load_or_make_self_signed(directory.path(), {}, wall_now());
  ASSERT_TRUE(renewed);
  EXPECT_FALSE(server.listener->set_certificate(*renewed));
  EXPECT_TRUE(dial_any(loop, server.url(), {{}, {renewed->pin}, false}).link);
  client.link->send_reliable(0, as_bytes("still here"));
  EXPECT_TRUE(loop.run_until([&] { return client.reliable.size() == 1; }));
}

TEST(UdpLink, secrets_are_logged_where_both_option_and_variable_say_so) {
  const TemporaryDirectory directory;
  const std::string file = directory.path() + "/keys.log";
  ::setenv("SSLKEYLOGFILE", file.c_str(), 1);
  Loop loop;
  UdpServer server(loop);
  TrustOptions trust = server.trust();
  ASSERT_TRUE(dial_any(loop, server.url(), trust).link);
  EXPECT_FALSE(std::ifstream(file).is_open()) << "nobody asked for it";
  trust.key_log = true;
  ASSERT_TRUE(dial_any(loop, server.url(), trust).link);
  ::unsetenv("SSLKEYLOGFILE");
  std::ifstream in(file);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  for (const char* label : {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
                            "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "}) {
    EXPECT_THAT(text, HasSubstr(label));
  }
  std::ifstream media(file + ".srtp");
  std::string line;
  ASSERT_TRUE(std::getline(media, line));  // of the client's own media id; the other awaits Welcome
  EXPECT_THAT(line, MatchesRegex("SRTP [0-9a-f]{8} AEAD_AES_128_GCM [0-9a-f]{32} [0-9a-f]{24}"));
}

}  // namespace
}  // namespace isthmus::net::test
