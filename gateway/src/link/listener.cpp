#include "link/listener.hpp"

#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <unordered_set>
#include <utility>

#include "link/upgrade_request.hpp"
#include "net/asio_address.hpp"
#include "net/asio_error.hpp"
#include "net/clock.hpp"
#include "net/key_log.hpp"
#include "net/websocket_link.hpp"
#include "net/websocket_stream.hpp"

namespace isthmus::link {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using net::TcpSocket;
using net::wall_now;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
/// After accept() failed for want of descriptors or memory: trying again at once would only spin.
constexpr Duration kAcceptPause = milliseconds(100);

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

Result<std::shared_ptr<asio::ssl::context>, CertificateError> make_context(
    const Certificate& certificate) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(
      raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);  // 34 KiB less for every link at rest
  bool good = ::SSL_CTX_use_certificate(raw, certificate.chain.front().get()) == 1 &&
              ::SSL_CTX_use_PrivateKey(raw, certificate.key.get()) == 1;
  for (std::size_t i = 1; good && i < certificate.chain.size(); ++i) {
    good = SSL_CTX_add1_chain_cert(raw, certificate.chain[i].get()) == 1;
  }
  if (!good) return CertificateError{"TLS does not take the certificate or its key"};
  return context;
}

ListenerError cannot_listen(const Endpoint& bind, const error_code& error) {
  return {"listening on " + bind.to_string() + ": " + net::to_text(error)};
}

Result<Endpoint, ListenerError> bind_to(Acceptor& acceptor, const Endpoint& bind, bool reuse_port) {
  using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  const auto endpoint = net::to_asio<tcp>(bind);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && reuse_port) acceptor.set_option(ReusePort(true), error);
  if (!error && endpoint.address().is_v6() && endpoint.address().is_unspecified()) {
    acceptor.set_option(asio::ip::v6_only(false), error);
  }
  if (!error) acceptor.bind(endpoint, error);
  if (error) return cannot_listen(bind, error);
  return net::from_asio(acceptor.local_endpoint(error));
}

}  // namespace

ListenerCounters& ListenerCounters::operator+=(const ListenerCounters& of) {
  accepted += of.accepted;
  upgraded += of.upgraded;
  over_limit += of.over_limit;
  tls_failed += of.tls_failed;
  http_failed += of.http_failed;
  http_answered += of.http_answered;
  timed_out += of.timed_out;
  accept_errors += of.accept_errors;
  open += of.open;
  return *this;
}

class Listener::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, ListenerOptions options, OnLink on_link)
      : io_(io),
        options_(std::move(options)),
        on_link_(std::move(on_link)),
        acceptor_(io),
        pause_(io) {
    if (!options_.open_together) {
      options_.open_together = std::make_shared<std::atomic<std::size_t>>(0);
    }
  }

  std::optional<ListenerError> open();
  void run() { asio::co_spawn(io_, accept_loop(shared_from_this()), asio::detached); }
  void close();
  Result<CertificateReport, CertificateError> reload();
  std::optional<CertificateError> use(const Certificate& certificate);
  const CertificateReport& report() const { return report_; }
  const Certificate& loaded() const { return certificate_; }
  Endpoint local() const { return local_; }
  ListenerCounters counters() const;

 private:
  /// A socket that is not yet a link.
  struct Guest {
    Guest(asio::io_context& io, TcpSocket socket, std::shared_ptr<asio::ssl::context> with)
        : tls(std::move(with)),
          timer(io),
          stream(std::make_unique<net::WebSocketStream>(std::move(socket), *tls)) {}
    void cut() {
      error_code ignored;
      if (stream) stream->tcp().close(ignored);
    }

    std::shared_ptr<asio::ssl::context> tls;  ///< a reload must not take it away in mid-handshake
    asio::steady_timer timer;
    std::unique_ptr<net::WebSocketStream> stream;
    std::shared_ptr<void> ticket;
    Endpoint remote, local;
    bool timed_out = false;
  };

  static asio::awaitable<void> accept_loop(std::shared_ptr<Impl> self);
  static asio::awaitable<void> receive(std::shared_ptr<Impl> self, std::shared_ptr<Guest> guest);
  asio::awaitable<bool> shake_hands(Guest& guest);
  asio::awaitable<void> answer(Guest& guest, TextResponse response);
  void admit(TcpSocket socket);
  void limit(const std::shared_ptr<Guest>& guest);

  asio::io_context& io_;
  ListenerOptions options_;
  OnLink on_link_;
  Acceptor acceptor_;
  asio::steady_timer pause_;
  std::shared_ptr<asio::ssl::context> tls_;
  Certificate certificate_;
  CertificateReport report_;
  Endpoint local_;
  ListenerCounters counters_;
  std::shared_ptr<std::size_t> open_ = std::make_shared<std::size_t>(0);
  std::unordered_set<std::shared_ptr<Guest>> guests_;
};

