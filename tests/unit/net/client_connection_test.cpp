#include "net/client_connection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "base/limits.hpp"
#include "unit/net/session_server.hpp"

namespace isthmus::net::test {
namespace {

using testing::HasSubstr;

TEST(ClientConnection, sip_and_media_go_there_and_back) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client client(loop, options_for(server));
  EXPECT_FALSE(client.connection->send_sip(as_bytes("too early")));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  EXPECT_TRUE(client.connection->established());
  EXPECT_EQ(client.welcomes.front().user, "alice");
  EXPECT_EQ(client.welcomes.front().observed_address, client.connection->local_text());
  EXPECT_EQ(client.connection->remote_text(), server.listener->local().to_string());
  EXPECT_TRUE(client.connection->send_sip(as_bytes("OPTIONS sip:x SIP/2.0\r\n\r\n")));
  EXPECT_FALSE(
      client.connection->send_sip(as_bytes(std::string(limits::kReliableFrameBytes + 1, 'x'))));
  client.connection->send_media(16, as_bytes("rtp"));
  ASSERT_TRUE(loop.run_until([&] { return !client.sip.empty() && !client.media.empty(); }));
  EXPECT_EQ(client.sip.front(), "OPTIONS sip:x SIP/2.0\r\n\r\n");
  EXPECT_EQ(client.media.front(), (ReceivedFrame{16, "rtp"}));
  EXPECT_EQ(client.connection->session_statistics().sip_frames_out, 1u);
  EXPECT_EQ(client.connection->link_counters().media_frames_in, 1u);
}

TEST(ClientConnection, closing_tells_the_gateway_and_ends) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client client(loop, options_for(server));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.connection->established(); }));
  client.connection->close(CloseCode::normal, "done");
  ASSERT_TRUE(loop.run_until(
      [&] { return client.closed.size() == 1 && server.sessions.front()->closed.has_value(); }));
  EXPECT_EQ(client.closed.front().code, CloseCode::normal);
  EXPECT_FALSE(client.closed.front().will_retry_in);
  EXPECT_TRUE(server.sessions.front()->session.closed());
  client.connection->start();  // and may be started again
  ASSERT_TRUE(loop.run_until([&] { return client.connection->established(); }));
}

TEST(ClientConnection, a_wrong_password_is_not_repeated) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client client(loop, options_for(server, "wrong"));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.closed.front().code, CloseCode::unauthorized);
  EXPECT_THAT(client.closed.front().reason, HasSubstr("wrong password"));
  EXPECT_FALSE(client.closed.front().will_retry_in);
  loop.run_for(milliseconds(200));
  EXPECT_EQ(client.connection->attempts(), 1u);
  EXPECT_EQ(client.closed.size(), 1u);
}

TEST(ClientConnection, a_wrong_password_is_repeated_if_asked_to) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  auto options = options_for(server, "wrong");
  options.retry_refused = true;
  Client client(loop, options);
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.closed.size() == 3; }));
  EXPECT_TRUE(client.closed.back().will_retry_in);
}

TEST(ClientConnection, comes_back_after_the_gateway_died_and_returned) {
  Loop loop;
  TemporaryDirectory state;
  auto server = std::make_unique<SessionServer>(loop, state);
  const std::uint16_t port = server->listener->local().port;
  Client client(loop, options_for(*server));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  server.reset();  // cuts the link
  ASSERT_TRUE(loop.run_until([&] { return client.closed.size() >= 3; }));
  EXPECT_EQ(client.closed[0].code, CloseCode::going_away);
  EXPECT_THAT(client.closed[1].reason, HasSubstr("refused"));
  for (const Closed& each : client.closed) {
    ASSERT_TRUE(each.will_retry_in);
    EXPECT_LE(*each.will_retry_in, milliseconds(100));
    EXPECT_GE(*each.will_retry_in, milliseconds(10));
  }
  EXPECT_FALSE(client.connection->established());
  SessionServer again(loop, state, port);
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_TRUE(client.connection->send_sip(as_bytes("MESSAGE")));
  EXPECT_TRUE(loop.run_until([&] { return client.sip.size() == 1; }));
}

