#include "link/udp_listener.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/asio_error.hpp"
#include "net/clock.hpp"
#include "net/key_log.hpp"
#include "net/system_random.hpp"
#include "net/udp_channel.hpp"
#include "net/udp_link.hpp"

namespace isthmus::link {

namespace asio = boost::asio;
using net::clock_now;

namespace {

Result<std::shared_ptr<const quic::TlsCredentials>, quic::TlsError> credentials_of(
    const Certificate& certificate, bool key_log) {
  return quic::TlsCredentials::server(chain_pem(certificate), key_pem(certificate),
                                      key_log ? net::udp_key_logs() : quic::KeyLogs{});
}

void add(quic::UdpCounters& sum, const quic::UdpCounters& one) {
  sum.datagrams_in += one.datagrams_in;
  sum.datagrams_out += one.datagrams_out;
  sum.bytes_in += one.bytes_in;
  sum.bytes_out += one.bytes_out;
  sum.reliable_frames_in += one.reliable_frames_in;
  sum.reliable_frames_out += one.reliable_frames_out;
  sum.media_frames_in += one.media_frames_in;
  sum.media_frames_out += one.media_frames_out;
  sum.media_too_large += one.media_too_large;
  sum.media_early += one.media_early;
  sum.media_forged += one.media_forged;
  sum.media_replayed += one.media_replayed;
  sum.media_malformed += one.media_malformed;
  sum.other_datagrams += one.other_datagrams;
  sum.malformed_frames += one.malformed_frames;
  sum.media_lost += one.media_lost;
  sum.address_moves += one.address_moves;
  sum.key_updates += one.key_updates;
  sum.early_hellos += one.early_hellos;
  sum.early_held += one.early_held;
}

void add(quic::LinkServerCounters& sum, const quic::LinkServerCounters& one) {
  sum.accepted += one.accepted;
  sum.retries += one.retries;
  sum.bad_tokens += one.bad_tokens;
  sum.refused += one.refused;
  sum.version_negotiations += one.version_negotiations;
  sum.stateless_resets += one.stateless_resets;
  sum.unknown_connections += one.unknown_connections;
  sum.unknown_media += one.unknown_media;
  sum.malformed += one.malformed;
}

}  // namespace

UdpListenerCounters& UdpListenerCounters::operator+=(const UdpListenerCounters& of) {
  add(server, of.server);
  add(links, of.links);
  upgraded += of.upgraded;
  handshakes_failed += of.handshakes_failed;
  not_sent += of.not_sent;
  early_replayed += of.early_replayed;
  open += of.open;
  return *this;
}

class UdpListener::Impl final : public net::UdpChannelReader,
                                public quic::LinkServerOwner,
                                public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, const UdpListenerOptions& options,
       std::shared_ptr<const quic::TlsCredentials> credentials, OnLink on_link)
      : io_(io),
        on_link_(std::move(on_link)),
        key_log_(options.key_log),
        server_(options.server, std::move(credentials), random_, *this) {}

  boost::system::error_code open(const UdpListenerOptions& options);
  boost::system::error_code steer(unsigned shards) {
    return channel_->steer(quic::shard_filter(shards));
  }
  void close();
  void shut();
  void set_credentials(std::shared_ptr<const quic::TlsCredentials> credentials) {
    server_.set_credentials(std::move(credentials));
  }
  Endpoint local() const { return channel_->local(); }
  bool key_log() const { return key_log_; }
  UdpListenerCounters counters() const;

 private:
  /// The socket, as one link sees it.
  class Seat final : public net::UdpLinkHost {
   public:
    Seat(std::weak_ptr<Impl> listener, std::uint64_t number)
        : listener_(std::move(listener)), number_(number) {}
    quic::DatagramSink& sink() override {
      const auto listener = listener_.lock();
      return listener ? static_cast<quic::DatagramSink&>(*listener->channel_) : nowhere_;
    }
    void flush_sink() override {
      if (const auto listener = listener_.lock()) listener->flush_soon();
    }
    void on_media_waiting(std::shared_ptr<net::UdpLinkRunner> runner) override {
      if (const auto listener = listener_.lock()) listener->on_media_waiting(std::move(runner));
    }
    void on_link_over() override {
      if (const auto listener = listener_.lock()) listener->on_over(number_);
    }

   private:
    struct Nowhere final : quic::DatagramSink {
      void send(const quic::Path&, ByteView) override {}
    };
    std::weak_ptr<Impl> listener_;
    std::uint64_t number_;
    Nowhere nowhere_;
  };
  struct Guest {
    std::shared_ptr<net::UdpLinkRunner> runner;
    bool handed_over = false;
  };

  void on_datagram(const quic::Path& path, MutableBytes datagram) override {
    if (!std::exchange(in_batch_, true)) batch_time_ = clock_now();
    server_.on_datagram(path, datagram, batch_time_, *channel_);
  }
  void on_batch_end() override;
  void on_error(const boost::system::error_code&) override {}  // of one peer's address
  quic::LinkCore* on_connection(std::uint64_t number, std::unique_ptr<quic::Connection> connection,
                                std::uint32_t media_id) override;
  void on_touched(std::uint64_t number) override;
  void on_ready(std::uint64_t number);
  void on_over(std::uint64_t number);
  void on_media_waiting(std::shared_ptr<net::UdpLinkRunner> runner);
  void flush_waiting();
  void flush_soon();

  asio::io_context& io_;
  OnLink on_link_;
  bool key_log_;
  net::SystemRandom system_random_;
  BatchedRandom random_{system_random_};
  std::unique_ptr<net::UdpChannel> channel_;
  quic::LinkServer server_;
  std::unordered_map<std::uint64_t, Guest> guests_;
  std::vector<std::uint64_t> touched_;
  std::vector<std::shared_ptr<net::UdpLinkRunner>> waiting_;  ///< with media to send
  bool flush_posted_ = false, in_batch_ = false;
  Instant batch_time_{};  ///< of all datagrams that were read together
  quic::UdpCounters gone_;
  std::uint64_t upgraded_ = 0, handshakes_failed_ = 0;
};

