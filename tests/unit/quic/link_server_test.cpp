#include "quic/link_server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "unit/quic/quic_world.hpp"

namespace isthmus::test {
namespace {

using wire::CloseCode;

/// The first datagram that a client sends.
Bytes first_datagram(QuicWorld& world) {
  Bytes first;
  world.on_sent = [&first](const QuicWorld::InFlight& d) {
    if (first.empty()) first = d.bytes;
    return false;
  };
  world.add_client();
  world.flush();
  world.on_sent = nullptr;
  return first;
}

TEST(LinkServer, many_clients_share_one_socket) {
  QuicWorld world;
  std::vector<QuicWorld::Client*> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(&world.add_client());
  ASSERT_TRUE(world.run([&] {
    return world.servers().size() == 20 &&
           std::ranges::all_of(world.servers(), [](auto& s) { return s.second->heard.ready == 1; });
  }));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i]->core->send_reliable(0, as_bytes("client " + std::to_string(i)));
  }
  world.run_for(seconds(1));
  std::set<std::string> heard;
  for (const auto& [number, server] : world.servers()) {
    ASSERT_EQ(server->heard.reliable.size(), 1u);
    heard.insert(server->heard.reliable[0].second);
  }
  EXPECT_EQ(heard.size(), 20u);
}

TEST(LinkServer, connection_ids_and_media_ids_carry_the_shard) {
  QuicWorld::Options options;
  options.server.shard = 0x5a;
  QuicWorld world(options);
  std::vector<Bytes> short_packets;
  world.on_sent = [&](const QuicWorld::InFlight& d) {
    if (d.to_server && (d.bytes[0] & 0xc0) == 0x40) short_packets.push_back(d.bytes);
    return true;
  };
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  client->core->send_reliable(0, as_bytes("x"));
  world.run_for(milliseconds(100));
  ASSERT_FALSE(short_packets.empty());
  for (const Bytes& packet : short_packets) EXPECT_EQ(packet[1], 0x5a);
  EXPECT_EQ(server->core->media_id() >> 24, 0x5au);
}

TEST(LinkServer, above_the_rate_clients_are_asked_to_show_their_address) {
  QuicWorld::Options options;
  options.server.retry_above = 2;
  QuicWorld world(options);
  std::vector<QuicWorld::Client*> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(&world.add_client());
  ASSERT_TRUE(world.run([&] {
    return std::ranges::all_of(clients, [](const auto* c) { return c->heard.ready == 1; });
  }));
  EXPECT_EQ(world.server().counters().retries, 4u);
  EXPECT_EQ(world.server().counters().accepted, 6u);
  ASSERT_TRUE(world.run([&] {
    return std::ranges::all_of(world.servers(), [](auto& s) { return s.second->heard.ready == 1; });
  }));
}

TEST(LinkServer, a_retry_token_is_good_for_its_address_alone) {
  QuicWorld::Options options;
  options.server.retry_above = 0;
  QuicWorld world(options);
  bool moved = false;
  std::optional<QuicWorld::InFlight> with_token;
  world.on_sent = [&](const QuicWorld::InFlight& d) {
    if (d.to_server && world.server().counters().retries == 1 && !moved) {
      moved = true;
      QuicWorld::InFlight elsewhere = d;
      elsewhere.from.address = IpAddress::v4(0xC6336407);
      world.put(elsewhere);
      return false;
    }
    return true;
  };
  world.add_client();
  world.run_for(milliseconds(100));
  EXPECT_TRUE(moved);
  EXPECT_EQ(world.server().counters().bad_tokens, 1u);
  EXPECT_EQ(world.server().counters().accepted, 0u);
}

