// Processor time of a gateway's thread for each media packet that a client sends and gets back,
// over UDP links (authenticated, decrypted, found, sealed), by a plain echo of the same packets
// (recvfrom and sendto, a packet each, as long as there are any), and by one on the link's own
// socket code, which takes and gives many packets by one system call. They take turns in one run,
// so that what else the machine does is in all. With shards, also over links that live on threads
// of their own and are handed over: what their owner's thread and the busiest of theirs spend on a
// packet says how many more a gateway can carry.
//
//   udp_link_cost [--links N] [--seconds N] [--shards N]
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "link/client_listeners.hpp"
#include "net/clock.hpp"
#include "net/trust.hpp"
#include "net/udp_channel.hpp"
#include "net/udp_dialer.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kPayload = 172;        ///< RTP of 20 ms of G.711
constexpr std::size_t kAround = 1 + 28;      ///< channel; header and tag of a media packet
constexpr std::size_t kTicksPerPacket = 20;  ///< of a millisecond each
constexpr int kRounds = 5;

/// The thread that is measured: an io_context and its processor time.
class GatewayThread {
 public:
  GatewayThread() : work_(asio::make_work_guard(io)), thread_([this] { io.run(); }) {}
  ~GatewayThread() {
    work_.reset();
    io.stop();
    thread_.join();
  }
  GatewayThread(const GatewayThread&) = delete;
  GatewayThread& operator=(const GatewayThread&) = delete;

