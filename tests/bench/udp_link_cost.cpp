// Processor time of a gateway's thread for each media packet that a client sends and gets back,
// over UDP links (authenticated, decrypted, found, sealed) and by a plain echo of the same packets
// on the same socket code. The two take turns in one run, so that what else the machine does is in
// both.
//
//   udp_link_cost [--links N] [--seconds N]
#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "link/udp_listener.hpp"
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

/// Sends every datagram back where it came from.
class PlainEcho final : public net::UdpChannelReader {
 public:
  explicit PlainEcho(asio::io_context& io) {
    auto opened = net::UdpChannel::open(io, {{IpAddress::v4(0x7f000001), 0}, std::nullopt, false});
    if (!opened) std::abort();
    channel = std::move(*opened);
    channel->start(*this);
  }
  void on_datagram(const quic::Path& path, MutableBytes datagram) override {
    ++packets;
    channel->send(path, datagram);
  }
  void on_batch_end() override { channel->flush(); }
  void on_error(const boost::system::error_code&) override {}

  std::unique_ptr<net::UdpChannel> channel;
  std::atomic<std::uint64_t> packets = 0;
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

/// Sends of all flows, 50 packets a second each, spread over the 20 ms.
std::uint64_t pump(asio::io_context& io, std::vector<std::unique_ptr<Flow>>& flows, int ticks) {
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
  double us = 0;
  double lost = 0;  ///< share of packets that did not come back
};

Cost measure(GatewayThread& gateway, asio::io_context& io,
             std::vector<std::unique_ptr<Flow>>& flows, int ticks) {
  const auto received = [&flows] {
    std::uint64_t sum = 0;
    for (const auto& flow : flows) sum += flow->received;
    return sum;
  };
  const std::uint64_t before = received();
  const double began = gateway.cpu_us();
  const std::uint64_t sent = pump(io, flows, ticks);
  const double cpu = gateway.cpu_us() - began;
  const std::uint64_t came = received() - before;
  if (came == 0) return {};
  return {cpu / static_cast<double>(came),
          1 - static_cast<double>(came) / static_cast<double>(sent)};
}

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

int run(std::size_t links, int ticks) {
  const test::TemporaryDirectory directory;
  const auto certificate =
      link::load_or_make_self_signed(directory.path(), {"bench.example"}, net::wall_now());
  if (!certificate) return 1;
  GatewayThread gateway;
  std::unique_ptr<PlainEcho> plain;
  std::unique_ptr<link::UdpListener> listener;
  std::vector<std::unique_ptr<LinkEcho>> ends;
  std::atomic<std::uint64_t> echoed = 0;
  gateway.run([&] {
    plain = std::make_unique<PlainEcho>(gateway.io);
    link::UdpListenerOptions options;
    options.bind = {IpAddress::v4(0x7f000001), 0};
    auto opened = link::UdpListener::open(
        gateway.io, options, *certificate, [&](std::unique_ptr<wire::Link> link) {
          ends.push_back(std::make_unique<LinkEcho>(std::move(link), echoed));
        });
    if (!opened) std::abort();
    listener = std::move(*opened);
  });

  asio::io_context io;
  auto trust = net::ClientTrust::make({{}, {certificate->pin}, false, false});
  if (!trust) return 1;
  const std::string url = "udp://127.0.0.1:" + std::to_string(listener->local().port);
  std::vector<std::unique_ptr<Flow>> plain_flows, link_flows;
  for (std::size_t i = 0; i < links; ++i) {
    plain_flows.push_back(std::make_unique<PlainFlow>(io, plain->channel->local()));
    auto flow = std::make_unique<LinkFlow>(io, *trust, url);
    const LinkFlow* waiting = flow.get();
    link_flows.push_back(std::move(flow));
    while (!waiting->ready) io.run_one();
  }

  std::printf(
      "%zu flows of 50 packets a second, %zu bytes of RTP each; us of one thread a packet\n", links,
      kPayload);
  std::printf("%-6s %10s %10s %8s\n", "round", "plain UDP", "UDP link", "ratio");
  std::vector<double> ratios;
  double most_lost = 0;
  for (int round = 1; round <= kRounds; ++round) {
    const Cost without = measure(gateway, io, plain_flows, ticks);
    const Cost with = measure(gateway, io, link_flows, ticks);
    if (without.us <= 0 || with.us <= 0) return 1;
    ratios.push_back(with.us / without.us);
    most_lost = std::max({most_lost, without.lost, with.lost});
    std::printf("%-6d %10.2f %10.2f %8.2f\n", round, without.us, with.us, ratios.back());
  }
  std::printf("median ratio %.2f; %.2f %% of packets lost at most\n", median(ratios),
              100 * most_lost);
  gateway.run([&] {
    ends.clear();
    listener.reset();
    plain.reset();
  });
  return most_lost < 0.05 ? 0 : 1;
}

}  // namespace
}  // namespace isthmus

int main(int argc, char** argv) {
  std::size_t links = 200;
  int seconds = 2;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--links") == 0) links = std::strtoul(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atoi(argv[i + 1]);
  }
  if (links == 0 || seconds <= 0) return 2;
  return isthmus::run(links, seconds * 1000);
}
