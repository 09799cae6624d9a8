// Several shards on threads of their own, and one owner of all their links.
#include "link/client_listeners.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/limits.hpp"
#include "net/link_dialer.hpp"
#include "unit/net/net_support.hpp"

namespace isthmus::net::test {
namespace {

using testing::Each;
using testing::Gt;
using testing::HasSubstr;
using wire::CloseCode;

/// Shards with an owner on the test's thread, and clients on another loop of that thread: what one
/// of the two does not run, waits.
class Shards {
 public:
  explicit Shards(unsigned count = 3, std::size_t max_connections = 1000) {
    auto opened = link::ClientListeners::open(
        owner.io, options(count, max_connections), [this](std::unique_ptr<wire::Link> link) {
          peers.push_back(std::make_unique<Peer>(std::move(link), echoes));
        });
    EXPECT_TRUE(opened) << opened.error().text;
    listeners = std::move(*opened);
    EXPECT_EQ(listeners->udp_fault(), std::nullopt);
    listeners->run();
  }

  link::ClientListenersOptions options(unsigned count, std::size_t max_connections) const {
    link::ClientListenersOptions options;
    options.shards = count;
    options.websocket.bind = {IpAddress::v4(0x7f000001), 0};
    options.websocket.certificate.state_directory = directory.path();
    options.websocket.max_connections = max_connections;
    options.udp.emplace();
    options.udp->server.early_data = false;
    return options;
  }

  DialOutcome dial(const std::string& scheme) {
    const auto port = scheme == "udp" ? listeners->udp_local()->port : listeners->local().port;
    const auto url = parse_gateway_url(scheme + "://127.0.0.1:" + std::to_string(port));
    auto trust = ClientTrust::make({{}, {listeners->certificate().pin}, false});
    DialOutcome outcome;
    bool done = false;
    LinkDialer dialer(clients.io, *trust, {*url, "test/1", seconds(10)},
                      [&](Result<std::unique_ptr<wire::Link>, DialError> result) {
                        done = true;
                        if (result) {
                          outcome.link = std::move(*result);
                        } else {
                          outcome.error = result.error();
                        }
                      });
    EXPECT_TRUE(run_until([&] { return done; }));
    return outcome;
  }
  /// A client, and its link as the owner has it.
  struct Pair {
    std::unique_ptr<Peer> client;
    Peer* there = nullptr;
  };
  /// A client speaks first, and is answered: so it is with Hello and Welcome.
  Pair connect(const std::string& scheme) {
    Pair pair = connect_in_silence(scheme);
    if (!pair.client) return pair;
    pair.client->link->send_reliable(0, as_bytes("hello"));
    EXPECT_TRUE(run_until([&] { return !pair.client->reliable.empty(); }));
    pair.client->reliable.clear();
    pair.there->reliable.clear();
    return pair;
  }
  Pair connect_in_silence(const std::string& scheme) {
    const std::size_t before = peers.size();
    auto outcome = dial(scheme);
    EXPECT_TRUE(outcome.link) << outcome.error->text;
    if (!outcome.link || !run_until([&] { return peers.size() > before; })) return {};
    Pair pair{std::make_unique<Peer>(std::move(outcome.link)), peers.back().get()};
    pair.client->link->set_peer_media_id(pair.there->link->media_id());
    pair.there->link->set_peer_media_id(pair.client->link->media_id());
    return pair;
  }