TEST(ClientConnection, goes_elsewhere_when_the_session_is_ended_by_the_gateway) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client client(loop, options_for(server));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  server.sessions.front()->close(CloseCode::going_away, "maintenance");
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 2; }));
  ASSERT_EQ(client.closed.size(), 1u);
  EXPECT_EQ(client.closed.front().code, CloseCode::going_away);
  EXPECT_THAT(client.closed.front().reason, HasSubstr("maintenance"));
  // A newer session of the same client took over: coming back would only take turns with it.
  server.sessions.back()->close(CloseCode::replaced, "newer session");
  ASSERT_TRUE(loop.run_until([&] { return client.closed.size() == 2; }));
  EXPECT_FALSE(client.closed.back().will_retry_in);
}

TEST(ClientConnection, begins_anew_at_once_where_its_session_is_not_known_any_more) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  server.resume_window_ms = 60'000;
  auto options = options_for(server);
  options.first_retry = options.last_retry = seconds(60);  // nothing may wait for these
  Client client(loop, options);
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  server.sessions.front()->link.reset();  // cut without a word
  ASSERT_TRUE(loop.run_until([&] { return client.lost.size() == 1; }));
  EXPECT_TRUE(client.connection->established());
  EXPECT_FALSE(client.connection->has_link());
  EXPECT_TRUE(client.connection->send_sip(as_bytes("waits")));
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(server.resumes_refused, 1);
  ASSERT_EQ(client.closed.size(), 1u);
  EXPECT_EQ(client.closed.front().code, CloseCode::resume_refused);
  EXPECT_EQ(client.closed.front().will_retry_in, Duration{});
  EXPECT_TRUE(client.connection->has_link());
}

TEST(ClientConnection, a_session_without_a_link_is_over_when_its_window_is) {
  Loop loop;
  TemporaryDirectory state;
  auto server = std::make_unique<SessionServer>(loop, state);
  server->resume_window_ms = 300;
  auto options = options_for(*server);
  options.first_resume_retry = milliseconds(20);
  Client client(loop, options);
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  server.reset();
  ASSERT_TRUE(loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_GE(client.lost.size(), 2u) << "attempts are told";
  EXPECT_EQ(client.closed.front().code, CloseCode::timeout);
  EXPECT_TRUE(client.closed.front().will_retry_in);
  EXPECT_FALSE(client.connection->established());
}

TEST(ClientConnection, may_be_destroyed_when_its_link_is_lost) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  server.resume_window_ms = 60'000;
  Client client(loop, options_for(server));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  client.on_event = [&] { client.connection.reset(); };
  server.sessions.front()->link.reset();
  ASSERT_TRUE(loop.run_until([&] { return client.lost.size() == 1; }));
  loop.run_for(milliseconds(50));
  EXPECT_TRUE(client.closed.empty());
  EXPECT_EQ(client.welcomes.size(), 1u);
}

TEST(ClientConnection, an_untrusted_gateway_hears_no_password) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  auto options = options_for(server);
  options.trust.pins = {Pin{}.to_string()};
  Client client(loop, options);
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.closed.front().code, CloseCode::forbidden);
  EXPECT_THAT(client.closed.front().reason, HasSubstr(server.listener->certificate().pin));
  EXPECT_FALSE(client.closed.front().will_retry_in);
  EXPECT_TRUE(server.sessions.empty());
}

TEST(ClientConnection, a_gateway_that_says_nothing_times_out) {
  Loop loop;
  boost::asio::ip::tcp::acceptor silent(loop.io, {boost::asio::ip::address_v4::loopback(), 0});
  auto options = options_for(silent.local_endpoint().port(), Pin{}.to_string());
  options.connect_timeout = milliseconds(100);
  Client client(loop, options);
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.closed.size() == 2; }));
  EXPECT_EQ(client.closed.front().code, CloseCode::timeout);
  EXPECT_THAT(client.closed.front().reason, HasSubstr("TLS handshake"));
  EXPECT_TRUE(client.closed.front().will_retry_in);
}

