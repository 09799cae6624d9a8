// What passes the relay, and how.
#include "media/relay.hpp"

#include "unit/media/relay_fixture.hpp"

namespace isthmus::media {
namespace {

using test::run_until;
using test::settle;
using test::UdpPeer;
using ::testing::ElementsAre;
using ::testing::Pair;

class RelayTest : public test::RelayFixture {
 protected:
  RelayTest() { start(); }
  /// A call between the link (client receives on channel 40) and `peer`.
  void call(const UdpPeer& peer) {
    net = network();
    client = channels();
    relay->set_remote(net.id, at(peer.local()));
    relay->set_remote(client.id, on_channel(40));
    relay->join(net.id, client.id);
  }
  call::LocalMedia net, client;
};

TEST_F(RelayTest, media_crosses_between_link_and_network_byte_for_byte) {
  UdpPeer peer;
  call(peer);
  EXPECT_EQ(0, net.port % 2);
  EXPECT_EQ(0, client.port % 2);
  EXPECT_GE(client.port, limits::kFirstMediaChannel);
  EXPECT_EQ("192.0.0.8", client.address.to_string());
  EXPECT_EQ(config.bind_v4, net.address);

  // CSRC, extension, padding, a payload type that nobody negotiated.
  Bytes odd =
      *from_hex("b1 ff 0001 00000002 00000003 00000004 bede0001 10aa0000 0102030405 000003");
  ASSERT_TRUE(rtp::RtpView::parse(odd));
  from_link(client.port, odd);
  EXPECT_EQ(text(odd), receive(peer));
  EXPECT_EQ(rtp_of(net), peer.from());
  EXPECT_EQ(transport::kExpeditedForwarding, peer.traffic_class());
  from_network(peer, rtp_of(net), odd);
  EXPECT_THAT(link.frames, ElementsAre(Pair(40u, odd)));
  EXPECT_EQ(0u, all_drops());
}

TEST_F(RelayTest, fax_crosses_where_the_description_says_udptl_and_from_its_source_only) {
  UdpPeer peer, stranger("127.0.0.2");
  call(peer);
  const Bytes fax = *from_hex("0001 06 c00180000080 00 00");
  from_network(peer, rtp_of(net), fax);
  EXPECT_EQ(1u, drops(DropReason::not_rtp));
  call::RemoteMedia remote = at(peer.local());
  remote.udptl = true;
  relay->set_remote(net.id, remote);
  call::RemoteMedia channel = on_channel(40);
  channel.udptl = true;
  relay->set_remote(client.id, channel);
  from_network(peer, rtp_of(net), fax);
  EXPECT_THAT(link.frames, ElementsAre(Pair(40u, fax)));
  from_link(client.port, fax);
  EXPECT_EQ(text(fax), receive(peer));
  from_network(stranger, rtp_of(net), fax);
  EXPECT_EQ(1u, drops(DropReason::wrong_source));
  from_network(peer, rtp_of(net), *from_hex("0001"));
  EXPECT_EQ(2u, drops(DropReason::not_rtp));
  EXPECT_EQ(1u, link.frames.size());
}

TEST_F(RelayTest, media_crosses_between_two_networks) {
  UdpPeer one, two("127.0.0.2");
  const auto a = network(), b = network();
  relay->set_remote(a.id, at(one.local()));
  relay->set_remote(b.id, at(two.local()));
  relay->join(a.id, b.id);
  from_network(one, rtp_of(a), test::rtp_packet(1));
  EXPECT_EQ(text(test::rtp_packet(1)), receive(two));
  EXPECT_EQ(rtp_of(b), two.from());
  from_network(two, rtp_of(b), test::rtp_packet(2));
  EXPECT_EQ(text(test::rtp_packet(2)), receive(one));
}

TEST_F(RelayTest, media_crosses_between_two_links) {
  const auto a = channels(), b = channels(kOtherSession);
  relay->set_remote(a.id, on_channel(100));
  relay->set_remote(b.id, on_channel(200));
  relay->join(a.id, b.id);
  from_link(a.port, test::rtp_packet(1));
  from_link(b.port, test::rtp_packet(2), kOtherSession);
  from_link(a.port + 1U, rtcp());
  EXPECT_THAT(other_link.frames, ElementsAre(Pair(200u, test::rtp_packet(1)), Pair(201u, rtcp())));
  EXPECT_THAT(link.frames, ElementsAre(Pair(100u, test::rtp_packet(2))));
}

TEST_F(RelayTest, rtcp_takes_the_odd_ports_and_channels) {
  UdpPeer peer, peer_control;
  call(peer);
  auto remote = at(peer.local());
  remote.rtcp_port = peer_control.local().port;
  relay->set_remote(net.id, remote);
  from_link(client.port + 1U, rtcp());
  EXPECT_EQ(text(rtcp()), receive(peer_control));
  EXPECT_EQ(rtcp_of(net), peer_control.from());
  from_network(peer_control, rtcp_of(net), rtcp(77));
  EXPECT_THAT(link.frames, ElementsAre(Pair(41u, rtcp(77))));
  EXPECT_EQ(std::nullopt, peer.take());
}

TEST_F(RelayTest, rtcp_mux_on_one_side_only_is_taken_apart_and_put_together) {
  UdpPeer peer;  // muxes
  call(peer);
  auto remote = at(peer.local());
  remote.rtcp_mux = true;
  relay->set_remote(net.id, remote);
  from_network(peer, rtp_of(net), rtcp());
  from_network(peer, rtp_of(net), test::rtp_packet(1));
  EXPECT_THAT(link.frames, ElementsAre(Pair(41u, rtcp()), Pair(40u, test::rtp_packet(1))));
  from_link(client.port + 1U, rtcp(77));
  EXPECT_EQ(text(rtcp(77)), receive(peer));
  EXPECT_EQ(rtp_of(net), peer.from());

  // Now the link muxes as well.
  auto muxed_link = on_channel(40);
  muxed_link.rtcp_mux = true;
  relay->set_remote(client.id, muxed_link);
  link.frames.clear();
  from_network(peer, rtp_of(net), rtcp());
  EXPECT_THAT(link.frames, ElementsAre(Pair(40u, rtcp())));
  from_link(client.port, rtcp(78));
  EXPECT_EQ(text(rtcp(78)), receive(peer));
}

TEST_F(RelayTest, without_mux_a_marked_packet_of_type_72_is_media) {
  UdpPeer peer;
  call(peer);
  const Bytes looks_like_sr = test::rtp_packet(1, 1, 72, true);
  ASSERT_TRUE(rtp::is_rtcp(looks_like_sr));
  from_network(peer, rtp_of(net), looks_like_sr);
  EXPECT_THAT(link.frames, ElementsAre(Pair(40u, looks_like_sr)));
}

TEST_F(RelayTest, media_behind_a_nat_is_learned_and_sent_back_to_where_it_came_from) {
  UdpPeer nat("127.0.0.2"), nat_control("127.0.0.2");
  net = network();
  client = channels();
  relay->set_remote(net.id, at(*Endpoint::parse("10.99.99.99:4000")));
  relay->set_remote(client.id, on_channel(40));
  relay->join(net.id, client.id);
  from_network(nat, rtp_of(net), test::rtp_packet(1));
  EXPECT_EQ(1u, drops(DropReason::unproven_source));
  from_network(nat, rtp_of(net), test::rtp_packet(2));
  EXPECT_THAT(link.frames, ElementsAre(Pair(40u, test::rtp_packet(2))));
  from_link(client.port, test::rtp_packet(9));
  EXPECT_EQ(text(test::rtp_packet(9)), receive(nat));
  from_network(nat_control, rtcp_of(net), rtcp());
  from_link(client.port + 1U, rtcp(5));
  EXPECT_EQ(text(rtcp(5)), receive(nat_control));
  EXPECT_EQ(nat.local().to_string(), relay->statistics(net.id).remote);
}

// Who has both kinds of address may write the one into its description that its SIP does not use.
TEST_F(RelayTest, media_of_who_names_an_ipv6_address_on_an_ipv4_leg_is_learned) {
  UdpPeer phone("127.0.0.2");
  net = network();
  client = channels();
  relay->set_remote(net.id, at(*Endpoint::parse("[2001:db8::1]:4000")));
  relay->set_remote(client.id, on_channel(40));
  relay->join(net.id, client.id);
  EXPECT_EQ(1u, relay->counters().unreachable_remotes);
  from_link(client.port, test::rtp_packet(8));
  EXPECT_EQ(1u, drops(DropReason::no_destination));
  from_network(phone, rtp_of(net), test::rtp_packet(1));
  from_network(phone, rtp_of(net), test::rtp_packet(2));
  EXPECT_THAT(link.frames, ElementsAre(Pair(40u, test::rtp_packet(2))));
  from_link(client.port, test::rtp_packet(9));
  EXPECT_EQ(text(test::rtp_packet(9)), receive(phone));
}

// The "RTP bleed" attack: packets to the ports of a call from elsewhere are answered with nothing.
TEST_F(RelayTest, rtp_bleed_gets_no_packet_out) {
  UdpPeer peer, attacker("127.0.0.66");
  call(peer);
  from_network(peer, rtp_of(net), test::rtp_packet(1));
  link.frames.clear();
  for (std::uint16_t i = 0; i < 200; ++i) {
    from_network(attacker, rtp_of(net), test::rtp_packet(i, 0x1111));
    from_network(attacker, rtcp_of(net), rtcp());
    from_link(client.port, test::rtp_packet(i));
    EXPECT_EQ(text(test::rtp_packet(i)), receive(peer));
  }
  settle(io);
  EXPECT_EQ(std::nullopt, attacker.take());
  EXPECT_TRUE(link.frames.empty());
  EXPECT_EQ(400u, drops(DropReason::wrong_source));
  EXPECT_EQ(400u, relay->statistics(net.id).dropped);
}

TEST_F(RelayTest, rtp_bleed_gets_nothing_before_the_sdp_is_known_either) {
  UdpPeer attacker("127.0.0.66");
  net = network();
  client = channels();
  relay->set_remote(client.id, on_channel(40));
  relay->join(net.id, client.id);
  for (std::uint16_t i = 0; i < 50; ++i) {
    from_network(attacker, rtp_of(net), test::rtp_packet(i));
    from_network(attacker, rtcp_of(net), rtcp());
    from_link(client.port, test::rtp_packet(i));
  }
  settle(io);
  EXPECT_EQ(std::nullopt, attacker.take());
  EXPECT_TRUE(link.frames.empty());
  EXPECT_EQ(100u, drops(DropReason::no_remote));
  EXPECT_EQ(50u, drops(DropReason::no_destination));
}

TEST_F(RelayTest, hold_stops_sending_and_resume_goes_on_without_learning_anew) {
  UdpPeer peer;
  call(peer);
  from_network(peer, rtp_of(net), test::rtp_packet(1));
  auto held = at(peer.local());
  for (const bool by_port : {true, false}) {
    held = at(peer.local());
    if (by_port) {
      held.port = 0;
    } else {
      held.address = IpAddress();
    }
    relay->set_remote(net.id, held);
    from_link(client.port, test::rtp_packet(5));
  }
  EXPECT_EQ(2u, drops(DropReason::no_destination));
  relay->set_remote(net.id, at(peer.local()));
  from_link(client.port, test::rtp_packet(6));
  EXPECT_EQ(text(test::rtp_packet(6)), receive(peer));
  EXPECT_EQ(std::nullopt, peer.take());
}

TEST_F(RelayTest, a_re_invite_moves_media_to_its_new_address) {
  UdpPeer before, after("127.0.0.2");
  call(before);
  from_network(before, rtp_of(net), test::rtp_packet(1));
  relay->set_remote(net.id, at(after.local()));
  from_link(client.port, test::rtp_packet(2));
  EXPECT_EQ(text(test::rtp_packet(2)), receive(after));
  from_network(after, rtp_of(net), test::rtp_packet(3));
  from_network(before, rtp_of(net), test::rtp_packet(4));
  EXPECT_EQ(2u, link.frames.size());
  EXPECT_EQ(1u, drops(DropReason::wrong_source));
}

TEST_F(RelayTest, a_second_join_moves_the_stream) {
  UdpPeer peer;
  call(peer);
  const auto other = channels(kOtherSession);
  relay->set_remote(other.id, on_channel(60));
  relay->join(net.id, other.id);
  from_network(peer, rtp_of(net), test::rtp_packet(1));
  EXPECT_TRUE(link.frames.empty());
  EXPECT_THAT(other_link.frames, ElementsAre(Pair(60u, test::rtp_packet(1))));
  from_link(client.port, test::rtp_packet(2));
  EXPECT_EQ(1u, drops(DropReason::no_peer));
}

TEST_F(RelayTest, a_new_link_of_a_session_takes_its_media_and_a_removed_one_gets_none) {
  UdpPeer peer;
  call(peer);
  test::RecordingLink second;
  relay->add_session(kSession, second);
  from_network(peer, rtp_of(net), test::rtp_packet(1));
  EXPECT_TRUE(link.frames.empty());
  EXPECT_EQ(1u, second.frames.size());
  relay->remove_session(kSession);
  from_network(peer, rtp_of(net), test::rtp_packet(2));
  from_link(client.port, test::rtp_packet(3));
  EXPECT_EQ(1u, second.frames.size());
  EXPECT_EQ(1u, drops(DropReason::no_link));
  EXPECT_EQ(1u, drops(DropReason::unknown_session));
  EXPECT_EQ(call::MediaError::no_such_session, relay->open_link(kSession).error());
  relay->close(client.id);
  EXPECT_EQ(1u, relay->open_endpoints());
}

TEST_F(RelayTest, statistics_tell_loss_jitter_and_idle_time) {
  UdpPeer peer;
  call(peer);
  EXPECT_EQ(std::nullopt, relay->idle_ms(client.id));
  EXPECT_EQ(0, relay->statistics(client.id).mos);
  // 20 ms apart on virtual time, every tenth packet lost.
  const Instant begin = std::chrono::steady_clock::now() - seconds(10);
  std::uint64_t sent = 0;
  for (std::uint16_t i = 0; i < 401; ++i) {
    if (i % 10 == 5) continue;
    ++sent;
    relay->on_link_media(kSession, client.port, test::rtp_packet(i), begin + i * milliseconds(20));
  }
  const auto lossy = relay->statistics(client.id);
  EXPECT_EQ(sent, lossy.packets);
  EXPECT_EQ(sent * 160, lossy.bytes);
  EXPECT_EQ(40u, lossy.lost);
  EXPECT_NEAR(40.0 / 401, lossy.loss_ratio, 1e-9);
  EXPECT_NEAR(0, lossy.jitter_ms, 0.2);
  EXPECT_EQ("channel 40", lossy.remote);
  EXPECT_EQ(sent, relay->statistics(net.id).packets_sent);
  ASSERT_TRUE(relay->idle_ms(client.id));
  EXPECT_GE(*relay->idle_ms(client.id), 2000u);
  EXPECT_LT(*relay->idle_ms(client.id), 4000u);

  const auto clean = channels();
  for (std::uint16_t i = 0; i < 100; ++i) {
    relay->on_link_media(kSession, clean.port, test::rtp_packet(i), begin + i * milliseconds(20));
  }
  EXPECT_GT(relay->statistics(clean.id).mos, 4.2);
  EXPECT_LT(lossy.mos, relay->statistics(clean.id).mos - 0.3);
  EXPECT_GT(lossy.mos, 1.0);
}

TEST_F(RelayTest, round_trip_comes_from_reports_that_pass) {
  UdpPeer peer, control;
  call(peer);
  auto remote = at(peer.local());
  remote.rtcp_port = control.local().port;
  relay->set_remote(net.id, remote);
  // Sent 120 ms ago as far as the relay knows; the answer arrives now.
  relay->on_link_media(kSession, client.port + 1U, rtcp(0x0000abcd12340000),
                       std::chrono::steady_clock::now() - milliseconds(120));
  from_network(control, rtcp_of(net), rtcp_report(0xabcd1234));
  EXPECT_GE(relay->statistics(net.id).round_trip_ms, 120);
  EXPECT_LT(relay->statistics(net.id).round_trip_ms, 1000);
  EXPECT_EQ(0, relay->statistics(client.id).round_trip_ms);
}

TEST(RelayV6, ipv6_legs_get_ipv6_sockets_and_advertised_addresses_go_into_sdp) {
  boost::asio::io_context io;
  SeededRandom random(1);
  RelayConfig config;
  config.bind_v4 = test::own_loopback();
  config.advertised_v4 = IpAddress::parse("203.0.113.7");
  {
    Relay v4_only(io, config, random);
    EXPECT_EQ(call::MediaError::socket_failed, v4_only.open_network(true).error());
    EXPECT_EQ("203.0.113.7", v4_only.open_network(false)->address.to_string());
  }
  config.bind_v6 = IpAddress::parse("::1");
  Relay relay(io, config, random);
  test::UdpPeer one("::1"), two("::1");
  const auto a = relay.open_network(true), b = relay.open_network(true);
  ASSERT_TRUE(a);
  ASSERT_TRUE(b);
  EXPECT_EQ("::1", a->address.to_string());
  const auto remote = [](const Endpoint& endpoint) {
    call::RemoteMedia media;
    media.address = endpoint.address;
    media.port = endpoint.port;
    return media;
  };
  relay.set_remote(a->id, remote(one.local()));
  relay.set_remote(b->id, remote(two.local()));
  relay.join(a->id, b->id);
  one.send({a->address, a->port}, test::rtp_packet(1));
  EXPECT_EQ(as_text(test::rtp_packet(1)), two.receive(io).value_or(""));
  // An IPv4 address in the SDP of an IPv6 leg cannot be sent to.
  relay.set_remote(b->id, remote(*Endpoint::parse("127.0.0.1:4000")));
  one.send({a->address, a->port}, test::rtp_packet(2));
  EXPECT_TRUE(run_until(io, [&] { return relay.counters().packets_in == 2; }));
  EXPECT_EQ(1u, relay.counters().dropped(DropReason::no_destination));
}

}  // namespace
}  // namespace isthmus::media
