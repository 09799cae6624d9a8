// Several gateways: which is tried when, and how a client leaves one that goes away.
#include "net/gateway_places.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "unit/net/session_server.hpp"

namespace isthmus::net::test {
namespace {

using testing::HasSubstr;

Place place(const std::string& host) {
  return {*parse_gateway_url("wss://" + host), std::nullopt};
}

TEST(GatewayPlaces, are_tried_in_a_ring_and_each_once_a_round) {
  GatewayPlaces places({place("a"), place("b"), place("c")});
  EXPECT_EQ(places.here().url.host, "a");
  EXPECT_TRUE(places.go_on());
  EXPECT_EQ(places.here().url.host, "b");
  EXPECT_TRUE(places.go_on());
  EXPECT_FALSE(places.go_on()) << "all three were tried";
  EXPECT_EQ(places.here().url.host, "a");
  EXPECT_TRUE(places.go_on());
  places.arrived();
  EXPECT_EQ(places.here().url.host, "b");
  EXPECT_TRUE(places.go_on());
  EXPECT_EQ(places.here().url.host, "c");
  EXPECT_TRUE(places.go_on());
  EXPECT_FALSE(places.go_on());
}

TEST(GatewayPlaces, one_alone_is_a_round_of_its_own) {
  GatewayPlaces places({place("a")});
  EXPECT_FALSE(places.elsewhere());
  EXPECT_FALSE(places.go_on());
  EXPECT_EQ(places.here().url.host, "a");
}

TEST(GatewayPlaces, those_that_the_last_gateway_named_come_first) {
  GatewayPlaces places({place("a")});
  places.invite({place("a"), place("x"), place("y")});
  EXPECT_TRUE(places.elsewhere());
  EXPECT_TRUE(places.go_on());
  EXPECT_EQ(places.here().url.host, "x");
  EXPECT_TRUE(places.go_on());
  EXPECT_EQ(places.here().url.host, "y");
  EXPECT_FALSE(places.go_on());
  EXPECT_EQ(places.here().url.host, "a");
}

std::string url_of(const SessionServer& server) {
  return "wss://" + server.listener->local().to_string();
}

/// Two gateways and a client that knows them both, with one key.
struct Pair {
  Loop loop;
  TemporaryDirectory state;
  std::unique_ptr<SessionServer> first = std::make_unique<SessionServer>(loop, state);
  std::unique_ptr<SessionServer> second = std::make_unique<SessionServer>(loop, state);

  ConnectionOptions options() const {
    ConnectionOptions to = options_for(*first);
    to.other_urls = {url_of(*second)};
    to.first_resume_retry = milliseconds(20);
    return to;
  }
};

TEST(SeveralGateways, the_next_is_tried_at_once_where_one_is_not_there) {
  Pair pair;
  auto options = pair.options();
  options.first_retry = options.last_retry = seconds(60);  // nothing may wait for these
  pair.first.reset();
  Client client(pair.loop, options);
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  EXPECT_EQ(client.connection->remote_text(), pair.second->listener->local().to_string());
  ASSERT_EQ(client.closed.size(), 1u);
  EXPECT_EQ(client.closed.front().will_retry_in, Duration{});
}

TEST(SeveralGateways, each_is_tried_once_where_nothing_is_to_be_repeated) {
  Pair pair;
  auto options = pair.options();
  options.reconnect = false;
  pair.first.reset();
  pair.second.reset();
  Client client(pair.loop, options);
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.closed.size() == 2; }));
  EXPECT_TRUE(client.closed[0].will_retry_in);
  EXPECT_FALSE(client.closed[1].will_retry_in);
  EXPECT_EQ(client.connection->attempts(), 2u);
}

TEST(SeveralGateways, between_rounds_there_is_a_wait) {
  Pair pair;
  const auto options = pair.options();
  pair.first.reset();
  pair.second.reset();
  Client client(pair.loop, options);
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.closed.size() == 4; }));
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(client.closed[i].will_retry_in);
    EXPECT_EQ(*client.closed[i].will_retry_in > Duration{}, i % 2 == 1) << i;
  }
}

TEST(SeveralGateways, refused_by_all_is_final) {
  Pair pair;
  auto options = pair.options();
  options.hello.credentials = wire::PasswordCredentials{"alice", "wrong"};
  Client client(pair.loop, options);
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.closed.size() == 2; }));
  EXPECT_TRUE(client.closed[0].will_retry_in);
  EXPECT_FALSE(client.closed[1].will_retry_in);
  EXPECT_EQ(client.connection->attempts(), 2u);
}

TEST(SeveralGateways, a_session_without_calls_is_given_up_when_its_gateway_is_gone) {
  Pair pair;
  pair.first->resume_window_ms = 60'000;
  Client client(pair.loop, pair.options());
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  pair.first.reset();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(client.connection->remote_text(), pair.second->listener->local().to_string());
  EXPECT_EQ(client.closed.size(), 1u);
}

TEST(SeveralGateways, one_with_calls_waits_for_its_gateway) {
  Pair pair;
  pair.first->resume_window_ms = 60'000;
  auto options = pair.options();
  options.last_resume_retry = milliseconds(40);
  Client client(pair.loop, options);
  client.busy = true;
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  pair.first.reset();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.lost.size() >= 6; }));
  EXPECT_TRUE(client.connection->established());
  EXPECT_TRUE(pair.second->sessions.empty());
  client.busy = false;
  EXPECT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 2; }));
}