TEST(ClientConnection, a_gateway_that_never_welcomes_times_out) {
  Loop loop;
  Server mute(loop);  // links, but no sessions
  Client client(loop, options_for(mute.listener->local().port, mute.pin()));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.closed.front().code, CloseCode::timeout);
  EXPECT_TRUE(client.closed.front().will_retry_in);
}

TEST(ClientConnection, another_web_servers_answer_is_named) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  auto options = options_for(server);
  options.url += "/elsewhere";
  Client client(loop, options);
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.closed.front().code, CloseCode::protocol_error);
  EXPECT_THAT(client.closed.front().reason, HasSubstr("HTTP 404"));
}

TEST(ClientConnection, may_be_destroyed_in_any_callback) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client at_welcome(loop, options_for(server));
  at_welcome.on_event = [&] { at_welcome.connection.reset(); };
  at_welcome.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return at_welcome.welcomes.size() == 1; }));
  Client at_sip(loop, options_for(server));
  at_sip.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return at_sip.connection->established(); }));
  at_sip.on_event = [&] { at_sip.connection.reset(); };
  at_sip.connection->send_sip(as_bytes("one"));
  at_sip.connection->send_sip(as_bytes("two"));
  ASSERT_TRUE(loop.run_until([&] { return !at_sip.sip.empty(); }));
  Client at_closed(loop, options_for(server, "wrong"));
  at_closed.on_event = [&] { at_closed.connection.reset(); };
  at_closed.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return !at_closed.closed.empty(); }));
  ASSERT_TRUE(loop.run_until([&] { return server.listener->counters().open == 0; }));
  EXPECT_EQ(at_sip.sip.size(), 1u);
  EXPECT_TRUE(at_welcome.closed.empty());
}

TEST(ClientConnection, may_be_closed_while_it_dials_and_while_it_waits) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client dialing(loop, options_for(server));
  dialing.connection->start();
  dialing.connection->close();
  ASSERT_TRUE(loop.run_until([&] { return dialing.closed.size() == 1; }));
  auto options = options_for(1, Pin{}.to_string());
  options.first_retry = options.last_retry = seconds(60);
  Client waiting(loop, options);
  waiting.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return waiting.closed.size() == 1; }));
  EXPECT_TRUE(waiting.closed.front().will_retry_in);
  waiting.connection->close();
  ASSERT_TRUE(loop.run_until([&] { return waiting.closed.size() == 2; }));
  EXPECT_FALSE(waiting.closed.back().will_retry_in);
  loop.run_for(milliseconds(100));
  EXPECT_TRUE(dialing.welcomes.empty());
  EXPECT_EQ(dialing.closed.size(), 1u);
}

TEST(ClientConnection, faults_of_the_options_are_told_before_anything_is_dialled) {
  Loop loop;
  class Nothing final : public ConnectionHandler {
    void on_established(const wire::WelcomeInfo&) override {}
    void on_sip(std::string) override {}
    void on_media(wire::Channel, ByteView) override {}
    void on_closed(CloseCode, const std::string&, std::optional<Duration>) override {}
  } handler;
  ConnectionOptions options;
  options.url = "https://gw.example.org";
  const auto bad_url = ClientConnection::make(loop.io, options, handler);
  ASSERT_FALSE(bad_url);
  EXPECT_THAT(bad_url.error().text, HasSubstr("wss://"));
  options.url = "wss://gw.example.org";
  options.trust.pins = {"nonsense"};
  EXPECT_FALSE(ClientConnection::make(loop.io, options, handler));
}

}  // namespace
}  // namespace isthmus::net::test
