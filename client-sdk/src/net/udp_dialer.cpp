#include "net/udp_dialer.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "net/asio_address.hpp"
#include "net/asio_error.hpp"
#include "net/clock.hpp"
#include "net/host_resolver.hpp"
#include "net/key_log.hpp"
#include "net/system_random.hpp"
#include "net/udp_channel.hpp"
#include "net/udp_link.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using boost::system::error_code;
using wire::CloseCode;

namespace {

/// Between attempts to find another way when the socket's own is gone.
constexpr Duration kMigrationPause = milliseconds(100);

/// A client's socket, and the one link on it. Lives as long as the link does.
class ClientSocket final : public UdpLinkHost,
                           public UdpChannelReader,
                           public std::enable_shared_from_this<ClientSocket> {
 public:
  ClientSocket(asio::io_context& io, const Endpoint& gateway) : io_(io), gateway_(gateway) {}

  error_code open() {
    UdpChannelOptions options;
    options.bind.address = gateway_.address.is_v4() ? IpAddress() : IpAddress::v6({});
    options.connect = gateway_;
    auto opened = UdpChannel::open(io_, options);
    if (!opened) return opened.error();
    channel_ = std::move(*opened);
    return {};
  }

  /// @return who lives on this socket, and keeps it; null on a failure
  std::shared_ptr<UdpLinkRunner> begin(quic::ClientSettings settings) {
    auto connection = quic::Connection::client(std::move(settings), {channel_->local(), gateway_},
                                               random_, clock_now());
    if (!connection) return nullptr;
    std::uint32_t id = 0;
    while (id == 0) id = random_.u32();
    auto runner = std::make_shared<UdpLinkRunner>(io_, quic::LinkCore::Side::client,
                                                  std::move(connection), id, shared_from_this());
    runner_ = runner;
    channel_->start(*this);
    return runner;
  }

  quic::DatagramSink& sink() override { return *channel_; }
  void flush_sink() override { channel_->flush(); }
  void on_media_waiting(std::shared_ptr<UdpLinkRunner> runner) override {
    asio::post(io_, [self = shared_from_this(), runner = std::move(runner)] {
      runner->flush_media(clock_now(), *self->channel_);
      self->channel_->flush();
    });
  }
  void on_link_over() override { channel_->close(); }
  void on_datagram(const quic::Path& path, MutableBytes datagram) override {
    if (const auto runner = runner_.lock()) {
      runner->core().on_datagram(path, datagram, clock_now());
    }
  }
  void on_batch_end() override {
    if (const auto runner = runner_.lock()) runner->flush();
  }
  void on_error(const error_code& error) override;

 private:
  void migrate();

  asio::io_context& io_;
  SystemRandom random_;
  Endpoint gateway_;
  std::unique_ptr<UdpChannel> channel_;
  std::weak_ptr<UdpLinkRunner> runner_;  ///< it holds this socket
  Instant last_migration_{};
};

void ClientSocket::on_error(const error_code& error) {
  const auto runner = runner_.lock();
  if (!runner) return;
  if (error == asio::error::connection_refused) {
    // Nobody listens there: during the handshake that is an answer, later a gateway may come back.
    if (const auto failed = runner->when_failed) {
      asio::post(io_, [failed, error] {
        failed({CloseCode::going_away, "no answer: " + to_text(error)});
      });
    }
    return;
  }
  if (clock_now() - last_migration_ < kMigrationPause) return;
  last_migration_ = clock_now();
  asio::post(io_, [self = shared_from_this()] { self->migrate(); });
}

/// The socket reaches nobody any more, as when a telephone changes networks: another one goes on
/// from where this one was (RFC 9000 §9).
void ClientSocket::migrate() {
  const auto runner = runner_.lock();
  if (!runner || runner->core().over()) return;
  auto old = std::move(channel_);
  if (open()) {
    channel_ = std::move(old);
    return;
  }
  old->close();
  channel_->start(*this);
  runner->core().migrate({channel_->local(), gateway_}, clock_now());
  runner->flush();
}

}  // namespace

struct UdpDialer::Attempt : std::enable_shared_from_this<Attempt> {
  Attempt(asio::io_context& context, std::shared_ptr<ClientTrust> client_trust,
          Dialer::Options with, Dialer::Done then)
      : io(context),
        trust(std::move(client_trust)),
        options(std::move(with)),
        done(std::move(then)),
        timer(context),
        deadline(clock_now() + options.time_limit) {}

  void start();
  void on_resolved(std::vector<Endpoint> found, const std::string& problem);
  void try_next();
  void begin(ClientSocket& socket, quic::ClientSettings settings);
  void on_ready();
  void on_failed(const quic::End& end);
  void limit(Instant until, std::string what);
  void drop_socket();
  void finish(Result<std::unique_ptr<wire::Link>, DialError> result);
  void abandon();

  asio::io_context& io;
  std::shared_ptr<ClientTrust> trust;
  Dialer::Options options;
  Dialer::Done done;
  std::optional<HostResolver> resolver;
  asio::steady_timer timer;
  Instant deadline;
  std::vector<Endpoint> endpoints;
  std::size_t next = 0;
  std::shared_ptr<UdpLinkRunner> runner;  ///< of the address being tried
  DialError last{CloseCode::going_away, "no address"};
  bool over = false;
};

