#include "link/listener.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "unit/net/raw_client.hpp"

namespace isthmus::net::test {
namespace {

using testing::HasSubstr;

std::string upgrade_request(const std::string& target, const std::string& extra) {
  return "GET " + target +
         " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         extra + "\r\n";
}

TEST(Listener, other_requests_get_a_short_answer) {
  const std::string protocol = "Sec-WebSocket-Protocol: isthmus.v1\r\n";
  struct Case {
    std::string request;
    unsigned status;
    const char* text;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Isthmus gateway"},
      {"GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200, "wss://"},
      {"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n", 404, "/isthmus/v1"},
      {"GET /isthmus/v1 HTTP/1.1\r\nHost: x\r\n\r\n", 426, "WebSocket"},
      {"POST /isthmus/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405, "Only GET"},
      {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Only GET"},
      {upgrade_request("/isthmus/v1", ""), 400, "isthmus.v1"},
      {upgrade_request("/isthmus/v1", "Sec-WebSocket-Protocol: sip, isthmus.v2\r\n"), 400,
       "isthmus.v1"},
      {upgrade_request("/isthmus/v2", protocol), 404, "/isthmus/v1"},
      {upgrade_request("/", protocol), 200, "wss://"},
  };
  Loop loop;
  Server server(loop);
  std::uint64_t answered = 0;
  for (const Case& each : cases) {
    RawClient client(loop, server.listener->local());
    ASSERT_TRUE(client.connect() && client.handshake());
    EXPECT_EQ(client.request(each.request), each.status) << each.request;
    EXPECT_THAT(client.body, HasSubstr(each.text)) << each.request;
    EXPECT_EQ(server.listener->counters().http_answered, ++answered);
  }
  EXPECT_TRUE(server.peers.empty());
  EXPECT_EQ(server.listener->counters().upgraded, 0u);
}

TEST(Listener, the_subprotocol_may_stand_in_a_list_of_several_fields) {
  Loop loop;
  Server server(loop);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.connect() && client.handshake());
  EXPECT_EQ(client.request(upgrade_request("/isthmus/v1?x=1",
                                           "Sec-WebSocket-Protocol: sip\r\n"
                                           "Sec-WebSocket-Protocol: other , isthmus.v1\r\n")),
            101u);
  EXPECT_TRUE(loop.run_until([&] { return server.peers.size() == 1; }));
}

TEST(Listener, what_is_not_http_and_headers_without_end_are_cut_off) {
  Loop loop;
  Server server(loop);
  const std::string endless = "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n";
  std::uint64_t failed = 0;
  for (const std::string& text : {endless, std::string("REGISTER sip:example.org SIP/2.0\r\n\r\n"),
                                  std::string("\x00\x01\x02\xff\r\n\r\n", 8)}) {
    RawClient client(loop, server.listener->local());
    ASSERT_TRUE(client.connect() && client.handshake());
    EXPECT_EQ(client.request(text), 0u);
    ++failed;
    EXPECT_TRUE(loop.run_until([&] { return server.listener->counters().http_failed == failed; }));
  }
  EXPECT_TRUE(loop.run_until([&] { return server.listener->counters().open == 0; }));
}

TEST(Listener, a_silent_client_is_cut_off_in_either_phase) {
  Loop loop;
  link::ListenerOptions options;
  options.handshake_limit = milliseconds(150);
  Server server(loop, false, options);
  RawClient before_tls(loop, server.listener->local());
  RawClient before_http(loop, server.listener->local());
  ASSERT_TRUE(before_tls.connect());
  ASSERT_TRUE(before_http.connect() && before_http.handshake());
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 2; }));
  const auto working = connect(loop, server);
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().timed_out == 2; }));
  EXPECT_EQ(server.listener->counters().open, 1u);
  loop.run_for(milliseconds(200));
  EXPECT_FALSE(working->closed);  // a link has no such limit
}

TEST(Listener, a_client_that_speaks_no_tls_is_counted) {
  Loop loop;
  Server server(loop);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.connect());
  boost::asio::write(client.stream().tcp(), boost::asio::buffer("GET / HTTP/1.1\r\n\r\n", 18));
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().tls_failed == 1; }));
  EXPECT_EQ(server.listener->counters().open, 0u);
}

TEST(Listener, connections_over_the_limit_are_closed_and_places_become_free_again) {
  Loop loop;
  link::ListenerOptions options;
  options.max_connections = 2;
  Server server(loop, false, options);
  auto first = connect(loop, server);
  const auto second = connect(loop, server);
  const auto third = dial(loop, server.url(), server.trust());
  EXPECT_TRUE(third.error);
  EXPECT_EQ(server.listener->counters().over_limit, 1u);
  first.reset();
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 1; }));
  EXPECT_TRUE(dial(loop, server.url(), server.trust()).link);
}

