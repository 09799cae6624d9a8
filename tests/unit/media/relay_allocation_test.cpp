// The hot path must not allocate. A program of its own, because it replaces operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "media/relay.hpp"
#include "unit/media/media_support.hpp"
#include "unit/transport/udp_peer.hpp"

namespace {
bool counting = false;
std::size_t allocations = 0;
}  // namespace

// Not inline: GCC would take free() for a mismatch with the new of its caller.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace isthmus::media {
namespace {

class CountingLink final : public MediaLink {
 public:
  void send_media(std::uint32_t, ByteView) override { ++frames; }
  std::size_t frames = 0;
};

TEST(RelayAllocation, the_counter_sees_allocations) {
  allocations = 0;
  counting = true;
  void* memory = ::operator new(1);
  counting = false;
  ::operator delete(memory);
  EXPECT_EQ(1u, allocations);
}

TEST(RelayAllocation, a_thousand_packets_each_way_cost_no_allocation) {
  boost::asio::io_context io;
  SeededRandom random(1);
  RelayConfig config;
  config.bind_v4 = test::own_loopback();
  Relay relay(io, config, random);
  CountingLink link;
  relay.add_session(1, link);
  const auto net = relay.open_network(false), client = relay.open_link(1);
  ASSERT_TRUE(net);
  ASSERT_TRUE(client);
  test::UdpPeer peer;
  call::RemoteMedia to_peer, to_link;
  to_peer.address = peer.local().address;
  to_peer.port = peer.local().port;
  to_link.port = 40;
  relay.set_remote(net->id, to_peer);
  relay.set_remote(client->id, to_link);
  relay.join(net->id, client->id);

  const Endpoint us{net->address, net->port};
  const auto round = [&](std::uint16_t sequence) {
    const Bytes packet = test::rtp_packet(sequence);
    peer.send(us, packet);
    const auto before = link.frames;
    counting = true;
    relay.on_link_media(1, client->port, packet, std::chrono::steady_clock::now());
    while (link.frames == before) {
      io.restart();
      io.run_one_for(seconds(1));
    }
    counting = false;
    EXPECT_TRUE(peer.take());
  };
  for (std::uint16_t i = 0; i < 10; ++i) round(i);  // Asio fills its caches
  allocations = 0;
  for (std::uint16_t i = 10; i < 1010; ++i) round(i);
  EXPECT_EQ(0u, allocations);
  EXPECT_EQ(1010u, link.frames);
}

/// Where digits are converted, packets are numbered anew once events were taken out.
TEST(RelayAllocation, a_stream_whose_events_are_converted_costs_none_either) {
  boost::asio::io_context io;
  SeededRandom random(1);
  RelayConfig config;
  config.bind_v4 = test::own_loopback();
  Relay relay(io, config, random);
  CountingLink link, other;
  relay.add_session(1, link);
  relay.add_session(2, other);
  const auto from = relay.open_link(1), to = relay.open_link(2);
  ASSERT_TRUE(from);
  ASSERT_TRUE(to);
  call::RemoteMedia remote;
  remote.port = 40;
  remote.events.taken.set(101);
  remote.events.call = 1;
  relay.join(from->id, to->id);
  relay.set_remote(to->id, remote);
  relay.set_remote(from->id, remote);
  std::vector<Bytes> packets;
  for (std::uint16_t i = 0; i < 1000; ++i) {
    const std::uint8_t type = i % 50 < 5 ? 101 : 0;
    packets.push_back(test::rtp_packet(i, 0x1111, type));
  }
  allocations = 0;
  counting = true;
  for (const Bytes& packet : packets)
    relay.on_link_media(1, from->port, packet, std::chrono::steady_clock::now());
  counting = false;
  EXPECT_EQ(900u, other.frames);
  EXPECT_EQ(100u, relay.counters().event_packets);
  EXPECT_LE(allocations, 12u) << "those of the few digits that were told";
}

}  // namespace
}  // namespace isthmus::media
