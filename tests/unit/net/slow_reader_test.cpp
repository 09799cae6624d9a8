// A client that does not read: TCP's buffers fill, and what may be lost is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "unit/net/net_support.hpp"
#include "unit/net/raw_client.hpp"

namespace isthmus::net::test {
namespace {

using wire::CloseCode;

TEST(SlowReader, loses_media_but_no_reliable_frame) {
  Loop loop;
  Server server(loop, false);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.join());
  Peer& peer = *server.peers.front();
  constexpr int kFrames = 800;
  const std::string filler(4000, 'f');
  const std::string rtp(172, 'r');
  for (int i = 0; i < kFrames; ++i) {
    peer.link->send_reliable(1, as_bytes(std::to_string(i) + " " + filler));
  }
  // Media goes on while the reliable backlog stands still, longer than its deadline.
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 100; ++i) peer.link->send_media(16, as_bytes(rtp));
    loop.run_for(milliseconds(20));
  }
  EXPECT_GT(peer.link->counters().media_dropped, 0u);
  EXPECT_FALSE(peer.closed);

  peer.link->close(CloseCode::normal, {});
  client.read(100'000);  // until the link ends
  int expected = 0;
  for (const std::string& message : client.messages) {
    if (message.front() != '\x01') continue;
    ASSERT_EQ(message.substr(1, message.find(' ') - 1), std::to_string(expected));
    ++expected;
  }
  EXPECT_EQ(expected, kFrames);
}

TEST(SlowReader, is_cut_when_the_reliable_queue_is_full) {
  Loop loop;
  Server server(loop, true);
  const auto good = connect(loop, server);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.join());
  Peer& peer = *server.peers.back();
  const std::string frame(60'000, 'f');
  // The queue's bound, and as much again for what TCP takes.
  for (int i = 0; i < 2000 && !peer.closed; ++i) {
    peer.link->send_reliable(1, as_bytes(frame));
    loop.run_for(milliseconds(1));
  }
  ASSERT_TRUE(loop.run_until([&] { return peer.closed.has_value(); }));
  EXPECT_EQ(*peer.closed, CloseCode::too_slow);
  EXPECT_THAT(peer.close_reason, testing::HasSubstr("too slowly"));
  good->link->send_reliable(1, as_bytes("still here"));
  ASSERT_TRUE(loop.run_until([&] { return good->reliable.size() == 1; }));
}

TEST(SlowReader, does_not_hold_up_a_close_for_ever) {
  Loop loop;
  Server server(loop, false);
  RawClient client(loop, server.listener->local());
  ASSERT_TRUE(client.join());
  Peer& peer = *server.peers.front();
  for (int i = 0; i < 60; ++i) peer.link->send_reliable(1, as_bytes(std::string(60'000, 'f')));
  peer.link->close(CloseCode::going_away, "restart");
  const Instant start = std::chrono::steady_clock::now();
  ASSERT_TRUE(loop.run_until([&] { return peer.closed.has_value(); }));
  EXPECT_EQ(*peer.closed, CloseCode::going_away);
  EXPECT_LT(std::chrono::steady_clock::now() - start, limits::kLinkCloseLife + seconds(1));
  EXPECT_EQ(server.listener->counters().open, 0u);
}

}  // namespace
}  // namespace isthmus::net::test
