#include "quic/link_core.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/limits.hpp"
#include "unit/quic/quic_world.hpp"

namespace isthmus::test {
namespace {

using quic::LinkCore;
using wire::CloseCode;

std::string message_number(int number, std::size_t size = 700) {
  std::string text = std::to_string(number) + " ";
  text.resize(size, 'x');
  return text;
}

TEST(LinkCore, reliable_frames_and_media_cross_both_ways) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  client->core->send_reliable(0, as_bytes("hello"));
  client->core->send_media(16, as_bytes("\x80 rtp up"));
  ASSERT_TRUE(world.run([&heard = server->heard] { return heard.reliable.size() == 1; }));
  server->core->send_reliable(1, as_bytes("SIP/2.0 200 OK"));
  server->core->send_media(18, as_bytes("\x80 rtp down"));
  ASSERT_TRUE(world.run([&heard = client->heard] { return heard.reliable.size() == 1; }));
  EXPECT_EQ(server->heard.reliable[0], std::pair(wire::Channel{0}, std::string("hello")));
  EXPECT_EQ(client->heard.reliable[0], std::pair(wire::Channel{1}, std::string("SIP/2.0 200 OK")));
  ASSERT_EQ(server->heard.media.size(), 1u);
  EXPECT_EQ(server->heard.media[0].second, "\x80 rtp up");
  ASSERT_EQ(client->heard.media.size(), 1u);
  EXPECT_EQ(client->heard.media[0], std::pair(wire::Channel{18}, std::string("\x80 rtp down")));
}

TEST(LinkCore, both_ends_log_the_same_keys_of_media_if_they_log_any) {
  std::set<std::string> of_client, of_server;
  QuicWorld::Options options;
  options.client_logs.media = [&](std::string_view line) { of_client.emplace(line); };
  options.server_logs.media = [&](std::string_view line) { of_server.emplace(line); };
  QuicWorld world(options);
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(of_client, of_server);
  ASSERT_EQ(of_client.size(), 2u);
  for (const std::uint32_t id : {client->core->media_id(), server->core->media_id()}) {
    Bytes ssrc;
    Writer(ssrc).u32(id);
    const std::string begin = "SRTP " + to_hex(ssrc) + " AEAD_AES_128_GCM ";
    EXPECT_TRUE(std::ranges::any_of(of_client, [&](auto& l) { return l.starts_with(begin); }));
  }
}

TEST(LinkCore, no_connection_greases_the_bit_that_tells_quic_from_media) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {  // ngtcp2 tosses a coin for each
    QuicWorld::Options options;
    options.seed = seed;
    QuicWorld world(options);
    world.on_sent = [](const QuicWorld::InFlight& d) {
      EXPECT_EQ(d.bytes[0] & 0x40, 0x40);
      return true;
    };
    const auto [client, server] = world.connect();
    ASSERT_NE(server, nullptr);
    client->core->send_reliable(0, as_bytes("a short packet"));
    world.run_for(milliseconds(200));
  }
}

