// Many clients of a gateway in one process, each with a link and a session of its own and nothing
// to say: what idle_sessions.py measures a gateway with.
//
//   idle_clients URL PIN TOKEN COUNT     URL: wss:// or udp://; TOKEN: a bearer token (JWT)
//
// Prints "connected COUNT SECONDS" when all sessions stand, then keeps them until its input ends.
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "net/clock.hpp"
#include "net/deadline_timer.hpp"
#include "net/link_dialer.hpp"
#include "wire/session.hpp"

namespace isthmus {
namespace {

namespace asio = boost::asio;

/// Handshakes under way at once: a queue that a gateway serves well before they time out.
constexpr std::size_t kAtOnce = 64;

class Clients;

class Client final : public wire::LinkHandler {
 public:
  Client(Clients& of, asio::io_context& io, std::shared_ptr<net::ClientTrust> trust,
         const net::GatewayUrl& url);
  void on_reliable(wire::Channel channel, ByteView bytes) override {
    session_.on_frame(channel, bytes, net::clock_now(), events_);
    drain();
  }
  void on_media(wire::Channel, ByteView) override {}
  void on_closed(wire::CloseCode, const std::string& reason) override { fail(reason); }

 private:
  void on_dialed(Result<std::unique_ptr<wire::Link>, net::DialError> result);
  void drain();
  [[noreturn]] static void fail(const std::string& why) {
    std::fprintf(stderr, "a session failed: %s\n", why.c_str());
    std::exit(1);
  }

  Clients& clients_;
  std::unique_ptr<wire::Link> link_;
  wire::ClientSession session_;
  wire::SessionEvents events_;
  net::DeadlineTimer timer_;
  std::unique_ptr<net::LinkDialer> dialer_;
};

class Clients {
 public:
  Clients(asio::io_context& io, std::shared_ptr<net::ClientTrust> trust, net::GatewayUrl url,
          std::string token, std::size_t count)
      : io_(io), trust_(std::move(trust)), url_(std::move(url)), count_(count) {
    hello.software = "idle_clients/1";
    hello.credentials = wire::TokenCredentials{std::move(token)};
    clients_.reserve(count);
    while (clients_.size() < std::min(kAtOnce, count_)) begin();
  }
  void on_established() {
    if (clients_.size() < count_) begin();
    if (++established_ < count_) return;
    const double took = std::chrono::duration<double>(net::clock_now() - began_).count();
    std::printf("connected %zu %.3f\n", established_, took);
    std::fflush(stdout);
  }

  wire::HelloInfo hello;

 private:
  void begin() { clients_.push_back(std::make_unique<Client>(*this, io_, trust_, url_)); }

  asio::io_context& io_;
  std::shared_ptr<net::ClientTrust> trust_;
  net::GatewayUrl url_;
  std::size_t count_, established_ = 0;
  Instant began_ = net::clock_now();
  std::vector<std::unique_ptr<Client>> clients_;
};

Client::Client(Clients& of, asio::io_context& io, std::shared_ptr<net::ClientTrust> trust,
               const net::GatewayUrl& url)
    : clients_(of),
      timer_(io,
             [this] {
               session_.on_timeout(net::clock_now(), events_);
               drain();
             }),
      dialer_(std::make_unique<net::LinkDialer>(
          io, std::move(trust), net::Dialer::Options{url, "idle_clients/1", seconds(30)},
          [this](Result<std::unique_ptr<wire::Link>, net::DialError> result) {
            on_dialed(std::move(result));
          })) {}

void Client::on_dialed(Result<std::unique_ptr<wire::Link>, net::DialError> result) {
  if (!result) fail(result.error().text);
  link_ = std::move(*result);
  link_->start(*this);
  wire::HelloInfo hello = clients_.hello;
  hello.media_id = link_->media_id();
  session_.start(hello, net::clock_now(), events_);
  drain();
}

void Client::drain() {
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const wire::SessionEvent event = events_[i];
    if (const auto* frame = std::get_if<wire::SendFrame>(&event)) {
      link_->send_reliable(frame->channel, frame->bytes);
    } else if (const auto* welcome = std::get_if<wire::SessionEstablished>(&event)) {
      link_->set_peer_media_id(welcome->welcome.media_id);
      clients_.on_established();
    } else if (const auto* closed = std::get_if<wire::SessionClosed>(&event)) {
      fail(closed->reason);
    } else if (const auto* lost = std::get_if<wire::LinkLost>(&event)) {
      fail(lost->reason);
    }
  }
  events_.clear();
  timer_.arm(session_.next_deadline());
}

/// As many descriptors as the system lets us have. @return whether they are enough
bool raise_descriptors(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted;
}

int run(const std::string& address, const std::string& pin, const std::string& token,
        std::size_t count) {
  if (!raise_descriptors(count + 64)) {
    std::fprintf(stderr, "no more than so many descriptors: raise the hard limit\n");
    return 2;
  }
  const auto url = net::parse_gateway_url(address);
  auto trust = net::ClientTrust::make({{}, {pin}, false, false});
  if (!url || !trust || count == 0) return 2;
  asio::io_context io;
  asio::posix::stream_descriptor input(io, ::dup(STDIN_FILENO));
  input.async_wait(asio::posix::stream_descriptor::wait_read,
                   [&io](const boost::system::error_code&) { io.stop(); });
  Clients clients(io, *trust, *url, token, count);
  io.run();
  std::_Exit(0);  // ten thousand farewells are not what is measured
}

}  // namespace
}  // namespace isthmus

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  return isthmus::run(argv[1], argv[2], argv[3], std::strtoul(argv[4], nullptr, 10));
}