boost::system::error_code UdpListener::Impl::open(const UdpListenerOptions& options) {
  net::UdpChannelOptions socket;
  socket.bind = options.bind;
  socket.reuse_port = options.reuse_port;
  auto opened = net::UdpChannel::open(io_, socket);
  if (!opened) return opened.error();
  channel_ = std::move(*opened);
  channel_->start(*this);
  return {};
}

quic::LinkCore* UdpListener::Impl::on_connection(std::uint64_t number,
                                                 std::unique_ptr<quic::Connection> connection,
                                                 std::uint32_t media_id) {
  auto runner = std::make_shared<net::UdpLinkRunner>(
      io_, quic::LinkCore::Side::server, std::move(connection), media_id,
      std::make_shared<Seat>(weak_from_this(), number));
  runner->when_ready = [this, number] { on_ready(number); };
  runner->when_failed = [this](const quic::End&) { ++handshakes_failed_; };
  quic::LinkCore& core = runner->core();
  guests_.emplace(number, Guest{std::move(runner)});
  return &core;
}

void UdpListener::Impl::on_touched(std::uint64_t number) {
  touched_.push_back(number);
}

void UdpListener::Impl::on_batch_end() {
  if (!touched_.empty()) {
    const std::vector<std::uint64_t> touched = std::exchange(touched_, {});
    for (const std::uint64_t number : touched) {
      const auto found = guests_.find(number);
      if (found == guests_.end()) continue;
      const auto runner = found->second.runner;
      runner->flush();
    }
  }
  flush_waiting();
  channel_->flush();
}

/// Media that is sent from within a batch leaves at the batch's end; else with what else is sent in
/// this turn of the io_context.
void UdpListener::Impl::on_media_waiting(std::shared_ptr<net::UdpLinkRunner> runner) {
  waiting_.push_back(std::move(runner));
  if (!in_batch_) flush_soon();
}

