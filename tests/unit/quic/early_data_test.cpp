#include <gnutls/gnutls.h>
#include <gtest/gtest.h>

#include <ctime>
#include <utility>

#include "quic/link_core.hpp"
#include "unit/quic/quic_world.hpp"
#include "wire/control_codec.hpp"

namespace isthmus::test {
namespace {

Bytes hello_with(wire::Credentials credentials) {
  wire::HelloInfo hello;
  hello.software = "test/1";
  hello.credentials = std::move(credentials);
  return wire::serialize_control(wire::to_message(hello));
}
Bytes resume_hello() {
  return hello_with(wire::ResumeCredentials{"token of the last Welcome", 7});
}

/// A world in which one client was connected, has tickets, and is gone.
class EarlyData : public ::testing::Test {
 protected:
  void meet(QuicWorld::Options options = {}) {
    world = std::make_unique<QuicWorld>(std::move(options));
    come_and_go();
  }
  void come_and_go() {
    const auto [client, server] = world->connect();
    ASSERT_NE(server, nullptr);
    world->run_for(seconds(1));
    client->core->close(wire::CloseCode::normal, "", world->now());
    ASSERT_TRUE(world->run([&] { return world->servers().empty(); }));
    world->run_for(seconds(1));
  }
  QuicWorld::Client& comes_back(const Bytes& early, bool expected = true) {
    QuicWorld::Client& client = world->add_client(world->tickets.take(""));
    EXPECT_EQ(client.core->send_early(early), expected);
    return client;
  }
  QuicWorld::Server* server() { return world->only_server(); }
  bool heard(std::size_t frames, Duration limit = seconds(5)) {
    return world->run(
        [&] { return server() != nullptr && server()->heard.reliable.size() == frames; }, limit);
  }
  bool handshake_done(QuicWorld::Client& client) {
    return world->run([&] { return client.heard.ready == 1 || client.heard.closed == 1; }) &&
           client.heard.ready == 1;
  }
  std::unique_ptr<QuicWorld> world;
};

TEST_F(EarlyData, a_hello_that_resumes_is_heard_and_answered_in_one_round_trip) {
  ASSERT_NO_FATAL_FAILURE(meet());  // 20 ms each way
  QuicWorld::Client& client = comes_back(resume_hello());
  ASSERT_TRUE(heard(1, milliseconds(21)));
  EXPECT_EQ(server()->heard.reliable[0].second, as_text(resume_hello()));
  EXPECT_EQ(server()->heard.ready, 1);
  server()->core->send_reliable(0, as_bytes("welcome"));
  server()->core->send_media(16, as_bytes("\x80 too soon"));
  const Instant asked = world->now();
  ASSERT_TRUE(handshake_done(client));
  EXPECT_EQ(world->now() - asked, milliseconds(20));
  EXPECT_TRUE(client.heard.reliable.empty()) << "nobody listens yet";
  client.core->release();
  ASSERT_TRUE(world->run([&] { return client.heard.reliable.size() == 1; }));
  EXPECT_EQ(world->now() - asked, milliseconds(20));
  EXPECT_EQ(client.heard.reliable[0].second, "welcome");
  EXPECT_EQ(server()->core->counters().early_hellos, 1u);
  EXPECT_EQ(server()->core->counters().media_early, 1u);
  EXPECT_EQ(client.core->counters().early_refused, 0u);

  world->introduce(client, *server());  // and from here on it is a link like others
  client.core->send_media(16, as_bytes("\x80 up"));
  client.core->send_reliable(1, as_bytes("sip"));
  ASSERT_TRUE(heard(2));
  EXPECT_EQ(server()->heard.media.size(), 1u);
  EXPECT_EQ(server()->heard.ready, 1);
}

TEST_F(EarlyData, without_a_ticket_the_hello_waits_for_the_handshake) {
  ASSERT_NO_FATAL_FAILURE(meet());
  QuicWorld::Client& client = world->add_client();
  EXPECT_FALSE(client.core->send_early(resume_hello()));
  ASSERT_TRUE(handshake_done(client));
  EXPECT_EQ(client.core->counters().early_hellos, 0u);
}

TEST_F(EarlyData, other_credentials_wait_for_the_handshake) {
  for (const wire::Credentials& credentials :
       {wire::Credentials(wire::PasswordCredentials{"user", "secret"}),
        wire::Credentials(wire::TokenCredentials{"bearer"})}) {
    ASSERT_NO_FATAL_FAILURE(meet());
    const Instant began = world->now();
    QuicWorld::Client& client = comes_back(hello_with(credentials));
    bool before_handshake = false;
    ASSERT_TRUE(world->run([&] {
      if (server() == nullptr) return false;
      before_handshake |= client.heard.ready == 0 && !server()->heard.reliable.empty();
      return server()->heard.reliable.size() == 1;
    }));
    EXPECT_FALSE(before_handshake);
    EXPECT_GE(world->now() - began, milliseconds(60));
    EXPECT_EQ(server()->core->counters().early_held, 1u);
    EXPECT_EQ(server()->core->counters().early_hellos, 0u);
  }
}

TEST_F(EarlyData, what_follows_the_hello_waits_for_the_handshake) {
  ASSERT_NO_FATAL_FAILURE(meet());
  QuicWorld::Client& client = comes_back(resume_hello());
  ASSERT_TRUE(client.core->send_early(as_bytes("a second frame")));
  ASSERT_TRUE(heard(1, milliseconds(21)));
  world->run_for(milliseconds(35));  // the client has its handshake, the gateway has not
  EXPECT_EQ(client.heard.ready, 1);
  EXPECT_EQ(server()->heard.reliable.size(), 1u);
  ASSERT_TRUE(heard(2));
  EXPECT_EQ(server()->heard.reliable[1].second, "a second frame");
}

TEST_F(EarlyData, a_first_flight_that_is_replayed_is_not_heard_again) {
  ASSERT_NO_FATAL_FAILURE(meet());
  std::vector<QuicWorld::InFlight> recorded;
  world->on_sent = [&](const QuicWorld::InFlight& d) {
    if (d.to_server && recorded.size() < 2) recorded.push_back(d);
    return true;
  };
  QuicWorld::Client& client = comes_back(resume_hello());
  ASSERT_TRUE(heard(1));
  world->on_sent = nullptr;
  ASSERT_TRUE(handshake_done(client));
  client.core->close(wire::CloseCode::normal, "", world->now());
  ASSERT_TRUE(world->run([&] { return world->servers().empty(); }));
  world->run_for(seconds(1));
  for (QuicWorld::InFlight& datagram : recorded) {
    datagram.from.port = 9;
    world->put(datagram);
  }
  world->run_for(milliseconds(100));
  EXPECT_EQ(world->server().replays(), 1u);
  ASSERT_NE(server(), nullptr);  // waits for a handshake that will not come
  EXPECT_EQ(server()->heard.ready, 0);
  EXPECT_TRUE(server()->heard.reliable.empty());
}

TEST_F(EarlyData, a_gateway_that_knows_no_such_ticket_gets_the_hello_after_the_handshake) {
  ASSERT_NO_FATAL_FAILURE(meet());
  world->restart_server();
  QuicWorld::Client& client = comes_back(resume_hello());
  ASSERT_TRUE(heard(1));
  world->run_for(seconds(1));
  EXPECT_EQ(server()->heard.reliable.size(), 1u);
  EXPECT_EQ(server()->heard.reliable[0].second, as_text(resume_hello()));
  EXPECT_EQ(server()->core->counters().early_hellos, 0u);
  EXPECT_EQ(client.core->counters().early_refused, 1u);
}

TEST_F(EarlyData, gateways_that_share_a_key_take_one_anothers_tickets) {
  QuicWorld::Options options;
  options.server.ticket_key = quic::ServerTickets::new_key();
  world = std::make_unique<QuicWorld>(options);
  auto other = world->make_server();  // older than the ticket: else it takes no early data with it
  ASSERT_NO_FATAL_FAILURE(come_and_go());
  world->restart_server(std::move(other));
  QuicWorld::Client& client = comes_back(resume_hello());
  ASSERT_TRUE(heard(1));
  EXPECT_EQ(server()->core->counters().early_hellos, 1u);
  EXPECT_EQ(client.core->counters().early_refused, 0u);
}

TEST_F(EarlyData, tickets_outlive_one_turn_of_their_key_and_not_many) {
  static std::time_t ahead = 0;
  ::gnutls_global_set_time_function([](std::time_t* out) {
    const std::time_t now = std::time(nullptr) + ahead;
    if (out != nullptr) *out = now;
    return now;
  });
  for (const auto& [hours, taken] : {std::pair(0, true), std::pair(24 * 7, false)}) {
    ahead = 0;
    ASSERT_NO_FATAL_FAILURE(meet());
    ahead = hours * 3600;
    QuicWorld::Client& client = comes_back(resume_hello());
    ASSERT_TRUE(heard(1)) << hours;
    ASSERT_TRUE(handshake_done(client));
    EXPECT_EQ(server()->core->counters().early_hellos, taken ? 1u : 0u) << hours;
    EXPECT_EQ(client.core->counters().early_refused, taken ? 0u : 1u) << hours;
  }
  ::gnutls_global_set_time_function(std::time);
}

TEST_F(EarlyData, parameters_that_cannot_be_read_cost_a_full_handshake) {
  ASSERT_NO_FATAL_FAILURE(meet());
  auto ticket = world->tickets.take("");
  ASSERT_TRUE(ticket);
  ticket->transport.resize(ticket->transport.size() / 2);  // as of another version of ourselves
  QuicWorld::Client& client = world->add_client(*ticket);
  EXPECT_FALSE(client.core->send_early(resume_hello()));
  EXPECT_TRUE(handshake_done(client)) << client.heard.close_reason;
}

TEST_F(EarlyData, every_early_hello_is_heard_once_through_loss_and_reordering) {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u}) {
    QuicWorld::Options options;
    options.seed = seed;
    options.jitter = milliseconds(15);
    ASSERT_NO_FATAL_FAILURE(meet(std::move(options)));
    world->loss = 0.3;
    comes_back(resume_hello());
    ASSERT_TRUE(heard(1, seconds(20))) << "seed " << seed;
    world->run_for(seconds(2));
    for (const auto& [number, one] : world->servers()) {
      EXPECT_EQ(one->heard.reliable.size(), 1u) << "seed " << seed;
    }
  }
}