void UdpDialer::Attempt::start() {
  if (over) return;
  const GatewayUrl& url = options.url;
  limit(deadline, "resolving the name " + url.dial_host() + " took too long");
  resolver.emplace(
      io, options.dns_servers, url.dial_host(), url.udp_port(),
      [weak = weak_from_this()](std::vector<Endpoint> found, const std::string& problem) {
        if (const auto self = weak.lock()) self->on_resolved(std::move(found), problem);
      });
}

void UdpDialer::Attempt::on_resolved(std::vector<Endpoint> found, const std::string& problem) {
  if (over) return;
  if (found.empty()) return finish(DialError{CloseCode::going_away, problem});
  endpoints = std::move(found);
  try_next();
}

void UdpDialer::Attempt::try_next() {
  if (over) return;
  drop_socket();
  if (next == endpoints.size()) return finish(std::move(last));
  const Endpoint where = endpoints[next++];
  const auto parts = static_cast<Duration::rep>(endpoints.size() - next + 1);
  limit(clock_now() + (deadline - clock_now()) / parts,
        where.to_string() + " did not answer over UDP");
  const auto socket = std::make_shared<ClientSocket>(io, where);
  const auto credentials =
      quic::TlsCredentials::client(trust->key_log() ? udp_key_logs() : quic::KeyLogs{});
  const error_code failed = socket->open();
  const auto verify = [trust = trust, host = options.url.host](std::span<const ByteView> chain) {
    const auto verdict = trust->judge_chain(chain, host);
    return verdict ? std::optional(verdict->text) : std::nullopt;
  };
  if (!failed && credentials) begin(*socket, {options.url.host, *credentials, verify});
  if (!runner) {
    last = {CloseCode::going_away,
            "UDP to " + where.to_string() + ": " + (failed ? to_text(failed) : "TLS failed")};
    return try_next();
  }
  runner->when_ready = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_ready();
  };
  // What is heard of an attempt may come when the next one has begun.
  runner->when_failed = [weak = weak_from_this(), of = runner.get()](const quic::End& end) {
    const auto self = weak.lock();
    if (self && self->runner.get() == of) self->on_failed(end);
  };
  runner->flush();
}

void UdpDialer::Attempt::begin(ClientSocket& socket, quic::ClientSettings settings) {
  const std::string place = options.url.host + ":" + std::to_string(options.url.port);
  if (options.tickets) {
    if (options.early_hello) settings.ticket = options.tickets->take(place);
    settings.on_ticket = [box = options.tickets, place](quic::Ticket ticket) {
      box->put(place, std::move(ticket));
    };
  }
  const bool early = settings.ticket.has_value();
  runner = socket.begin(std::move(settings));
  if (!runner || !early) return;
  if (const auto hello = options.early_hello(runner->core().media_id())) runner->say_early(*hello);
}

/// Called from within the core: the link is handed over once that has returned.
void UdpDialer::Attempt::on_ready() {
  asio::post(io, [self = shared_from_this()] {
    if (self->over || !self->runner) return;
    auto ready = std::exchange(self->runner, nullptr);
    ready->when_ready = nullptr;
    ready->when_failed = nullptr;
    self->finish(std::unique_ptr<wire::Link>(std::make_unique<UdpLink>(std::move(ready))));
  });
}

void UdpDialer::Attempt::on_failed(const quic::End& end) {
  if (over || !runner) return;
  last = {end.code, end.text};
  if (end.code == CloseCode::forbidden) return finish(std::move(last));
  try_next();
}

void UdpDialer::Attempt::limit(Instant until, std::string what) {
  timer.expires_at(std::min(until, deadline));
  timer.async_wait([self = shared_from_this(), what = std::move(what)](const error_code& error) {
    if (error || self->over) return;
    self->last = {CloseCode::timeout, what};
    if (clock_now() >= self->deadline) return self->finish(std::move(self->last));
    self->try_next();
  });
}

void UdpDialer::Attempt::drop_socket() {
  if (const auto dropped = std::exchange(runner, nullptr)) dropped->detach();
}

void UdpDialer::Attempt::finish(Result<std::unique_ptr<wire::Link>, DialError> result) {
  if (over) return;
  abandon();
  if (Dialer::Done then = std::exchange(done, nullptr)) then(std::move(result));
}

void UdpDialer::Attempt::abandon() {
  over = true;
  timer.cancel();
  resolver.reset();
  drop_socket();
}

UdpDialer::UdpDialer(asio::io_context& io, std::shared_ptr<ClientTrust> trust,
                     Dialer::Options options, Dialer::Done done)
    : attempt_(
          std::make_shared<Attempt>(io, std::move(trust), std::move(options), std::move(done))) {
  asio::post(io, [attempt = attempt_] { attempt->start(); });
}

UdpDialer::~UdpDialer() {
  attempt_->abandon();
}

}  // namespace isthmus::net