void UdpListener::Impl::flush_waiting() {
  const Instant now = in_batch_ ? batch_time_ : clock_now();
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const auto runner = std::move(waiting_[i]);
    runner->flush_media(now, *channel_);
  }
  waiting_.clear();
  in_batch_ = false;
}

/// Called from within the core, which goes on to deliver what the client sent with its last words
/// of the handshake: the handler must be there by then.
void UdpListener::Impl::on_ready(std::uint64_t number) {
  Guest& guest = guests_.at(number);
  if (!on_link_ || guest.handed_over) return;
  guest.handed_over = true;
  guest.runner->when_failed = nullptr;
  ++upgraded_;
  on_link_(std::make_unique<net::UdpLink>(guest.runner));
}

void UdpListener::Impl::on_over(std::uint64_t number) {
  const auto found = guests_.find(number);
  if (found == guests_.end()) return;
  add(gone_, found->second.runner->core().counters());
  server_.forget(number);
  // It may be in the midst of a call.
  asio::post(io_, [runner = std::move(found->second.runner)] {});
  guests_.erase(found);
}

/// Several links' datagrams leave in one system call.
void UdpListener::Impl::flush_soon() {
  if (flush_posted_) return;
  flush_posted_ = true;
  asio::post(io_, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->flush_waiting();
    self->channel_->flush();
  });
}

void UdpListener::Impl::close() {
  on_link_ = nullptr;
  server_.stop_accepting();
}

void UdpListener::Impl::shut() {
  close();
  for (auto& [number, guest] : guests_) {
    guest.runner->when_ready = nullptr;
    guest.runner->when_failed = nullptr;
    guest.runner->core().end();
    guest.runner->core().flush(clock_now(), *channel_);
    server_.forget(number);
  }
  channel_->flush();
  channel_->close();
  waiting_.clear();
  guests_.clear();
}

UdpListenerCounters UdpListener::Impl::counters() const {
  UdpListenerCounters counters;
  counters.server = server_.counters();
  counters.links = gone_;
  for (const auto& [number, guest] : guests_) add(counters.links, guest.runner->core().counters());
  counters.upgraded = upgraded_;
  counters.handshakes_failed = handshakes_failed_;
  counters.not_sent = channel_->not_sent();
  counters.early_replayed = server_.replays();
  counters.open = guests_.size();
  return counters;
}

Result<std::unique_ptr<UdpListener>, UdpListenerError> UdpListener::open(
    asio::io_context& io, const UdpListenerOptions& options, const Certificate& certificate,
    OnLink on_link) {
  auto credentials = credentials_of(certificate, options.key_log);
  if (!credentials) return UdpListenerError{credentials.error().text};
  auto impl = std::make_shared<Impl>(io, options, std::move(*credentials), std::move(on_link));
  if (const auto failed = impl->open(options)) {
    return UdpListenerError{"UDP on " + options.bind.to_string() + ": " + net::to_text(failed)};
  }
  return std::unique_ptr<UdpListener>(new UdpListener(std::move(impl)));
}

UdpListener::~UdpListener() {
  impl_->shut();
}

std::optional<UdpListenerError> UdpListener::steer(unsigned shards) {
  const auto failed = impl_->steer(shards);
  if (!failed) return std::nullopt;
  return UdpListenerError{"choosing a shard by BPF: " + net::to_text(failed)};
}

void UdpListener::close() {
  impl_->close();
}

std::optional<CertificateError> UdpListener::set_certificate(const Certificate& certificate) {
  auto credentials = credentials_of(certificate, impl_->key_log());
  if (!credentials) return CertificateError{credentials.error().text};
  impl_->set_credentials(std::move(*credentials));
  return std::nullopt;
}

Endpoint UdpListener::local() const {
  return impl_->local();
}

UdpListenerCounters UdpListener::counters() const {
  return impl_->counters();
}

}  // namespace isthmus::link