  /// Both loops in turns, a millisecond at most.
  bool run_until(const std::function<bool()>& condition, Duration limit = seconds(20)) {
    const Instant end = clock_now() + limit;
    while (!condition()) {
      if (clock_now() >= end) return false;
      for (Loop* loop : {&clients, &owner}) {
        loop->io.restart();
        loop->io.poll();
      }
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }

  TemporaryDirectory directory;
  Loop owner, clients;
  bool echoes = true;
  std::vector<std::unique_ptr<Peer>> peers;
  std::unique_ptr<link::ClientListeners> listeners;
};

class EachLink : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Shards, EachLink, testing::Values("udp", "wss"),
                         [](const auto& one) { return one.param; });

TEST_P(EachLink, frames_of_many_links_cross_in_order_both_ways) {
  Shards shards;
  std::vector<Shards::Pair> pairs;
  for (int i = 0; i < 12; ++i) pairs.push_back(shards.connect(GetParam()));
  constexpr int kFrames = 200;
  for (int i = 0; i < kFrames; ++i) {
    for (const Shards::Pair& pair : pairs) {
      pair.client->link->send_reliable(1, as_bytes("frame " + std::to_string(i)));
    }
  }
  ASSERT_TRUE(shards.run_until([&] {
    return std::ranges::all_of(pairs,
                               [](const auto& p) { return p.client->reliable.size() == kFrames; });
  }));
  for (const Shards::Pair& pair : pairs) {
    for (int i = 0; i < kFrames; ++i) {
      ASSERT_EQ(pair.client->reliable[static_cast<std::size_t>(i)],
                (ReceivedFrame{1, "frame " + std::to_string(i)}));
    }
  }
  EXPECT_EQ(shards.listeners->counters().handover.media_dropped, 0u);
}

TEST_P(EachLink, media_crosses_both_ways) {
  Shards shards;
  auto [client, there] = shards.connect(GetParam());
  Peer& peer = *client;
  for (std::size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(shards.run_until([&] {
      if (peer.media.size() <= i) peer.link->send_media(16, as_bytes("\x80 media"));
      return peer.media.size() > i;
    }));
  }
  EXPECT_EQ(peer.media[19], (ReceivedFrame{16, "\x80 media"}));
}

TEST_P(EachLink, each_end_hears_how_the_other_closed) {
  Shards shards;
  auto first = shards.connect(GetParam()), second = shards.connect(GetParam());
  first.client->link->close(CloseCode::normal, "done");
  second.there->link->send_reliable(1, as_bytes("last words"));
  second.there->link->close(CloseCode::going_away, "restart");
  ASSERT_TRUE(shards.run_until([&] { return first.there->closed && second.client->closed; }));
  EXPECT_EQ(first.there->closed, CloseCode::normal);
  EXPECT_EQ(first.there->close_reason, "done");
  EXPECT_EQ(second.client->closed, CloseCode::going_away);
  EXPECT_EQ(second.client->close_reason, "restart");
  EXPECT_EQ(second.client->reliable, (std::vector<ReceivedFrame>{{1, "last words"}}));
}

TEST_P(EachLink, a_link_that_its_owner_drops_is_cut) {
  Shards shards;
  auto [client, there] = shards.connect(GetParam());
  shards.peers.clear();
  Peer& peer = *client;
  ASSERT_TRUE(shards.run_until([&] { return peer.closed.has_value(); }));
  ASSERT_TRUE(shards.run_until([&] {
    const auto open = shards.listeners->counters().open;
    return std::ranges::count(open, 0u) == 3;
  }));
}

TEST_P(EachLink, what_a_link_counted_is_told_to_the_end) {
  Shards shards;
  auto [client, there] = shards.connect(GetParam());
  Peer &peer = *client, &other = *there;
  for (int i = 0; i < 20; ++i) peer.link->send_reliable(1, as_bytes("x"));
  ASSERT_TRUE(shards.run_until([&] { return peer.reliable.size() == 20; }));
  peer.link->close(CloseCode::normal, "");
  ASSERT_TRUE(shards.run_until([&] { return other.closed.has_value(); }));
  EXPECT_EQ(other.link->counters().reliable_frames_in, 21u);
  EXPECT_EQ(other.link->counters().reliable_frames_out, 21u);
  // And what its owner never asked for: all of the next one's.
  auto silent = shards.connect(GetParam());
  silent.client->link->send_reliable(1, as_bytes("x"));
  ASSERT_TRUE(shards.run_until([&] { return silent.client->reliable.size() == 1; }));
  shards.peers.clear();
  ASSERT_TRUE(shards.run_until(
      [&] { return shards.listeners->counters().handover.unclaimed.reliable_frames_in == 2; }));
}

TEST_P(EachLink, a_client_that_says_more_than_can_wait_is_cut) {
  Shards shards;
  const auto [client, there] = shards.connect(GetParam());
  const std::string frame(limits::kReliableFrameBytes, 'x');
  Peer &peer = *client, &other = *there;
  const auto written = [&] { return peer.link->counters().bytes_out; };
  const std::uint64_t before = written();
  for (std::uint64_t i = 0; i < 200 && !peer.closed; ++i) {  // the owner sleeps
    peer.link->send_reliable(1, as_bytes(frame));
    ASSERT_TRUE(shards.clients.run_until(
        [&] { return peer.closed || written() - before >= i * frame.size(); }));
  }
  ASSERT_TRUE(shards.clients.run_until([&] { return peer.closed.has_value(); }));
  EXPECT_EQ(peer.closed, CloseCode::too_slow) << "which leaves its session";
  ASSERT_TRUE(shards.run_until([&] { return other.closed.has_value(); }));
  EXPECT_GE(other.reliable.size() * frame.size(), limits::kReplayBytes) << "a replay has room";
  EXPECT_EQ(shards.listeners->counters().handover.links_cut, 1u);
  EXPECT_TRUE(shards.connect(GetParam()).there);  // others come and go as before
}

TEST_P(EachLink, before_its_owner_has_spoken_a_client_may_say_a_hello_and_no_more) {
  Shards shards;
  shards.echoes = false;
  const auto [client, there] = shards.connect_in_silence(GetParam());
  Peer &peer = *client, &other = *there;
  peer.link->send_reliable(0, as_bytes(std::string(limits::kHelloBytes, 'h')));
  peer.link->send_media(16, as_bytes("\x80 media"));
  ASSERT_TRUE(shards.run_until([&] { return other.reliable.size() == 1; }));
  EXPECT_TRUE(other.media.empty());
  for (int i = 0; i < 3; ++i) {
    peer.link->send_reliable(1, as_bytes(std::string(limits::kHelloBytes, 'x')));
  }
  ASSERT_TRUE(shards.clients.run_until([&] { return peer.closed.has_value(); }));
  EXPECT_EQ(peer.closed, CloseCode::limit_exceeded);
}

TEST_P(EachLink, media_that_waits_for_too_long_or_too_much_of_it_is_dropped) {
  Shards shards;
  const auto [client, there] = shards.connect(GetParam());
  Peer &peer = *client, &other = *there;
  const std::string packet = '\x80' + std::string(999, 'm');
  for (std::size_t sent = 0; sent <= 3 * limits::kHandoverMediaBytes; sent += packet.size()) {
    peer.link->send_media(16, as_bytes(packet));
    if (sent % 50'000 == 0) shards.clients.run_for(milliseconds(2));  // the owner sleeps
  }
  const auto dropped = [&] { return shards.listeners->counters().handover.media_dropped; };
  ASSERT_TRUE(shards.clients.run_until([&] { return dropped() > 0; }));
  shards.clients.run_for(limits::kMediaDeadline);
  const std::uint64_t before = dropped();
  ASSERT_TRUE(shards.run_until([&] { return dropped() > before; })) << "what has waited for long";
  ASSERT_TRUE(shards.run_until([&] {
    peer.link->send_media(16, as_bytes("\x80 fresh"));
    return std::ranges::count(other.media, ReceivedFrame{16, "\x80 fresh"}) > 0;
  }));
}

TEST_P(EachLink, links_whose_shards_are_gone_take_no_harm) {
  Shards shards;
  auto [client, there] = shards.connect(GetParam());
  Peer& peer = *client;
  peer.link->send_reliable(1, as_bytes("on its way"));
  shards.listeners.reset();
  ASSERT_TRUE(shards.run_until([&] { return peer.closed.has_value(); }));
  there->link->send_reliable(1, as_bytes("to nobody"));
  there->link->close(CloseCode::normal, "");
  EXPECT_EQ(there->link->remote().address, IpAddress::v4(0x7f000001));
  shards.peers.clear();
}

TEST(Shards, udp_links_spread_over_all_of_them) {
  Shards shards;
  std::vector<Shards::Pair> pairs;
  for (int i = 0; i < 36; ++i) pairs.push_back(shards.connect("udp"));
  ASSERT_TRUE(shards.run_until([&] {  // what waits for the owner for too long is dropped
    bool all = true;
    for (const Shards::Pair& pair : pairs) {
      if (!pair.client->media.empty()) continue;
      pair.client->link->send_media(16, as_bytes("\x80 media"));
      all = false;
    }
    return all;
  }));
  ASSERT_TRUE(shards.run_until([&] { return shards.listeners->counters().udp->open == 36; }));
  const auto counters = shards.listeners->counters();
  EXPECT_THAT(counters.open, Each(Gt(0u)));
  EXPECT_EQ(counters.udp->server.unknown_media, 0u);
  EXPECT_EQ(counters.udp->server.accepted, 36u);
  EXPECT_EQ(counters.udp->server.unknown_connections, 0u);
}

TEST(Shards, share_one_limit_of_connections) {
  Shards shards(2, 3);
  std::vector<Shards::Pair> pairs;
  for (int i = 0; i < 3; ++i) pairs.push_back(shards.connect("wss"));
  EXPECT_FALSE(shards.dial("wss").link);
  EXPECT_TRUE(
      shards.run_until([&] { return shards.listeners->counters().websocket.over_limit == 1; }));
}

TEST(Shards, a_port_that_somebody_has_is_told) {
  Shards shards(2);
  link::ClientListenersOptions options = shards.options(2, 10);
  options.websocket.bind.port = shards.listeners->local().port;
  const auto refused = link::ClientListeners::open(shards.owner.io, options, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, HasSubstr("in use"));
  options.websocket.bind.port = 0;
  options.udp_port = shards.listeners->udp_local()->port;
  const auto without_udp = link::ClientListeners::open(shards.owner.io, options, {});
  ASSERT_TRUE(without_udp);
  EXPECT_THAT((*without_udp)->udp_fault().value_or(""), HasSubstr("in use"));
}

TEST(Shards, read_a_renewed_certificate) {
  Shards shards;
  const auto reload = shards.listeners->reload_certificates();
  ASSERT_TRUE(reload.report);
  EXPECT_TRUE(reload.faults.empty());
  EXPECT_EQ(reload.report->pin, shards.listeners->certificate().pin);
  EXPECT_TRUE(shards.connect("udp").there);
  EXPECT_TRUE(shards.connect("wss").there);
}

TEST(Shards, take_nobody_once_closed_and_keep_who_is_there) {
  Shards shards;
  auto udp = shards.connect("udp"), tcp = shards.connect("wss");
  shards.listeners->close();
  EXPECT_FALSE(shards.dial("wss").link);
  for (const Shards::Pair* pair : {&udp, &tcp}) {
    pair->client->link->send_reliable(1, as_bytes("still here"));
    ASSERT_TRUE(shards.run_until([&] { return pair->client->reliable.size() == 1; }));
  }
}

}  // namespace
}  // namespace isthmus::net::test