  /// Runs on the thread; returns when it has.
  template <typename What>
  void run(What&& what) {
    std::atomic<bool> done = false;
    asio::post(io, [&] {
      what();
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
  double cpu_us() {
    double microseconds = 0;
    run([&] {
      timespec time{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      microseconds =
          static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
    });
    return microseconds;
  }

  asio::io_context io;

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

/// Sends every datagram back where it came from, as any program would.
class PlainEcho {
 public:
  explicit PlainEcho(asio::io_context& io) : socket_(io, {asio::ip::address_v4::loopback(), 0}) {
    socket_.native_non_blocking(true);
    wait();
  }
  Endpoint local() const { return {IpAddress::v4(0x7f000001), socket_.local_endpoint().port()}; }

 private:
  void wait() {
    socket_.async_wait(asio::socket_base::wait_read, [this](const boost::system::error_code& end) {
      if (end) return;
      echo();
      wait();
    });
  }
  void echo() {
    for (;;) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      auto* const address = reinterpret_cast<sockaddr*>(&from);
      const int fd = socket_.native_handle();
      const auto bytes = ::recvfrom(fd, buffer_.data(), buffer_.size(), 0, address, &length);
      if (bytes < 0) return;
      ::sendto(fd, buffer_.data(), static_cast<std::size_t>(bytes), MSG_NOSIGNAL, address, length);
    }
  }

  asio::ip::udp::socket socket_;
  std::array<std::uint8_t, 2048> buffer_{};
};

/// The same on the link's socket code.
class BatchedEcho final : public net::UdpChannelReader {
 public:
  explicit BatchedEcho(asio::io_context& io) {
    auto opened = net::UdpChannel::open(io, {{IpAddress::v4(0x7f000001), 0}, std::nullopt, false});
    if (!opened) std::abort();
    channel = std::move(*opened);
    channel->start(*this);
  }
  void on_datagram(const quic::Path& path, MutableBytes datagram) override {
    channel->send(path, datagram);
  }
  void on_batch_end() override { channel->flush(); }
  void on_error(const boost::system::error_code&) override {}

  std::unique_ptr<net::UdpChannel> channel;
};

/// The gateway's end of a link: media comes and goes back.
class LinkEcho final : public wire::LinkHandler {
 public:
  LinkEcho(std::unique_ptr<wire::Link> with, std::atomic<std::uint64_t>& counter)
      : link(std::move(with)), packets(counter) {
    link->start(*this);
  }
  void on_reliable(wire::Channel, ByteView bytes) override {  // the client's media id, as Hello has
    Reader reader(bytes);
    link->set_peer_media_id(reader.u32());
    Bytes own;
    Writer writer(own);
    writer.u32(link->media_id());
    link->send_reliable(0, own);
  }
  void on_media(wire::Channel channel, ByteView bytes) override {
    ++packets;
    link->send_media(channel, bytes);
  }
  void on_closed(wire::CloseCode, const std::string&) override {}

  std::unique_ptr<wire::Link> link;
  std::atomic<std::uint64_t>& packets;
};

/// A client: sends a packet when told, counts what comes back.
class Flow {
 public:
  virtual ~Flow() = default;
  virtual void send() = 0;
  std::uint64_t received = 0;
};

class PlainFlow final : public Flow, public net::UdpChannelReader {
 public:
  PlainFlow(asio::io_context& io, const Endpoint& to) : path_{{}, to} {
    auto opened = net::UdpChannel::open(io, {{IpAddress(), 0}, to, false});
    if (!opened) std::abort();
    channel_ = std::move(*opened);
    channel_->start(*this);
  }
  void send() override {
    channel_->send(path_, packet_);
    channel_->flush();
  }
  void on_datagram(const quic::Path&, MutableBytes) override { ++received; }
  void on_batch_end() override {}
  void on_error(const boost::system::error_code&) override {}

 private:
  quic::Path path_;
  std::unique_ptr<net::UdpChannel> channel_;
  Bytes packet_ = Bytes(kPayload + kAround, 0x80);
};

class LinkFlow final : public Flow, public wire::LinkHandler {
 public:
  LinkFlow(asio::io_context& io, std::shared_ptr<net::ClientTrust> trust, const std::string& url)
      : dialer_(io, std::move(trust), {*net::parse_gateway_url(url), "bench/1", seconds(10)},
                [this](Result<std::unique_ptr<wire::Link>, net::DialError> result) {
                  if (!result) {
                    std::fprintf(stderr, "%s\n", result.error().text.c_str());
                    std::exit(1);
                  }
                  link_ = std::move(*result);
                  link_->start(*this);
                  Bytes own;
                  Writer writer(own);
                  writer.u32(link_->media_id());
                  link_->send_reliable(0, own);
                }) {}
  void send() override { link_->send_media(16, packet_); }
  void on_reliable(wire::Channel, ByteView bytes) override {
    Reader reader(bytes);
    link_->set_peer_media_id(reader.u32());
    ready = true;
  }
  void on_media(wire::Channel, ByteView) override { ++received; }
  void on_closed(wire::CloseCode, const std::string& reason) override {
    std::fprintf(stderr, "a link closed: %s\n", reason.c_str());
    std::exit(1);
  }
  bool ready = false;

 private:
  std::unique_ptr<wire::Link> link_;
  net::UdpDialer dialer_;
  Bytes packet_ = Bytes(kPayload, 0x80);
};

using Flows = std::vector<std::unique_ptr<Flow>>;

/// Sends of all flows, 50 packets a second each, spread over the 20 ms.
std::uint64_t pump(asio::io_context& io, Flows& flows, int ticks) {
  asio::steady_timer timer(io);
  std::uint64_t sent = 0;
  Instant at = net::clock_now();
  for (int tick = 0; tick < ticks; ++tick) {
    for (std::size_t i = static_cast<std::size_t>(tick) % kTicksPerPacket; i < flows.size();
         i += kTicksPerPacket) {
      flows[i]->send();
      ++sent;
    }
    at += milliseconds(1);
    bool due = false;
    timer.expires_at(at);
    timer.async_wait([&](const boost::system::error_code&) { due = true; });
    while (!due) io.run_one();
  }
  io.run_for(milliseconds(100));
  return sent;
}

struct Cost {
  double us = 0;        ///< of the gateway's thread, for each packet
  double shard_us = 0;  ///< of the busiest of the shards' threads
  double lost = 0;      ///< share of packets that did not come back
};

/// Processor time of the threads that carry shards, by thread id.
std::map<std::string, double> shards_cpu_us() {
  std::map<std::string, double> times;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    if (!name.starts_with("links-")) continue;
    double nanoseconds = 0;
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    times[task.path().filename()] = nanoseconds / 1e3;
  }
  return times;
}

Cost measure(GatewayThread& gateway, asio::io_context& io, Flows& flows, int ticks) {
  const auto received = [&flows] {
    std::uint64_t sum = 0;
    for (const auto& flow : flows) sum += flow->received;
    return sum;
  };
  const std::uint64_t before = received();
  const double began = gateway.cpu_us();
  const auto shards_began = shards_cpu_us();
  const std::uint64_t sent = pump(io, flows, ticks);
  const double cpu = gateway.cpu_us() - began;
  double busiest = 0;
  for (const auto& [thread, us] : shards_cpu_us()) {
    busiest = std::max(busiest, us - shards_began.at(thread));
  }
  const auto came = static_cast<double>(received() - before);
  if (came == 0) return {};
  return {cpu / came, busiest / came, 1 - came / static_cast<double>(sent)};
}

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

/// What clients of both kinds of gateway come to.
class Sockets {
 public:
  Sockets(GatewayThread& gateway, const std::string& directory, unsigned shards)
      : gateway_(gateway) {
    gateway.run([&] {
      link::ClientListenersOptions options;
      options.shards = shards;
      options.websocket.bind = {IpAddress::v4(0x7f000001), 0};
      options.websocket.certificate.state_directory = directory;
      options.udp.emplace();
      auto opened = link::ClientListeners::open(
          gateway.io, options, [this](std::unique_ptr<wire::Link> link) {
            ends_.push_back(std::make_unique<LinkEcho>(std::move(link), echoed_));
          });
      if (!opened) std::abort();
      listeners_ = std::move(*opened);
      listeners_->run();
    });
  }
  ~Sockets() {
    gateway_.run([this] {
      ends_.clear();
      listeners_.reset();
    });
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  Flows connect(asio::io_context& io, std::size_t count) {
    auto trust = net::ClientTrust::make({{}, {listeners_->certificate().pin}, false, false});
    if (!trust) std::abort();
    const std::string url = "udp://127.0.0.1:" + std::to_string(listeners_->udp_local()->port);
    Flows flows;
    for (std::size_t i = 0; i < count; ++i) {
      auto flow = std::make_unique<LinkFlow>(io, *trust, url);
      while (!flow->ready) io.run_one();
      flows.push_back(std::move(flow));
    }
    return flows;
  }

 private:
  GatewayThread& gateway_;
  std::atomic<std::uint64_t> echoed_ = 0;
  std::unique_ptr<link::ClientListeners> listeners_;
  std::vector<std::unique_ptr<LinkEcho>> ends_;
};

int run(std::size_t links, int ticks, unsigned shards) {
  const test::TemporaryDirectory directory;
  GatewayThread gateway;
  std::unique_ptr<PlainEcho> plain;
  std::unique_ptr<BatchedEcho> batched;
  gateway.run([&] {
    plain = std::make_unique<PlainEcho>(gateway.io);
    batched = std::make_unique<BatchedEcho>(gateway.io);
  });
  Sockets sockets(gateway, directory.path(), 1);
  std::unique_ptr<Sockets> sharded;
  if (shards > 1) sharded = std::make_unique<Sockets>(gateway, directory.path(), shards);

  asio::io_context io;
  Flows plain_flows, batched_flows, link_flows = sockets.connect(io, links), shard_flows;
  for (std::size_t i = 0; i < links; ++i) {
    plain_flows.push_back(std::make_unique<PlainFlow>(io, plain->local()));
    batched_flows.push_back(std::make_unique<PlainFlow>(io, batched->channel->local()));
  }
  if (sharded) shard_flows = sharded->connect(io, links);

  std::printf(
      "%zu flows of 50 packets a second, %zu bytes of RTP each; us of one thread a packet\n", links,
      kPayload);
  std::printf("%-6s %10s %10s %10s %8s %10s", "round", "plain UDP", "batched", "UDP link",
              "to plain", "to batched");
  if (sharded) std::printf(" %10s %13s %8s", "owner", "busiest shard", "gain");
  std::printf("\n");
  std::vector<double> to_plain, to_batched, gains;
  double most_lost = 0;
  for (int round = 1; round <= kRounds; ++round) {
    const Cost without = measure(gateway, io, plain_flows, ticks);
    const Cost many = measure(gateway, io, batched_flows, ticks);
    const Cost with = measure(gateway, io, link_flows, ticks);
    if (without.us <= 0 || many.us <= 0 || with.us <= 0) return 1;
    to_plain.push_back(with.us / without.us);
    to_batched.push_back(with.us / many.us);
    most_lost = std::max({most_lost, without.lost, many.lost, with.lost});
    std::printf("%-6d %10.2f %10.2f %10.2f %8.2f %10.2f", round, without.us, many.us, with.us,
                to_plain.back(), to_batched.back());
    if (sharded) {
      const Cost over = measure(gateway, io, shard_flows, ticks);
      if (over.us <= 0) return 1;
      gains.push_back(with.us / std::max(over.us, over.shard_us));
      most_lost = std::max(most_lost, over.lost);
      std::printf(" %10.2f %13.2f %8.2f", over.us, over.shard_us, gains.back());
    }
    std::printf("\n");
  }
  std::printf("median ratio %.2f to plain, %.2f to batched; %.2f %% of packets lost at most\n",
              median(to_plain), median(to_batched), 100 * most_lost);
  if (sharded) {
    std::printf("with %u shards, the busiest thread carries %.2f times as much\n", shards,
                median(gains));
  }
  gateway.run([&] {
    plain.reset();
    batched.reset();
  });
  return most_lost < 0.05 ? 0 : 1;
}

}  // namespace
}  // namespace isthmus

int main(int argc, char** argv) {
  std::size_t links = 200;
  int seconds = 2;
  unsigned shards = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--links") == 0) links = std::strtoul(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--shards") == 0) {
      shards = static_cast<unsigned>(std::strtoul(argv[i + 1], nullptr, 10));
    }
  }
  if (links == 0 || seconds <= 0 || shards == 0) return 2;
  return isthmus::run(links, seconds * 1000, shards);
}