std::optional<ListenerError> Listener::Impl::open() {
  auto loaded = reload();
  if (!loaded) return ListenerError{loaded.error().text};
  auto bound = bind_to(acceptor_, options_.bind, options_.reuse_port);
  if (!bound) return bound.error();
  local_ = *bound;
  error_code error;
  acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannot_listen(options_.bind, error);
  return std::nullopt;
}

std::optional<CertificateError> Listener::Impl::use(const Certificate& certificate) {
  auto context = make_context(certificate);
  if (!context) return context.error();
  if (options_.key_log) net::log_keys((*context)->native_handle());
  tls_ = std::move(*context);
  return std::nullopt;
}

Result<CertificateReport, CertificateError> Listener::Impl::reload() {
  auto certificate = get_certificate(options_.certificate, wall_now());
  if (!certificate) return certificate.error();
  if (auto wrong = use(*certificate)) return *wrong;
  report_ = {certificate->pin, certificate->self_signed, certificate->made_now,
             certificate->not_after, certificate->warnings};
  certificate_ = std::move(*certificate);
  return report_;
}

void Listener::Impl::close() {
  on_link_ = nullptr;
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  for (const auto& guest : guests_) guest->cut();
}

ListenerCounters Listener::Impl::counters() const {
  ListenerCounters counters = counters_;
  counters.open = *open_;
  return counters;
}

asio::awaitable<void> Listener::Impl::accept_loop(std::shared_ptr<Impl> self) {
  while (self->acceptor_.is_open()) {
    TcpSocket socket(self->io_);
    auto [error] = co_await self->acceptor_.async_accept(socket, kAwait);
    if (!self->acceptor_.is_open()) break;
    if (!error) {
      self->admit(std::move(socket));
      continue;
    }
    ++self->counters_.accept_errors;
    if (error == asio::error::connection_aborted) continue;  // that client's own doing
    self->pause_.expires_after(kAcceptPause);
    auto [ignored] = co_await self->pause_.async_wait(kAwait);
    static_cast<void>(ignored);
  }
}

void Listener::Impl::admit(TcpSocket socket) {
  ++counters_.accepted;
  error_code ignored;
  if (*options_.open_together >= options_.max_connections) {
    ++counters_.over_limit;
    socket.close(ignored);
    return;
  }
  error_code gone;
  const auto remote = socket.remote_endpoint(gone);
  const auto local = socket.local_endpoint(gone);
  if (gone) {  // reset before we looked
    ++counters_.tls_failed;
    return;
  }
  socket.set_option(tcp::no_delay(true), ignored);
  auto guest = std::make_shared<Guest>(io_, std::move(socket), tls_);
  guest->remote = net::from_asio(remote);
  guest->local = net::from_asio(local);
  ++*open_;
  ++*options_.open_together;
  guest->ticket =
      std::shared_ptr<void>(nullptr, [open = open_, together = options_.open_together](void*) {
        --*open;
        --*together;
      });
  guests_.insert(guest);
  asio::co_spawn(io_, receive(shared_from_this(), std::move(guest)), asio::detached);
}

/// Gives the guest's next step its time.
void Listener::Impl::limit(const std::shared_ptr<Guest>& guest) {
  guest->timer.expires_after(options_.handshake_limit);
  guest->timer.async_wait([guest, until = guest->timer.expiry()](const error_code& error) {
    if (error || guest->timer.expiry() != until || !guest->stream) return;
    guest->timed_out = true;
    guest->cut();
  });
}