TEST(LinkCore, every_reliable_frame_arrives_in_order_through_loss_and_reordering) {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u, 5u}) {
    QuicWorld::Options options;
    options.seed = seed;
    options.loss = 0.2;
    options.jitter = milliseconds(60);
    QuicWorld world(options);
    const auto [client, server] = world.connect();
    ASSERT_NE(server, nullptr) << "seed " << seed;
    constexpr int kFrames = 60;
    for (int i = 0; i < kFrames; ++i) {
      client->core->send_reliable(1, as_bytes(message_number(i)));
      server->core->send_reliable(1, as_bytes(message_number(i, i == 30 ? 65'000 : 300)));
      world.run_for(milliseconds(15));
    }
    ASSERT_TRUE(world.run(
        [&up = server->heard, &down = client->heard] {
          return up.reliable.size() == kFrames && down.reliable.size() == kFrames;
        },
        seconds(60)))
        << "seed " << seed << ": " << server->heard.reliable.size() << ", "
        << client->heard.reliable.size();
    for (int i = 0; i < kFrames; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(server->heard.reliable[at].second, message_number(i));
      EXPECT_EQ(client->heard.reliable[at].second, message_number(i, i == 30 ? 65'000 : 300));
    }
  }
}

TEST(LinkCore, media_is_not_held_back_by_lost_reliable_frames) {
  QuicWorld world;
  const auto ends = world.connect();
  QuicWorld::Client* const client = ends.first;
  QuicWorld::Server* const server = ends.second;
  ASSERT_NE(server, nullptr);
  world.run_for(seconds(1));
  world.on_sent = [](const QuicWorld::InFlight& d) {  // QUIC of the client is lost, media is not
    return !d.to_server || quic::kind_of(d.bytes) == quic::DatagramKind::media;
  };
  client->core->send_reliable(1, as_bytes("stuck"));
  for (int i = 0; i < 10; ++i) {
    client->core->send_media(16, as_bytes("\x80packet"));
    world.run_for(milliseconds(20));
  }
  world.run_for(milliseconds(20));
  EXPECT_EQ(server->heard.media.size(), 10u);
  EXPECT_TRUE(server->heard.reliable.empty());
  world.on_sent = nullptr;
  EXPECT_TRUE(world.run([&] { return server->heard.reliable.size() == 1; }));
}

TEST(LinkCore, frames_ready_together_share_one_media_packet_of_28_bytes_overhead) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  std::vector<std::size_t> sizes;
  world.on_sent = [&sizes](const QuicWorld::InFlight& d) {
    if (quic::kind_of(d.bytes) == quic::DatagramKind::media) sizes.push_back(d.bytes.size());
    return true;
  };
  const std::string packet(172, '\x80');
  client->core->send_media(16, as_bytes(packet));
  world.flush();
  client->core->send_media(16, as_bytes(packet));
  client->core->send_media(18, as_bytes(packet));
  world.flush();
  ASSERT_EQ(sizes.size(), 2u);
  EXPECT_EQ(sizes[0], 172u + 2 + 28);
  EXPECT_EQ(sizes[1], 2 * (172u + 2) + 1 + 28);  // the first frame's length takes a byte more
  world.run_for(milliseconds(50));
  EXPECT_EQ(server->heard.media.size(), 3u);
}

TEST(LinkCore, a_replayed_media_packet_is_delivered_once) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  std::optional<QuicWorld::InFlight> seen;
  world.on_sent = [&seen](const QuicWorld::InFlight& d) {
    if (quic::kind_of(d.bytes) == quic::DatagramKind::media) seen = d;
    return true;
  };
  client->core->send_media(16, as_bytes("\x80once"));
  world.run_for(milliseconds(50));
  ASSERT_TRUE(seen);
  ASSERT_EQ(server->heard.media.size(), 1u);
  seen->from.port = 666;  // nor does it move the address
  world.put(*seen);
  world.run_for(milliseconds(50));
  EXPECT_EQ(server->heard.media.size(), 1u);
  EXPECT_EQ(server->core->counters().media_replayed, 1u);
  EXPECT_EQ(server->core->media_path().remote, client->outside);
}

TEST(LinkCore, a_forged_media_packet_is_dropped_and_moves_nothing) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  world.on_sent = [&world, done = false](const QuicWorld::InFlight& d) mutable {
    if (quic::kind_of(d.bytes) == quic::DatagramKind::media && !done) {
      done = true;
      QuicWorld::InFlight forged = d;
      forged.bytes[14] ^= 1;
      forged.from.port = 666;
      world.put(forged);
      return false;
    }
    return true;
  };
  client->core->send_media(16, as_bytes("\x80tampered with"));
  world.run_for(milliseconds(50));
  EXPECT_TRUE(server->heard.media.empty());
  EXPECT_EQ(server->core->counters().media_forged, 1u);
  EXPECT_EQ(server->core->media_path().remote, client->outside);
  EXPECT_EQ(server->heard.closed, 0);
}

TEST(LinkCore, media_follows_a_rebinding_with_the_next_packet) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  client->core->send_media(16, as_bytes("\x80one"));
  world.run_for(milliseconds(50));
  world.rebind(*client);
  client->core->send_media(16, as_bytes("\x80two"));
  world.run_for(milliseconds(20));
  EXPECT_EQ(server->heard.media.size(), 2u);
  EXPECT_EQ(server->core->media_path().remote, client->outside);
  server->core->send_media(18, as_bytes("\x80"
                                        "answer"));
  world.run_for(milliseconds(50));
  ASSERT_EQ(client->heard.media.size(), 1u);
  EXPECT_EQ(server->core->counters().address_moves, 1u);
}

