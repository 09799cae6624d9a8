// A path that carries less than is offered to it: a relay between both ends reads at a limited rate
// and with small buffers, so that TCP backs up as it does on a bad radio link.
#include <gtest/gtest.h>

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

/// Forwards one connection: upward as fast as it comes, downward at `bytes_per_second`.
class SlowPath {
 public:
  SlowPath(Loop& loop, const Endpoint& server, std::size_t bytes_per_second)
      : per_tick_(bytes_per_second / 100),
        acceptor_(loop.io, {asio::ip::address_v4::loopback(), 0}),
        client_(loop.io),
        server_(loop.io),
        timer_(loop.io) {
    const tcp::endpoint to(asio::ip::address_v4::loopback(), server.port);
    acceptor_.async_accept(client_, [this, to](const error_code& error) {
      if (error) return;
      server_.open(tcp::v4());
      server_.set_option(asio::socket_base::receive_buffer_size(4096));  // before connect: window
      server_.connect(to);
      server_.non_blocking(true);
      timer_.expires_after(milliseconds(0));
      forward_up();
      tick();
    });
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void forward_up() {
    client_.async_read_some(asio::buffer(up_), [this](const error_code& error, std::size_t bytes) {
      if (error) return;
      asio::async_write(server_, asio::buffer(up_, bytes),
                        [this](const error_code& failed, std::size_t) {
                          if (!failed) forward_up();
                        });
    });
  }
  void tick() {
    timer_.expires_at(timer_.expiry() + milliseconds(10));
    timer_.async_wait([this](const error_code& stopped) {
      if (stopped) return;
      error_code error;
      const std::size_t bytes =
          server_.read_some(asio::buffer(down_.data(), std::min(per_tick_, down_.size())), error);
      if (error && error != asio::error::would_block) return;
      if (bytes > 0) asio::write(client_, asio::buffer(down_, bytes), error);
      if (!error || error == asio::error::would_block) tick();
    });
  }

  std::size_t per_tick_;
  tcp::acceptor acceptor_;
  tcp::socket client_, server_;
  asio::steady_timer timer_;
  std::array<std::uint8_t, 16384> up_{}, down_{};
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
Crossing cross(std::size_t large_sip_bytes) {
  Loop loop;
  Server server(loop);
  SlowPath path(loop, server.listener->local(), 40'000);
  auto dialed = dial(loop, "wss://127.0.0.1:" + std::to_string(path.port()), server.trust());
  EXPECT_TRUE(dialed.link);
  Crossing result;
  if (!dialed.link) return result;
  Peer client(std::move(dialed.link));
  Peer& gateway = *server.peers.front();
  std::optional<Instant> last_media;
  client.on_frame = [&] {
    if (!client.media.empty()) {
      result.media_ms.push_back(age_ms(client.media.back().bytes));
      const Instant now = clock_now();
      if (last_media) {
        const auto gap = std::chrono::duration<double, std::milli>(now - *last_media).count();
        result.longest_media_gap_ms = std::max(result.longest_media_gap_ms, gap);
      }
      last_media = now;
      client.media.clear();
    }
    for (const ReceivedFrame& frame : client.reliable) {
      const double age = age_ms(frame.bytes);
      if (frame.bytes.size() > 1000) {
        result.large_sip_ms = age;
      } else {
        result.sip_ms.push_back(age);
      }
    }
    client.reliable.clear();
  };
  const Instant start = clock_now();
  for (std::uint64_t i = 0; i < 750; ++i) {
    const Instant due = start + i * milliseconds(4);  // whatever else the machine does
    if (const Instant now = clock_now(); now < due) loop.run_for(due - now);
    gateway.link->send_media(16, as_bytes(now_text(215)));
    ++result.offered;
    if (i % 50 == 0) {
      gateway.link->send_reliable(1, as_bytes(now_text(500)));
      ++result.sip_sent;
    }
    if (i == 250 && large_sip_bytes > 0) {
      gateway.link->send_reliable(1, as_bytes(now_text(large_sip_bytes)));
    }
  }
  loop.run_until([&] {
    return result.sip_ms.size() == static_cast<std::size_t>(result.sip_sent) &&
           (large_sip_bytes == 0 || result.large_sip_ms > 0);
  });
  result.dropped = gateway.link->counters().media_dropped;
  return result;
}

double most(const std::vector<double>& of) {
  return of.empty() ? 0 : *std::max_element(of.begin(), of.end());
}

// The kernel holds limits::kTcpUnsentBytes and what the receiver's window takes; all else waits
// where it can be dropped. Generous: other work on the machine adds to it.
constexpr double kBacklogMs = 700;

TEST(SlowPath, drops_late_media_and_lets_sip_through_at_once) {
  const Crossing crossed = cross(0);
  EXPECT_EQ(crossed.sip_ms.size(), static_cast<std::size_t>(crossed.sip_sent));
  EXPECT_LT(most(crossed.sip_ms), kBacklogMs) << "SIP waits for the socket's own backlog only";
  EXPECT_GT(crossed.dropped, 0u) << "more was offered than the path carries";
  EXPECT_GT(crossed.media_ms.size(), crossed.offered / 3) << "media goes on";
  EXPECT_LT(most(crossed.media_ms), kBacklogMs + 60) << "and none is older than its deadline";
  RecordProperty("sip_ms", static_cast<int>(most(crossed.sip_ms)));
  RecordProperty("media_ms", static_cast<int>(most(crossed.media_ms)));
}

TEST(SlowPath, the_largest_sip_message_costs_media_its_own_transmission_and_no_more) {
  constexpr std::size_t kLarge = limits::kReliableFrameBytes;
  const Crossing crossed = cross(kLarge);
  const double transmission_ms = static_cast<double>(kLarge) / 40.0;  // 40 bytes a millisecond
  EXPECT_GT(crossed.large_sip_ms, transmission_ms * 0.9);
  EXPECT_LT(crossed.large_sip_ms, transmission_ms + kBacklogMs);
  EXPECT_LT(crossed.longest_media_gap_ms, transmission_ms + kBacklogMs);
  EXPECT_EQ(crossed.sip_ms.size(), static_cast<std::size_t>(crossed.sip_sent));
  EXPECT_LT(most(crossed.sip_ms), transmission_ms + kBacklogMs);
}

}  // namespace
}  // namespace isthmus::net::test
