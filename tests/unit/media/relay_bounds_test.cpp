// What the relay refuses, runs out of, and gives back.
#include <functional>
#include <set>

#include "media/relay.hpp"
#include "unit/media/relay_fixture.hpp"

namespace isthmus::media {
namespace {

using test::open_descriptors;
using test::run_until;
using test::settle;
using test::UdpPeer;

class RelayBoundsTest : public test::RelayFixture {};

TEST_F(RelayBoundsTest, an_exhausted_range_is_an_error_and_recovers) {
  start();
  std::vector<call::LocalMedia> open;
  for (int i = 0; i < 10; ++i) open.push_back(network());
  EXPECT_EQ(call::MediaError::ports_exhausted, relay->open_network(false).error());
  EXPECT_EQ(10u, relay->open_endpoints());
  relay->close(open[3].id);
  relay->close(open[3].id);
  EXPECT_EQ(1u, relay->free_port_pairs());
  EXPECT_EQ(open[3].port, network().port);
  EXPECT_EQ(call::MediaError::ports_exhausted, relay->open_network(false).error());
}

TEST_F(RelayBoundsTest, a_freed_pair_is_taken_last) {
  start();
  const auto first = network();
  relay->close(first.id);
  for (int i = 0; i < 9; ++i) EXPECT_NE(first.port, network().port);
  EXPECT_EQ(first.port, network().port);
}

TEST_F(RelayBoundsTest, pairs_that_somebody_else_holds_are_passed_over) {
  start();
  const std::string address = config.bind_v4.to_string();
  UdpPeer half(address, 30003), other_half(address, 30008);
  std::set<std::uint16_t> ports;
  for (int i = 0; i < 8; ++i) ports.insert(network().port);
  EXPECT_EQ(8u, ports.size());
  EXPECT_EQ(0u, ports.count(30002));
  EXPECT_EQ(0u, ports.count(30008));
  EXPECT_EQ(call::MediaError::ports_exhausted, relay->open_network(false).error());
  EXPECT_EQ(2u, relay->free_port_pairs()) << "they may come free later";
}

TEST_F(RelayBoundsTest, an_address_that_is_not_ours_is_a_socket_error) {
  config.bind_v4 = *IpAddress::parse("192.0.2.1");
  start();
  EXPECT_EQ(call::MediaError::socket_failed, relay->open_network(false).error());
  EXPECT_EQ(0u, relay->open_endpoints());
  EXPECT_EQ(10u, relay->free_port_pairs());
}

TEST_F(RelayBoundsTest, every_socket_is_closed_with_its_stream) {
  start();
  const auto before = open_descriptors();
  for (int round = 0; round < 3; ++round) {
    std::vector<call::MediaEndpointId> ids;
    for (int i = 0; i < 10; ++i) ids.push_back(network().id);
    EXPECT_EQ(before + 20, open_descriptors());
    for (const auto id : ids) relay->close(id);
    EXPECT_EQ(before, open_descriptors());
    settle(io);
  }
  network();
  relay.reset();
  EXPECT_EQ(before, open_descriptors());
}

TEST_F(RelayBoundsTest, channels_of_a_session_run_out_alone_and_freed_ones_come_last) {
  start();
  std::vector<call::LocalMedia> open;
  std::set<std::uint16_t> channels_seen;
  for (std::size_t i = 0; i < limits::kChannelsPerSession / 2; ++i) {
    open.push_back(channels());
    channels_seen.insert(open.back().port);
  }
  EXPECT_EQ(open.size(), channels_seen.size());
  EXPECT_EQ(call::MediaError::channels_exhausted, relay->open_link(kSession).error());
  channels(kOtherSession);
  relay->close(open[5].id);
  relay->close(open[9].id);
  EXPECT_EQ(open[5].port, channels().port);
  relay->close(open[2].id);
  EXPECT_EQ(open[9].port, channels().port);
  EXPECT_EQ(open[2].port, channels().port);
}

TEST_F(RelayBoundsTest, an_id_never_names_a_later_stream) {
  start();
  const auto first = network();
  relay->close(first.id);
  const auto second = network();
  EXPECT_NE(first.id, second.id);
  relay->close(first.id);
  relay->join(first.id, second.id);
  relay->set_remote(first.id, on_channel(40));
  EXPECT_EQ(1u, relay->open_endpoints());
  EXPECT_EQ(0u, relay->statistics(first.id).packets);
  EXPECT_EQ(std::nullopt, relay->idle_ms(first.id));
  relay->close(0);
  relay->close(~call::MediaEndpointId{0});
  relay->join(0, 0);
  EXPECT_EQ(1u, relay->open_endpoints());
}

TEST_F(RelayBoundsTest, a_client_cannot_have_media_sent_on_control_or_sip_channels) {
  start();
  UdpPeer peer;
  const auto net = network(), client = channels();
  relay->set_remote(net.id, at(peer.local()));
  relay->join(net.id, client.id);
  for (const std::uint16_t channel : std::initializer_list<std::uint16_t>{0, 1, 15, 2000}) {
    relay->set_remote(client.id, on_channel(channel));
    from_network(peer, rtp_of(net), test::rtp_packet(1));
  }
  auto remote = on_channel(40);
  remote.rtcp_port = 1;
  relay->set_remote(client.id, remote);
  UdpPeer control;
  auto remote_net = at(peer.local());
  remote_net.rtcp_port = control.local().port;
  relay->set_remote(net.id, remote_net);
  from_network(control, rtcp_of(net), rtcp());
  remote.rtcp_port = 5000;
  relay->set_remote(client.id, remote);
  from_network(control, rtcp_of(net), rtcp());
  EXPECT_TRUE(link.frames.empty());
  EXPECT_EQ(6u, drops(DropReason::no_destination));
}

TEST_F(RelayBoundsTest, multicast_broadcast_and_unspecified_destinations_are_refused) {
  start();
  const auto net = network(), client = channels();
  relay->join(net.id, client.id);
  for (const char* address :
       {"224.0.0.1:4000", "239.1.1.1:4000", "255.255.255.255:4000", "0.0.0.0:4000", "[::1]:4000"}) {
    relay->set_remote(net.id, at(*Endpoint::parse(address)));
    from_link(client.port, test::rtp_packet(1));
  }
  EXPECT_EQ(5u, drops(DropReason::no_destination));
  EXPECT_EQ(0u, relay->counters().packets_out);
}

TEST_F(RelayBoundsTest, each_bad_packet_is_counted_once_under_its_reason) {
  start();
  UdpPeer peer, control;
  const auto net = network(), client = channels();
  auto remote = at(peer.local());
  remote.rtcp_port = control.local().port;
  relay->set_remote(net.id, remote);
  relay->set_remote(client.id, on_channel(40));
  const Bytes good = test::rtp_packet(1);
  Bytes version_one = good;
  version_one[0] = 0x40;
  const Bytes too_long(limits::kMediaFrameBytes + 1, 0x80);

  from_network(peer, rtp_of(net), good);  // not joined yet
  from_link(client.port, good);
  EXPECT_EQ(2u, drops(DropReason::no_peer));
  relay->join(net.id, client.id);
  from_network(peer, rtp_of(net), version_one);
  from_network(peer, rtp_of(net), ByteView(good).first(11));
  from_network(peer, rtp_of(net), ByteView());
  from_network(control, rtcp_of(net), good);
  from_link(client.port, as_bytes("hello"));
  from_link(client.port + 1U, good);
  EXPECT_EQ(6u, drops(DropReason::not_rtp));
  from_network(peer, rtp_of(net), too_long);
  from_link(client.port, too_long);
  EXPECT_EQ(2u, drops(DropReason::too_large));
  for (const std::uint32_t channel : {0U, 1U, 15U, client.port + 2U, 1040U, 0xffffffffU}) {
    from_link(channel, good);
  }
  EXPECT_EQ(6u, drops(DropReason::unknown_channel));
  from_link(client.port, good, 999);
  EXPECT_EQ(1u, drops(DropReason::unknown_session));

  EXPECT_EQ(17u, all_drops());
  EXPECT_EQ(relay->counters().packets_in, all_drops());
  EXPECT_EQ(0u, relay->counters().packets_out);
  EXPECT_EQ(6u, relay->statistics(net.id).dropped);
  EXPECT_EQ(4u, relay->statistics(client.id).dropped);
}

TEST_F(RelayBoundsTest, a_peer_that_refuses_media_harms_nobody) {
  start();
  UdpPeer peer;
  Endpoint dead;
  {
    UdpPeer gone;
    dead = gone.local();
  }
  const auto net = network(), client = channels();
  relay->set_remote(net.id, at(dead));
  relay->set_remote(client.id, on_channel(40));
  relay->join(net.id, client.id);
  for (std::uint16_t i = 0; i < 20; ++i) {
    from_link(client.port, test::rtp_packet(i));
    settle(io);
  }
  EXPECT_EQ(20u, relay->counters().packets_out);
  relay->set_remote(net.id, at(peer.local()));
  from_network(peer, rtp_of(net), test::rtp_packet(1));
  EXPECT_EQ(1u, link.frames.size());
}

/// A link that ends everything while a packet is being handed to it.
class ClosingLink final : public MediaLink {
 public:
  void send_media(std::uint32_t, ByteView) override {
    ++calls;
    on_send();
  }
  int calls = 0;
  std::function<void()> on_send;
};

TEST_F(RelayBoundsTest, streams_and_sessions_may_end_while_a_packet_passes_through) {
  start();
  UdpPeer peer;
  ClosingLink closing;
  relay->add_session(77, closing);
  const auto net = network(), client = channels(77);
  relay->set_remote(net.id, at(peer.local()));
  relay->set_remote(client.id, on_channel(40));
  relay->join(net.id, client.id);
  closing.on_send = [&] {
    relay->remove_session(77);
    relay->close(net.id);
    relay->close(client.id);
  };
  for (std::uint16_t i = 0; i < 20; ++i) peer.send(rtp_of(net), test::rtp_packet(i));
  ASSERT_TRUE(run_until(io, [&] { return closing.calls > 0; }));
  settle(io);
  EXPECT_EQ(1, closing.calls) << "nothing more of a closed stream passes";
  EXPECT_EQ(0u, relay->open_endpoints());
}

TEST_F(RelayBoundsTest, a_busy_stream_does_not_starve_another) {
  start();
  UdpPeer busy, quiet;
  const auto a = network(), b = network();
  const auto to_a = channels(), to_b = channels(kOtherSession);
  relay->set_remote(a.id, at(busy.local()));
  relay->set_remote(b.id, at(quiet.local()));
  relay->set_remote(to_a.id, on_channel(40));
  relay->set_remote(to_b.id, on_channel(50));
  relay->join(a.id, to_a.id);
  relay->join(b.id, to_b.id);
  constexpr std::uint16_t kBurst = 250;
  for (std::uint16_t i = 0; i < kBurst; ++i) busy.send(rtp_of(a), test::rtp_packet(i));
  quiet.send(rtp_of(b), test::rtp_packet(1));
  std::size_t passed_before = 0;
  ASSERT_TRUE(run_until(io, [&] {
    if (other_link.frames.empty()) passed_before = link.frames.size();
    return link.frames.size() == kBurst && !other_link.frames.empty();
  }));
  EXPECT_LE(passed_before,
            limits::kMediaBatchPackets * static_cast<std::size_t>(limits::kMediaBatchesPerTurn));
}

}  // namespace
}  // namespace isthmus::media