TEST(LinkCore, an_older_packet_from_the_old_address_does_not_move_media_back) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  std::vector<QuicWorld::InFlight> held;
  world.on_sent = [&held](const QuicWorld::InFlight& d) {
    if (quic::kind_of(d.bytes) != quic::DatagramKind::media || !held.empty()) return true;
    held.push_back(d);
    return false;
  };
  client->core->send_media(16, as_bytes("\x80late"));
  world.flush();
  world.rebind(*client);
  client->core->send_media(16, as_bytes("\x80new"));
  world.run_for(milliseconds(50));
  ASSERT_EQ(held.size(), 1u);
  world.put(held[0]);
  world.run_for(milliseconds(50));
  EXPECT_EQ(server->heard.media.size(), 2u);                      // it is delivered,
  EXPECT_EQ(server->core->media_path().remote, client->outside);  // and moves nothing
}

TEST(LinkCore, signalling_goes_on_after_a_rebinding) {
  QuicWorld world;
  const auto ends = world.connect();
  QuicWorld::Client* const client = ends.first;
  QuicWorld::Server* const server = ends.second;
  ASSERT_NE(server, nullptr);
  world.run_for(seconds(1));
  world.rebind(*client);
  client->core->send_reliable(0, as_bytes("ping"));
  ASSERT_TRUE(world.run([&] { return server->heard.reliable.size() == 1; }));
  server->core->send_reliable(0, as_bytes("pong"));
  ASSERT_TRUE(world.run([&] { return client->heard.reliable.size() == 1; }));
  EXPECT_EQ(server->core->media_path().remote, client->outside);
  EXPECT_EQ(server->heard.closed + client->heard.closed, 0);
}

TEST(LinkCore, a_client_moves_to_another_socket) {
  QuicWorld world;
  const auto ends = world.connect();
  QuicWorld::Client* const client = ends.first;
  QuicWorld::Server* const server = ends.second;
  ASSERT_NE(server, nullptr);
  world.run_for(seconds(1));
  client->inside.port += 1000;
  world.rebind(*client);
  ASSERT_TRUE(client->core->migrate({client->inside, world.gateway()}, world.now()));
  client->core->send_media(16, as_bytes("\x80moved"));
  client->core->send_reliable(0, as_bytes("still here"));
  ASSERT_TRUE(world.run([&] { return server->heard.reliable.size() == 1; }));
  EXPECT_EQ(server->heard.media.size(), 1u);
  server->core->send_reliable(0, as_bytes("welcome back"));
  EXPECT_TRUE(world.run([&] { return client->heard.reliable.size() == 1; }));
}

TEST(LinkCore, close_lets_the_last_frames_out_and_says_why) {
  QuicWorld::Options options;
  options.loss = 0.3;
  options.seed = 7;
  QuicWorld world(options);
  const auto ends = world.connect();
  QuicWorld::Client* const client = ends.first;
  QuicWorld::Server* const server = ends.second;
  ASSERT_NE(server, nullptr);
  std::vector<std::string> last;
  server->heard.then = [&, s = server] { last.push_back(s->heard.reliable.back().second); };
  client->core->send_reliable(0, as_bytes("the last words"));
  client->core->close(CloseCode::unauthorized, "wrong password", world.now());
  client->core->send_reliable(0, as_bytes("not sent any more"));
  world.loss = 0;
  ASSERT_TRUE(world.run([&] { return client->heard.closed == 1 && server->heard.closed == 1; }));
  EXPECT_EQ(last, std::vector<std::string>{"the last words"});
  EXPECT_EQ(server->heard.close_code, CloseCode::unauthorized);
  EXPECT_EQ(server->heard.close_reason, "wrong password");
  EXPECT_EQ(client->heard.close_code, CloseCode::unauthorized);
}