TEST(Listener, reloading_presents_the_new_certificate_and_leaves_links_alone) {
  Loop loop;
  TemporaryDirectory one, two;
  const auto now = wall_now();
  ASSERT_TRUE(link::load_or_make_self_signed(one.path(), {}, now));
  ASSERT_TRUE(link::load_or_make_self_signed(two.path(), {}, now));
  link::ListenerOptions options;
  options.certificate.chain_file = one.file("gateway-cert.pem");
  options.certificate.key_file = one.file("gateway-key.pem");
  Server server(loop, true, options);
  const std::string old_pin = server.pin();
  const auto old_link = connect(loop, server);

  std::ofstream(one.file("gateway-key.pem")) << "half written";
  EXPECT_FALSE(server.listener->reload_certificates());
  EXPECT_EQ(server.pin(), old_pin);
  EXPECT_TRUE(dial(loop, server.url(), {{}, {old_pin}, false}).link);

  for (const char* name : {"gateway-key.pem", "gateway-cert.pem"}) {
    std::filesystem::copy_file(two.file(name), one.file(name),
                               std::filesystem::copy_options::overwrite_existing);
  }
  const auto reloaded = server.listener->reload_certificates();
  ASSERT_TRUE(reloaded);
  EXPECT_NE(reloaded->pin, old_pin);
  EXPECT_TRUE(dial(loop, server.url(), {{}, {old_pin}, false}).error);
  EXPECT_TRUE(dial(loop, server.url(), {{}, {reloaded->pin}, false}).link);
  old_link->link->send_reliable(1, as_bytes("still here"));
  EXPECT_TRUE(loop.run_until([&] { return old_link->reliable.size() == 1; }));
}

TEST(Listener, a_port_in_use_is_named) {
  Loop loop;
  Server server(loop);
  link::ListenerOptions options;
  options.bind = server.listener->local();
  options.certificate.state_directory = server.directory.path();
  const auto second = link::Listener::open(loop.io, options, [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().text, HasSubstr("127.0.0.1:"));
  EXPECT_THAT(second.error().text, HasSubstr("in use"));
}

TEST(Listener, closing_cuts_guests_and_keeps_links) {
  Loop loop;
  Server server(loop, true);
  RawClient guest(loop, server.listener->local());
  ASSERT_TRUE(guest.connect());
  const auto link = connect(loop, server);
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 2; }));
  server.listener->close();
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 1; }));
  link->link->send_reliable(1, as_bytes("still here"));
  EXPECT_TRUE(loop.run_until([&] { return link->reliable.size() == 1; }));
  RawClient late(loop, server.listener->local());
  EXPECT_FALSE(late.connect());
}

TEST(Listener, goes_on_after_it_ran_out_of_descriptors) {
  Loop loop;
  Server server(loop);
  RawClient client(loop, server.listener->local());
  boost::system::error_code failed;
  client.stream().tcp().open(boost::asio::ip::tcp::v4(), failed);
  ASSERT_FALSE(failed);
  ::rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  std::vector<int> taken;  // until nothing is left below the lowered limit
  ::rlimit lowered = usual;
  lowered.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  for (int file = 0; (file = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
    taken.push_back(file);
  }
  EXPECT_TRUE(client.connect());  // the kernel queues it
  EXPECT_TRUE(loop.run_until([&] { return server.listener->counters().accept_errors >= 2; }));
  EXPECT_LT(server.listener->counters().accept_errors, 10u);  // paused, not spinning
  EXPECT_EQ(server.listener->counters().accepted, 0u);
  for (const int file : taken) ::close(file);
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_TRUE(client.handshake() && client.upgrade());
  EXPECT_EQ(server.listener->counters().accepted, 1u);
}

TEST(Listener, may_be_closed_when_it_hands_over_a_link) {
  Loop loop;
  TemporaryDirectory state;
  link::ListenerOptions options;
  options.bind = *Endpoint::parse("127.0.0.1:0");
  options.certificate.state_directory = state.path();
  std::unique_ptr<link::Listener> listener;
  std::unique_ptr<Peer> peer;
  auto opened = link::Listener::open(loop.io, options, [&](std::unique_ptr<wire::Link> link) {
    peer = std::make_unique<Peer>(std::move(link));
    listener.reset();
  });
  ASSERT_TRUE(opened);
  listener = std::move(*opened);
  RawClient client(loop, listener->local());
  ASSERT_TRUE(client.join());
  ASSERT_TRUE(loop.run_until([&] { return peer != nullptr; }));
  EXPECT_FALSE(listener);
  EXPECT_TRUE(client.send("\x01sip"));
  EXPECT_TRUE(loop.run_until([&] { return peer->reliable.size() == 1; }));
}

TEST(Listener, one_socket_serves_both_address_families) {
  Loop loop;
  link::ListenerOptions options;
  options.bind = *Endpoint::parse("[::]:0");
  Server server(loop, false, options);
  ASSERT_TRUE(dial(loop, server.url("127.0.0.1"), server.trust()).link);
  ASSERT_TRUE(dial(loop, server.url("[::1]"), server.trust()).link);
  ASSERT_TRUE(loop.run_until([&] { return server.peers.size() == 2; }));
  EXPECT_TRUE(server.peers[0]->link->remote().address.is_v4());
  EXPECT_EQ(server.peers[1]->link->remote().address.to_string(), "::1");
}

}  // namespace
}  // namespace isthmus::net::test