asio::awaitable<void> Listener::Impl::receive(std::shared_ptr<Impl> self,
                                              std::shared_ptr<Guest> guest) {
  self->limit(guest);
  auto [error] =
      co_await guest->stream->tls().async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) {
    ++(guest->timed_out ? self->counters_.timed_out : self->counters_.tls_failed);
  } else {
    self->limit(guest);
    const bool upgraded = co_await self->shake_hands(*guest);
    if (upgraded && self->on_link_) {
      ++self->counters_.upgraded;
      auto link = std::make_unique<net::WebSocketLink>(std::move(guest->stream), guest->local,
                                                       guest->remote, std::move(guest->ticket));
      const OnLink on_link = self->on_link_;  // the owner may close() inside of it
      on_link(std::move(link));
    }
  }
  guest->timer.cancel();
  guest->cut();
  guest->ticket.reset();
  self->guests_.erase(guest);
}

/// The HTTP request and its answer. @return whether the socket is a WebSocket now
asio::awaitable<bool> Listener::Impl::shake_hands(Guest& guest) {
  boost::beast::flat_buffer buffer(limits::kHttpHeaderBytes);
  http::request_parser<http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(limits::kHttpHeaderBytes));
  auto [unread, bytes] =
      co_await http::async_read_header(guest.stream->tls(), buffer, parser, kAwait);
  static_cast<void>(bytes);
  if (unread) {
    ++(guest.timed_out ? counters_.timed_out : counters_.http_failed);
    co_return false;
  }
  const UpgradeRequest& request = parser.get();
  if (auto refusal = refuse_upgrade(request)) {
    ++counters_.http_answered;
    co_await answer(guest, std::move(*refusal));
    co_return false;
  }
  if (buffer.size() != 0) {  // frames before our answer (RFC 6455 §4.1) would be lost
    ++counters_.http_failed;
    co_return false;
  }
  auto& ws = guest.stream->websocket;
  ws.set_option(websocket::stream_base::timeout{options_.handshake_limit,
                                                websocket::stream_base::none(), false});
  ws.set_option(websocket::stream_base::decorator([](websocket::response_type& response) {
    response.set(http::field::sec_websocket_protocol, net::kLinkSubprotocol);
  }));
  auto [declined] = co_await ws.async_accept(request, kAwait);
  if (declined) {
    ++(guest.timed_out ? counters_.timed_out : counters_.http_failed);
    co_return false;
  }
  co_return true;
}

asio::awaitable<void> Listener::Impl::answer(Guest& guest, TextResponse response) {
  auto [unsent, bytes] = co_await http::async_write(guest.stream->tls(), response, kAwait);
  static_cast<void>(bytes);
  if (unsent) co_return;
  auto [ignored] = co_await guest.stream->tls().async_shutdown(kAwait);
  static_cast<void>(ignored);
}

Result<std::unique_ptr<Listener>, ListenerError> Listener::open(asio::io_context& io,
                                                                ListenerOptions options,
                                                                OnLink on_link) {
  auto impl = std::make_shared<Impl>(io, std::move(options), std::move(on_link));
  if (auto error = impl->open()) return *error;
  impl->run();
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Result<Endpoint, ListenerError> Listener::find_free(asio::io_context& io, const Endpoint& bind) {
  Acceptor acceptor(io);
  return bind_to(acceptor, bind, false);
}

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() {
  impl_->close();
}
void Listener::close() {
  impl_->close();
}
Result<CertificateReport, CertificateError> Listener::reload_certificates() {
  return impl_->reload();
}
std::optional<CertificateError> Listener::set_certificate(const Certificate& certificate) {
  return impl_->use(certificate);
}
const Certificate& Listener::loaded() const {
  return impl_->loaded();
}

const CertificateReport& Listener::certificate() const {
  return impl_->report();
}
Endpoint Listener::local() const {
  return impl_->local();
}
ListenerCounters Listener::counters() const {
  return impl_->counters();
}

}  // namespace isthmus::link