TEST(LinkCore, close_toward_a_dead_peer_ends_within_its_limit) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  world.run_for(seconds(1));
  world.loss = 1;
  client->core->send_reliable(0, as_bytes("into the void"));
  client->core->close(CloseCode::normal, "done", world.now());
  const Instant began = world.now();
  ASSERT_TRUE(world.run([&, c = client] { return c->heard.closed == 1; }));
  EXPECT_LE(world.now() - began, limits::kLinkCloseLife + milliseconds(10));
}

TEST(LinkCore, a_peer_that_never_acknowledges_ends_the_link_with_too_slow) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  world.run_for(seconds(1));
  world.loss = 1;
  const std::string frame = message_number(0, 60'000);
  for (int i = 0; i < 80 && client->heard.closed == 0; ++i) {
    client->core->send_reliable(1, as_bytes(frame));
  }
  EXPECT_EQ(client->heard.closed, 1);
  EXPECT_EQ(client->heard.close_code, CloseCode::too_slow);
}

TEST(LinkCore, a_certificate_that_is_not_trusted_ends_the_handshake_with_its_reason) {
  QuicWorld::Options options;
  options.verify = [](std::span<const ByteView> chain) {
    return std::optional<std::string>("chain of " + std::to_string(chain.size()) + " not liked");
  };
  QuicWorld world(options);
  QuicWorld::Client& client = world.add_client();
  ASSERT_TRUE(world.run([&] { return client.heard.closed == 1; }));
  EXPECT_EQ(client.heard.ready, 0);
  EXPECT_EQ(client.heard.close_code, CloseCode::forbidden);
  EXPECT_EQ(client.heard.close_reason, "chain of 1 not liked");
  EXPECT_TRUE(world.run([&] { return world.servers().empty(); }));
}

TEST(LinkCore, no_answer_ends_the_handshake_within_five_seconds) {
  QuicWorld world;
  world.loss = 1;
  QuicWorld::Client& client = world.add_client();
  const Instant began = world.now();
  ASSERT_TRUE(world.run([&] { return client.heard.closed == 1; }));
  EXPECT_EQ(client.heard.close_code, CloseCode::timeout);
  EXPECT_LE(world.now() - began, limits::kUnauthenticatedLife + milliseconds(10));
}

TEST(LinkCore, garbage_on_the_socket_harms_nothing) {
  QuicWorld world;
  const auto ends = world.connect();
  QuicWorld::Client* const client = ends.first;
  QuicWorld::Server* const server = ends.second;
  ASSERT_NE(server, nullptr);
  SeededRandom random(11);
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes(random.below(1500));
    random.fill(bytes);
    const bool up = random.below(2) == 0;
    world.put({up, up ? client->outside : world.gateway(), up ? world.gateway() : client->outside,
               std::move(bytes)});
    if (i % 50 == 0) world.run_for(milliseconds(5));
  }
  world.run_for(seconds(1));
  client->core->send_reliable(1, as_bytes("alive"));
  ASSERT_TRUE(world.run([&] { return server->heard.reliable.size() == 1; }));
  EXPECT_EQ(client->heard.closed + server->heard.closed, 0);
}

TEST(LinkCore, media_larger_than_the_path_is_dropped_and_counted) {
  QuicWorld world;
  const auto [client, server] = world.connect();
  ASSERT_NE(server, nullptr);
  client->core->send_media(16, as_bytes(std::string(1500, '\x80')));
  EXPECT_EQ(client->core->counters().media_too_large, 1u);
  world.run_for(seconds(2));  // the path's MTU is found meanwhile
  client->core->send_media(16, as_bytes(std::string(1300, '\x80')));
  world.run_for(milliseconds(50));
  EXPECT_EQ(server->heard.media.size(), 1u);
}

}  // namespace
}  // namespace isthmus::test
