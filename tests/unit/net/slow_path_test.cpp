// A path that carries less than is offered to it: a relay between both ends reads at a limited rate
// and with small buffers, so that TCP backs up as it does on a bad radio link.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <map>

#include "base/limits.hpp"
#include "net/websocket_stream.hpp"
#include "unit/net/net_support.hpp"

namespace isthmus::net::test {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

enum class Way : std::uint8_t { to_client, to_gateway };

/// Forwards one connection: one way at `bytes_per_second`, the other as fast as it comes.
class SlowPath {
 public:
  SlowPath(Loop& loop, const Endpoint& server, std::size_t bytes_per_second, Way slow)
      : per_tick_(bytes_per_second / 100),
        acceptor_(loop.io, {asio::ip::address_v4::loopback(), 0}),
        client_(loop.io),
        server_(loop.io),
        from_(slow == Way::to_client ? server_ : client_),
        to_(slow == Way::to_client ? client_ : server_),
        timer_(loop.io) {
    const tcp::endpoint to(asio::ip::address_v4::loopback(), server.port);
    // The window is small before it opens: set on the listener and before connect.
    if (slow == Way::to_gateway) {
      acceptor_.set_option(asio::socket_base::receive_buffer_size(kWindow));
    }
    acceptor_.async_accept(client_, [this, to, slow](const error_code& error) {
      if (error) return;
      server_.open(tcp::v4());
      if (slow == Way::to_client) {
        server_.set_option(asio::socket_base::receive_buffer_size(kWindow));
      }
      server_.connect(to);
      from_.non_blocking(true);
      timer_.expires_after(milliseconds(0));
      forward_fast();
      tick();
    });
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  static constexpr int kWindow = 4096;

  void forward_fast() {
    to_.async_read_some(asio::buffer(fast_), [this](const error_code& error, std::size_t bytes) {
      if (error) return;
      asio::async_write(from_, asio::buffer(fast_, bytes),
                        [this](const error_code& failed, std::size_t) {
                          if (!failed) forward_fast();
                        });
    });
  }
  void tick() {
    timer_.expires_at(timer_.expiry() + milliseconds(10));
    timer_.async_wait([this](const error_code& stopped) {
      if (stopped) return;
      error_code error;
      const std::size_t bytes =
          from_.read_some(asio::buffer(slow_.data(), std::min(per_tick_, slow_.size())), error);
      if (error && error != asio::error::would_block) return;
      if (bytes > 0) asio::write(to_, asio::buffer(slow_, bytes), error);
      if (!error || error == asio::error::would_block) tick();
    });
  }

  std::size_t per_tick_;
  tcp::acceptor acceptor_;
  tcp::socket client_, server_;
  tcp::socket &from_, &to_;  ///< of the slow way
  asio::steady_timer timer_;
  std::array<std::uint8_t, 16384> slow_{}, fast_{};
};

double age_ms(const std::string& text) {
  const auto sent = std::chrono::nanoseconds(std::stoll(text));
  return std::chrono::duration<double, std::milli>(clock_now().time_since_epoch() - sent).count();
}

std::string now_text(std::size_t bytes) {
  std::string text = std::to_string(clock_now().time_since_epoch().count());
  text.resize(std::max(bytes, text.size()), ' ');
  return text;
}

struct Crossing {
  std::vector<double> media_ms, sip_ms;
  double longest_media_gap_ms = 0, large_sip_ms = 0;
  std::uint64_t offered = 0, dropped = 0;
  int sip_sent = 0;
};

/// Offers 430 kbit/s of media, and SIP now and then, to a path of 320 kbit/s for three seconds.
Crossing cross(std::size_t large_sip_bytes, Way way = Way::to_client) {
  Loop loop;
  Server server(loop);
  SlowPath path(loop, server.listener->local(), 40'000, way);
  auto dialed = dial(loop, "wss://127.0.0.1:" + std::to_string(path.port()), server.trust());
  EXPECT_TRUE(dialed.link);
  Crossing result;
  if (!dialed.link) return result;
  Peer client_end(std::move(dialed.link));
  Peer& gateway_end = *server.peers.front();
  const bool down = way == Way::to_client;
  Peer& sender = down ? gateway_end : client_end;
  Peer& receiver = down ? client_end : gateway_end;
  std::optional<Instant> last_media;
  receiver.on_frame = [&] {
    if (!receiver.media.empty()) {
      result.media_ms.push_back(age_ms(receiver.media.back().bytes));
      const Instant now = clock_now();
      if (last_media) {
        const auto gap = std::chrono::duration<double, std::milli>(now - *last_media).count();
        result.longest_media_gap_ms = std::max(result.longest_media_gap_ms, gap);
      }
      last_media = now;
      receiver.media.clear();
    }
    for (const ReceivedFrame& frame : receiver.reliable) {
      const double age = age_ms(frame.bytes);
      if (frame.bytes.size() > 1000) {
        result.large_sip_ms = age;
      } else {
        result.sip_ms.push_back(age);
      }
    }
    receiver.reliable.clear();
  };
  const Instant start = clock_now();
  for (std::uint64_t i = 0; i < 750; ++i) {
    const Instant due = start + i * milliseconds(4);  // whatever else the machine does
    if (const Instant now = clock_now(); now < due) loop.run_for(due - now);
    sender.link->send_media(16, as_bytes(now_text(215)));
    ++result.offered;
    if (i % 50 == 0) {
      sender.link->send_reliable(1, as_bytes(now_text(500)));
      ++result.sip_sent;
    }
    if (i == 250 && large_sip_bytes > 0) {
      sender.link->send_reliable(1, as_bytes(now_text(large_sip_bytes)));
    }
  }
  loop.run_until([&] {
    return result.sip_ms.size() == static_cast<std::size_t>(result.sip_sent) &&
           (large_sip_bytes == 0 || result.large_sip_ms > 0);
  });
  result.dropped = sender.link->counters().media_dropped;
  return result;
}

double most(const std::vector<double>& of) {
  return of.empty() ? 0 : *std::max_element(of.begin(), of.end());
}

// The kernel holds limits::kTcpUnsentBytes and what the receiver's window takes; all else waits
// where it can be dropped. Generous: other work on the machine adds to it.
constexpr double kBacklogMs = 700;

class SlowWay : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(SlowPath, SlowWay, testing::Values(Way::to_client, Way::to_gateway),
                         [](const auto& way) {
                           return way.param == Way::to_client ? "to_client" : "to_gateway";
                         });

TEST_P(SlowWay, drops_late_media_and_lets_sip_through_at_once) {
  const Crossing crossed = cross(0, GetParam());
  EXPECT_EQ(crossed.sip_ms.size(), static_cast<std::size_t>(crossed.sip_sent));
  EXPECT_LT(most(crossed.sip_ms), kBacklogMs) << "SIP waits for the socket's own backlog only";
  EXPECT_GT(crossed.dropped, 0u) << "more was offered than the path carries";
  EXPECT_GT(crossed.media_ms.size(), crossed.offered / 3) << "media goes on";
  EXPECT_LT(most(crossed.media_ms), kBacklogMs + 60) << "and none is older than its deadline";
  RecordProperty("sip_ms", static_cast<int>(most(crossed.sip_ms)));
  RecordProperty("media_ms", static_cast<int>(most(crossed.media_ms)));
}

TEST_P(SlowWay, the_largest_sip_message_costs_media_its_own_transmission_and_no_more) {
  constexpr std::size_t kLarge = limits::kReliableFrameBytes;
  const Crossing crossed = cross(kLarge, GetParam());
  const double transmission_ms = static_cast<double>(kLarge) / 40.0;  // 40 bytes a millisecond
  EXPECT_GT(crossed.large_sip_ms, transmission_ms * 0.9);
  EXPECT_LT(crossed.large_sip_ms, transmission_ms + kBacklogMs);
  EXPECT_LT(crossed.longest_media_gap_ms, transmission_ms + kBacklogMs);
  EXPECT_EQ(crossed.sip_ms.size(), static_cast<std::size_t>(crossed.sip_sent));
  EXPECT_LT(most(crossed.sip_ms), transmission_ms + kBacklogMs);
}

/// TCP_NOTSENT_LOWAT of this process's socket between the two; nothing: it has no such socket.
std::optional<int> unsent_bound(const Endpoint& local, const Endpoint& remote) {
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in own{}, other{};
    socklen_t length = sizeof own;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) != 0) continue;
    length = sizeof other;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &length) != 0) continue;
    if (ntohs(own.sin_port) != local.port || ntohs(other.sin_port) != remote.port) continue;
    int bound = 0;
    length = sizeof bound;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bound, &length) == 0) return bound;
  }
  return std::nullopt;
}

TEST(SlowPath, the_kernel_of_either_end_takes_little_that_it_cannot_send) {
  Loop loop;
  Server server(loop);
  const auto client = connect(loop, server);
  ASSERT_TRUE(client);
  const wire::Link& gateway = *server.peers.front()->link;
  for (const wire::Link* end : {static_cast<const wire::Link*>(client->link.get()), &gateway}) {
    EXPECT_EQ(unsent_bound(end->local(), end->remote()), limits::kTcpUnsentBytes);
  }
}

}  // namespace
}  // namespace isthmus::net::test