TEST(LinkServer, an_unknown_version_is_answered_with_the_versions_we_speak) {
  QuicWorld world;
  Bytes datagram = first_datagram(world);
  ASSERT_GE(datagram.size(), 1200u);
  datagram[1] = 0x1a;
  datagram[2] = 0x2a;
  Bytes answer;
  world.on_sent = [&answer](const QuicWorld::InFlight& d) {
    if (!d.to_server) answer = d.bytes;
    return true;
  };
  const QuicWorld::InFlight large{true, {IpAddress::v4(0x01020304), 7}, world.gateway(), datagram};
  world.put(large);
  world.run_for(milliseconds(10));
  EXPECT_EQ(world.server().counters().version_negotiations, 1u);
  ASSERT_GE(answer.size(), 11u);
  EXPECT_EQ(to_hex(ByteView(answer).subspan(1, 4)), "00000000");
  EXPECT_EQ(to_hex(ByteView(answer).last(4)), "00000001");

  QuicWorld::InFlight small = large;  // a small one is not worth an answer (RFC 9000 §6.1)
  small.bytes.resize(600);
  world.put(small);
  world.run_for(milliseconds(10));
  EXPECT_EQ(world.server().counters().version_negotiations, 1u);
}

TEST(LinkServer, a_forgotten_connection_is_reset_and_the_client_knows_at_once) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  world.run_for(seconds(1));
  const std::uint64_t number = world.servers().begin()->first;
  world.server().forget(number);  // as a gateway that crashed and came back
  world.servers().clear();
  client->core->send_reliable(0, as_bytes("anybody there?"));
  ASSERT_TRUE(world.run([&, c = client] { return c->heard.closed == 1; }, seconds(1)));
  EXPECT_EQ(client->heard.close_code, CloseCode::going_away);
  EXPECT_EQ(world.server().counters().stateless_resets, 1u);
}

TEST(LinkServer, nobody_gets_more_than_three_times_what_he_sent_before_he_is_known) {
  QuicWorld world;
  std::size_t sent = 0, got = 0;
  world.on_sent = [&](const QuicWorld::InFlight& d) {
    if (d.to_server) {
      if (sent > 0) return false;  // one datagram, and silence
      sent += d.bytes.size();
    } else {
      got += d.bytes.size();
    }
    return true;
  };
  world.add_client();
  world.run_for(seconds(8));
  EXPECT_GT(got, 0u);
  EXPECT_LE(got, 3 * sent);
  EXPECT_TRUE(world.servers().empty());  // and is forgotten
}

TEST(LinkServer, links_over_the_limit_are_refused) {
  QuicWorld::Options options;
  options.server.max_links = 1;
  QuicWorld world(options);
  const auto [first, server] = world.connect();
  ASSERT_NE(server, nullptr);
  QuicWorld::Client& second = world.add_client();
  ASSERT_TRUE(world.run([&] { return second.heard.closed == 1; }));
  EXPECT_EQ(second.heard.close_code, CloseCode::limit_exceeded);
  EXPECT_EQ(world.server().counters().refused, 1u);
  EXPECT_EQ(first->heard.closed, 0);
}

TEST(LinkServer, media_for_nobody_and_strange_bytes_are_counted) {
  QuicWorld world;
  const Endpoint stranger{IpAddress::v4(0x01020304), 7};
  Bytes media(40, 0);
  media[0] = 0x80;
  world.put({true, stranger, world.gateway(), media});
  world.put({true, stranger, world.gateway(), Bytes{0x00, 0x01}});  // STUN's range
  world.put({true, stranger, world.gateway(), Bytes(40, 22)});      // DTLS's
  world.run_for(milliseconds(10));
  EXPECT_EQ(world.server().counters().unknown_media, 1u);
  EXPECT_EQ(world.server().counters().malformed, 2u);
}

TEST(LinkServer, a_flood_of_first_packets_below_the_rate_leaves_nothing_behind) {
  QuicWorld world;
  Bytes datagram = first_datagram(world);
  world.on_sent = [](const QuicWorld::InFlight& d) { return !d.to_server; };  // it stays alone
  for (int i = 0; i < 50; ++i) {
    datagram[6] = static_cast<std::uint8_t>(i);  // another destination id: undecryptable
    world.put({true,
               {IpAddress::v4(0x01020304), static_cast<std::uint16_t>(1000 + i)},
               world.gateway(),
               datagram});
  }
  world.run_for(seconds(12));
  EXPECT_TRUE(world.servers().empty());
  EXPECT_EQ(world.server().links(), 0u);
}

}  // namespace
}  // namespace isthmus::test