TEST(SeveralGateways, a_wrong_url_is_named) {
  Loop loop;
  auto options = options_for(1, Pin{}.to_string());
  options.other_urls = {"http://b.example"};
  struct : ConnectionHandler {
    void on_established(const wire::WelcomeInfo&) override {}
    void on_sip(std::string) override {}
    void on_media(wire::Channel, ByteView) override {}
    void on_closed(CloseCode, const std::string&, std::optional<Duration>) override {}
  } handler;
  const auto made = ClientConnection::make(loop.io, options, handler);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text, HasSubstr("http://b.example"));
}

TEST(GoAway, a_client_has_its_new_session_before_it_leaves_the_old) {
  Pair pair;
  auto options = options_for(*pair.first);  // knows the first alone
  Client client(pair.loop, options);
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  auto& old = *pair.first->sessions.front();
  old.go_away(
      {seconds(30), {"nonsense", url_of(*pair.first), url_of(*pair.second)}, "maintenance"});
  bool both = false;
  client.on_event = [&] {
    // Told of the end of the old one when the new one's Welcome is there.
    both = both || (!client.closed.empty() && client.welcomes.size() == 1 &&
                    pair.second->sessions.size() == 1);
  };
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_TRUE(both);
  EXPECT_EQ(client.go_aways, std::vector<std::string>{"maintenance"});
  ASSERT_EQ(client.closed.size(), 1u);
  EXPECT_EQ(client.closed.front().code, CloseCode::going_away);
  EXPECT_EQ(client.closed.front().reason, "maintenance");
  EXPECT_EQ(client.connection->remote_text(), pair.second->listener->local().to_string());
  ASSERT_TRUE(pair.loop.run_until([&] { return old.session.closed(); }));
  EXPECT_TRUE(client.connection->send_sip(as_bytes("MESSAGE")));
  EXPECT_TRUE(pair.loop.run_until([&] { return client.sip.size() == 1; }));
}

TEST(GoAway, calls_are_not_left_behind) {
  Pair pair;
  Client client(pair.loop, pair.options());
  client.busy = true;
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  pair.first->sessions.front()->go_away({seconds(30), {}, "maintenance"});
  ASSERT_TRUE(pair.loop.run_until([&] { return client.go_aways.size() == 1; }));
  pair.loop.run_for(milliseconds(1200));
  EXPECT_EQ(client.welcomes.size(), 1u);
  EXPECT_TRUE(pair.second->sessions.empty());
  EXPECT_TRUE(client.connection->send_sip(as_bytes("BYE")));
  ASSERT_TRUE(pair.loop.run_until([&] { return client.sip.size() == 1; }));
  client.busy = false;
  EXPECT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_EQ(client.connection->remote_text(), pair.second->listener->local().to_string());
}

TEST(GoAway, a_call_that_begins_while_the_new_session_is_sought_is_not_lost) {
  Pair pair;
  Client client(pair.loop, pair.options());
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  pair.first->sessions.front()->go_away({seconds(30), {}, "maintenance"});
  ASSERT_TRUE(pair.loop.run_until([&] { return client.connection->attempts() == 2; }));
  client.busy = true;
  ASSERT_TRUE(pair.loop.run_until([&] {
    return !pair.second->sessions.empty() && pair.second->sessions.front()->session.closed();
  }));
  EXPECT_EQ(client.welcomes.size(), 1u);
  EXPECT_TRUE(client.closed.empty());
  EXPECT_TRUE(client.connection->send_sip(as_bytes("INVITE")));
  ASSERT_TRUE(pair.loop.run_until([&] { return client.sip.size() == 1; }));
  client.busy = false;
  EXPECT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 2; }));
}

TEST(GoAway, a_client_that_knows_no_other_leaves_and_comes_back) {
  Loop loop;
  TemporaryDirectory state;
  SessionServer server(loop, state);
  Client client(loop, options_for(server));
  client.connection->start();
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 1; }));
  server.sessions.front()->go_away({seconds(30), {}, "maintenance"});
  ASSERT_TRUE(loop.run_until([&] { return client.closed.size() == 1; }));
  EXPECT_EQ(client.closed.front().code, CloseCode::going_away);
  ASSERT_TRUE(client.closed.front().will_retry_in);
  EXPECT_GT(*client.closed.front().will_retry_in, Duration{});
  ASSERT_TRUE(loop.run_until([&] { return client.welcomes.size() == 2; }));
  EXPECT_TRUE(server.sessions.front()->session.closed());
}

TEST(GoAway, a_gateway_that_is_not_there_either_costs_nothing) {
  Pair pair;
  auto options = pair.options();
  Client client(pair.loop, options);
  client.connection->start();
  ASSERT_TRUE(pair.loop.run_until([&] { return client.welcomes.size() == 1; }));
  pair.second.reset();
  pair.first->sessions.front()->go_away({seconds(30), {}, "maintenance"});
  ASSERT_TRUE(pair.loop.run_until([&] { return client.connection->attempts() == 2; }));
  pair.loop.run_for(milliseconds(100));
  EXPECT_TRUE(client.connection->established());
  EXPECT_TRUE(client.closed.empty());
  EXPECT_TRUE(client.connection->send_sip(as_bytes("MESSAGE")));
  EXPECT_TRUE(pair.loop.run_until([&] { return client.sip.size() == 1; }));
}

}  // namespace
}  // namespace isthmus::net::test