TEST_F(EarlyData, a_gateway_without_it_gives_no_tickets) {
  QuicWorld::Options options;
  options.server.early_data = false;
  ASSERT_NO_FATAL_FAILURE(meet(std::move(options)));
  EXPECT_FALSE(world->tickets.take(""));
}

TEST_F(EarlyData, a_long_connection_gets_fresh_tickets_and_keys) {
  world = std::make_unique<QuicWorld>();
  const auto [client, server] = world->connect();
  ASSERT_NE(server, nullptr);
  world->run_for(seconds(1));
  ASSERT_TRUE(world->tickets.take(""));
  ASSERT_TRUE(world->tickets.take(""));
  ASSERT_FALSE(world->tickets.take(""));
  for (int minutes = 0; minutes < 65; ++minutes) {
    client->core->send_reliable(0, as_bytes("ping"));
    world->run_for(seconds(60));
  }
  EXPECT_TRUE(world->tickets.take(""));
  EXPECT_EQ(client->core->counters().key_updates, 1u);  // begun by the gateway
  EXPECT_EQ(server->core->counters().key_updates, 1u);
  EXPECT_EQ(server->heard.reliable.size(), 65u);
}

TEST(TicketBox, keeps_the_newest_tickets_of_the_places_used_last) {
  quic::TicketBox box;
  const auto ticket = [](std::uint8_t number) { return quic::Ticket{{number}, {}}; };
  for (std::uint8_t i = 0; i < 20; ++i) {
    box.put("always", ticket(i));
    box.put("place " + std::to_string(i), ticket(i));
  }
  EXPECT_EQ(box.take("always")->session[0], 19);
  EXPECT_EQ(box.take("always")->session[0], 18);
  EXPECT_FALSE(box.take("always"));
  EXPECT_FALSE(box.take("place 0"));
  EXPECT_TRUE(box.take("place 19"));
}

}  // namespace
}  // namespace isthmus::test
