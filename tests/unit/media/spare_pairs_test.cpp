// Socket pairs of ended streams: who gets them next, and what becomes of packets that still come.
#include "media/spare_pairs.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <vector>

#include "unit/media/relay_fixture.hpp"

namespace isthmus::media {
namespace {

using test::open_descriptors;
using test::run_until;
using test::settle;
using test::UdpPeer;

class SparePairsTest : public ::testing::Test {
 protected:
  SocketPair bound(std::uint16_t port) {
    SocketPair pair;
    pair.port = port;
    for (transport::UdpSocket* half : {&pair.media, &pair.control}) {
      transport::UdpOptions options;
      options.local = {address, static_cast<std::uint16_t>(half == &pair.media ? port : port + 1)};
      auto socket = transport::UdpSocket::open(io, options);
      EXPECT_TRUE(socket);
      if (socket) *half = std::move(*socket);
    }
    return pair;
  }
  static std::uint16_t port_of(const std::optional<SocketPair>& pair) {
    return pair ? pair->port : std::uint16_t{0};
  }

  boost::asio::io_context io;
  SeededRandom random{7};
  IpAddress address = test::own_loopback();
  PortPool ports{0, 0, random};  // empty: what it holds later was put back
  std::uint64_t late = 0;
  SparePairs::Config config{4, seconds(3), 10};
  // A minute ago, because what comes to a kept pair is dated by the clock.
  Instant start = std::chrono::steady_clock::now() - seconds(60);
};

TEST_F(SparePairsTest, a_pair_is_taken_again_after_its_quiet_time_and_not_before) {
  SparePairs spares(config, ports, late);
  spares.put(bound(40000), false, start);
  spares.put(bound(40002), false, start + seconds(1));
  EXPECT_EQ(0, port_of(spares.take(false, start + milliseconds(2999))));
  EXPECT_EQ(0, port_of(spares.take(true, start + seconds(9)))) << "none of IPv6 is kept";
  EXPECT_EQ(40000, port_of(spares.take(false, start + seconds(3))));
  EXPECT_EQ(0, port_of(spares.take(false, start + seconds(3))));
  EXPECT_EQ(40002, port_of(spares.take(false, start + seconds(4))));
  EXPECT_EQ(0u, spares.size());
}

TEST_F(SparePairsTest, a_late_packet_is_thrown_away_and_puts_the_time_off) {
  SparePairs spares(config, ports, late);
  UdpPeer phone;
  spares.put(bound(40000), false, start);
  spares.put(bound(40002), false, start + seconds(1));
  phone.send({address, 40001}, "late RTCP");
  ASSERT_TRUE(run_until(io, [&] { return late == 1; }));
  EXPECT_EQ(40002, port_of(spares.take(false, start + seconds(50))));
  EXPECT_EQ(0, port_of(spares.take(false, start + seconds(62)))) << "2 s after the packet";
  EXPECT_EQ(40000, port_of(spares.take(false, start + seconds(300))));
}

TEST_F(SparePairsTest, a_packet_that_nobody_was_told_of_yet_is_found_when_the_pair_is_taken) {
  SparePairs spares(config, ports, late);
  UdpPeer phone;
  spares.put(bound(40000), false, start);
  phone.send({address, 40000}, "late RTP");
  phone.send(phone.local(), "mark");
  while (!phone.take()) {  // what was sent before it has arrived, too
  }
  EXPECT_EQ(0, port_of(spares.take(false, start + seconds(30))));
  EXPECT_EQ(1u, late);
  EXPECT_EQ(40000, port_of(spares.take(false, start + seconds(33))));
}

TEST_F(SparePairsTest, a_pair_to_which_packets_do_not_stop_coming_is_closed) {
  SparePairs spares(config, ports, late);
  UdpPeer phone;
  bound(40000);  // the io_context has its own descriptors from the first socket on
  const auto before = open_descriptors();
  spares.put(bound(40000), false, start);
  EXPECT_EQ(before + 2, open_descriptors());
  for (std::size_t i = 0; i <= config.late_most; ++i) phone.send({address, 40000}, "more");
  ASSERT_TRUE(run_until(io, [&] { return spares.size() == 0; }));
  EXPECT_EQ(before, open_descriptors());
  EXPECT_EQ(40000, ports.take());
  settle(io);
}

TEST_F(SparePairsTest, over_the_bound_the_longest_kept_is_closed) {
  SparePairs spares(config, ports, late);
  for (std::uint16_t i = 0; i < 6; ++i) {
    spares.put(bound(static_cast<std::uint16_t>(40000 + 2 * i)), false, start + seconds(i));
  }
  EXPECT_EQ(4u, spares.size());
  EXPECT_EQ(40000, ports.take());
  EXPECT_EQ(40002, ports.take());
  EXPECT_TRUE(spares.give_up());
  EXPECT_EQ(40004, ports.take());
  EXPECT_EQ(3u, spares.size());
}

TEST_F(SparePairsTest, with_none_to_keep_a_pair_is_closed_at_once) {
  config.most = 0;
  SparePairs spares(config, ports, late);
  bound(40000);
  const auto before = open_descriptors();
  spares.put(bound(40000), false, start);
  EXPECT_EQ(before, open_descriptors());
  EXPECT_EQ(40000, ports.take());
  EXPECT_FALSE(spares.give_up());
}

/// A relay that keeps pairs.
class RelaySparesTest : public test::RelayFixture {
 protected:
  RelaySparesTest() { config.spare_pairs = 100; }  // but half of the ten that there are
};

TEST_F(RelaySparesTest, a_late_packet_of_an_ended_call_does_not_reach_the_next) {
  config.spare_quiet = Duration::zero();
  start();
  UdpPeer phone;
  const auto ended = network();
  relay->set_remote(ended.id, at(phone.local()));
  from_network(phone, rtp_of(ended), test::rtp_packet(1));
  relay->close(ended.id);
  phone.send(rtp_of(ended), test::rtp_packet(2));
  phone.send(phone.local(), "mark");
  while (!phone.take()) {
  }
  const auto next = network(), client = channels();
  ASSERT_EQ(ended.port, next.port);
  relay->set_remote(next.id, at(phone.local()));
  relay->set_remote(client.id, on_channel(40));
  relay->join(next.id, client.id);
  settle(io);
  EXPECT_TRUE(link.frames.empty());
  EXPECT_EQ(1u, relay->counters().late_packets);
  EXPECT_EQ(1u, relay->counters().packets_in);
  from_network(phone, rtp_of(next), test::rtp_packet(3));
  EXPECT_EQ(1u, link.frames.size()) << "and its own do";
  EXPECT_EQ(0u, relay->statistics(next.id).lost);
}

TEST_F(RelaySparesTest, kept_pairs_are_free_ports_and_are_given_up_when_the_others_are_taken) {
  start();
  std::vector<call::LocalMedia> open;
  for (int i = 0; i < 10; ++i) open.push_back(network());
  for (const auto& one : open) relay->close(one.id);
  EXPECT_EQ(5u, relay->spare_pairs());
  EXPECT_EQ(10u, relay->free_port_pairs());
  for (int i = 0; i < 10; ++i) network();
  EXPECT_EQ(0u, relay->spare_pairs());
  EXPECT_EQ(call::MediaError::ports_exhausted, relay->open_network(false).error());
}

TEST_F(RelaySparesTest, kept_pairs_are_given_up_when_descriptors_run_out) {
  start();
  std::vector<call::LocalMedia> open;
  for (int i = 0; i < 3; ++i) open.push_back(network());
  for (const auto& one : open) relay->close(one.id);
  ASSERT_EQ(3u, relay->spare_pairs());
  ::rlimit usual{};
  ASSERT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &usual));
  ::rlimit lowered = usual;
  lowered.rlim_cur = 256;
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &lowered));
  std::vector<int> taken;
  for (int file = 0; (file = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
    taken.push_back(file);
  }
  const auto fresh = relay->open_network(false);
  for (const int file : taken) ::close(file);
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_TRUE(fresh);
  EXPECT_EQ(2u, relay->spare_pairs());
}

}  // namespace
}  // namespace isthmus::media
