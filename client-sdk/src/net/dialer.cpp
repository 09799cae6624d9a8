#include "net/dialer.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/websocket/error.hpp>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "net/asio_address.hpp"
#include "net/asio_error.hpp"
#include "net/host_resolver.hpp"
#include "net/websocket_link.hpp"
#include "net/websocket_stream.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using wire::CloseCode;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace

struct Dialer::Attempt : std::enable_shared_from_this<Attempt> {
  Attempt(asio::io_context& context, std::shared_ptr<ClientTrust> client_trust, Options with,
          Done then)
      : io(context),
        trust(std::move(client_trust)),
        options(std::move(with)),
        done(std::move(then)),
        timer(context),
        deadline(std::chrono::steady_clock::now() + options.time_limit) {}

  void start();
  static asio::awaitable<void> run(std::shared_ptr<Attempt> self, std::vector<Endpoint> places);
  asio::awaitable<std::optional<DialError>> try_address(Endpoint endpoint, Duration share);
  asio::awaitable<std::optional<DialError>> tunnel();
  asio::awaitable<std::optional<DialError>> upgrade();
  void limit(Instant until);
  void expire(Instant until);
  void finish(Result<std::unique_ptr<wire::Link>, DialError> result);
  void abandon();

  asio::io_context& io;
  std::shared_ptr<ClientTrust> trust;
  Options options;
  Done done;
  std::optional<HostResolver> resolver;
  asio::steady_timer timer;
  Instant deadline;
  std::unique_ptr<WebSocketStream> stream;  ///< of the address being tried
  ClientTrust::Verdict verdict = std::make_shared<std::optional<TrustError>>();
  std::string step = "resolving the name";
  bool over = false;
};

/// Bounds the step that follows; the deadline of the whole attempt bounds it too.
void Dialer::Attempt::limit(Instant until) {
  until = std::min(until, deadline);
  timer.expires_at(until);
  timer.async_wait([self = shared_from_this(), until](const error_code& error) {
    if (!error) self->expire(until);
  });
}

void Dialer::Attempt::expire(Instant until) {
  if (over || timer.expiry() != until) return;  // a later step re-armed the timer meanwhile
  error_code ignored;
  if (stream) stream->tcp().close(ignored);  // the step fails, and the next address comes
  if (until < deadline) return;
  finish(DialError{CloseCode::timeout,
                   options.url.whereabouts() + " did not answer in time, while " + step});
}

void Dialer::Attempt::finish(Result<std::unique_ptr<wire::Link>, DialError> result) {
  if (over) return;
  abandon();
  if (Done then = std::exchange(done, nullptr)) then(std::move(result));
}

void Dialer::Attempt::abandon() {
  over = true;
  timer.cancel();
  resolver.reset();
  error_code ignored;
  if (stream) stream->tcp().close(ignored);
}

void Dialer::Attempt::start() {
  limit(deadline);
  const GatewayUrl& url = options.url;
  const std::string& host = options.proxy ? options.proxy->host : url.dial_host();
  const std::uint16_t port = options.proxy ? options.proxy->port : url.tcp_port();
  resolver.emplace(
      io, options.dns_servers, host, port,
      [weak = weak_from_this()](std::vector<Endpoint> found, const std::string& problem) {
        const auto self = weak.lock();
        if (!self || self->over) return;
        if (found.empty()) return self->finish(DialError{CloseCode::going_away, problem});
        asio::co_spawn(self->io, run(self, std::move(found)), asio::detached);
      });
}

asio::awaitable<void> Dialer::Attempt::run(std::shared_ptr<Attempt> self,
                                           std::vector<Endpoint> endpoints) {
  DialError last{};
  for (std::size_t i = 0; i < endpoints.size() && !self->over; ++i) {
    // Every address gets its part of the time that is left, and TLS one more.
    const auto parts = static_cast<Duration::rep>(endpoints.size() - i + 1);
    const Duration left = self->deadline - std::chrono::steady_clock::now();
    auto error = co_await self->try_address(endpoints[i], left / parts);
    if (self->over) co_return;
    if (!error) {
      error_code failed;
      const auto local = self->stream->tcp().local_endpoint(failed);
      auto link =
          std::make_unique<WebSocketLink>(std::move(self->stream), from_asio(local), endpoints[i]);
      self->finish(std::move(link));
      co_return;
    }
    last = std::move(*error);
  }
  self->finish(std::move(last));
}

asio::awaitable<std::optional<DialError>> Dialer::Attempt::try_address(Endpoint endpoint,
                                                                       Duration share) {
  std::string where = endpoint.to_string();
  stream = std::make_unique<WebSocketStream>(TcpSocket(io), trust->context());
  step = "connecting to " + where;
  limit(std::chrono::steady_clock::now() + share);
  auto [refused] = co_await stream->tcp().async_connect(to_asio<tcp>(endpoint), kAwait);
  if (over) co_return std::nullopt;
  if (refused == asio::error::operation_aborted) {
    co_return DialError{CloseCode::timeout, where + " did not answer"};
  }
  if (refused) {
    co_return DialError{CloseCode::going_away, "connecting to " + where + ": " + to_text(refused)};
  }
  error_code ignored;
  stream->tcp().set_option(tcp::no_delay(true), ignored);

  limit(deadline);
  if (options.proxy) {
    if (auto error = co_await tunnel(); over || error) co_return error;
    where = options.url.authority() + " by the proxy " + where;
  }
  step = "TLS handshake with " + where;
  verdict->reset();
  auto verify = trust->prepare(stream->tls().native_handle(), options.url.host, verdict);
  stream->tls().set_verify_callback(
      [verify = std::move(verify)](bool preverified, asio::ssl::verify_context& context) {
        return verify(preverified, context.native_handle());
      });
  auto [untrusted] = co_await stream->tls().async_handshake(asio::ssl::stream_base::client, kAwait);
  if (over) co_return std::nullopt;
  if (*verdict) co_return DialError{CloseCode::forbidden, (*verdict)->text};
  if (untrusted) {
    // A gateway that has no room, or for which a bad network took too long, just closes.
    const bool spoke = untrusted.category() == asio::error::get_ssl_category();
    co_return DialError{spoke ? CloseCode::protocol_error : CloseCode::going_away,
                        "TLS handshake with " + where + ": " + to_text(untrusted)};
  }
  step = "asking " + where + " for the WebSocket";
  co_return co_await upgrade();
}

asio::awaitable<std::optional<DialError>> Dialer::Attempt::tunnel() {
  const std::string name = "the proxy " + options.proxy->authority();
  const GatewayUrl& url = options.url;
  const std::string target = bracketed(url.dial_host()) + ":" + std::to_string(url.tcp_port());
  step = "asking " + name + " for a tunnel";
  const std::string request = connect_request(*options.proxy, target, options.software);
  auto [unsent, sent] = co_await asio::async_write(stream->tcp(), asio::buffer(request), kAwait);
  static_cast<void>(sent);
  if (over) co_return std::nullopt;
  boost::beast::flat_buffer buffer(limits::kProxyAnswerBytes);
  http::response_parser<http::empty_body> parser;
  parser.skip(true);  // a 2xx to CONNECT has no body, and what any other has is of no use
  auto [unread, got] = co_await http::async_read_header(stream->tcp(), buffer, parser, kAwait);
  static_cast<void>(got);
  if (over) co_return std::nullopt;
  if (unsent || unread) {
    co_return DialError{CloseCode::going_away,
                        name + " did not answer: " + to_text(unsent ? unsent : unread)};
  }
  const unsigned status = parser.get().result_int();
  if (status == 407 || status == 401) {  // the latter is tinyproxy's for wrong ones
    co_return DialError{CloseCode::unauthorized,
                        name + (options.proxy->user.empty() ? " asks for a user and password"
                                                            : " refuses the user and password")};
  }
  if (status / 100 != 2) {
    co_return DialError{CloseCode::going_away, name + " opens no tunnel to " + target +
                                                   ": it answers " + std::to_string(status)};
  }
  if (buffer.size() != 0) {  // TLS servers wait for the client
    co_return DialError{CloseCode::protocol_error, name + " sends what no gateway does"};
  }
  co_return std::nullopt;
}

asio::awaitable<std::optional<DialError>> Dialer::Attempt::upgrade() {
  auto& ws = stream->websocket;
  const std::string software = options.software;
  ws.set_option(websocket::stream_base::decorator([software](websocket::request_type& request) {
    request.set(http::field::sec_websocket_protocol, kLinkSubprotocol);
    if (!software.empty()) request.set(http::field::user_agent, software);
  }));
  websocket::response_type response;
  auto [error] =
      co_await ws.async_handshake(response, options.url.authority(), options.url.target, kAwait);
  if (over) co_return std::nullopt;
  if (error == websocket::error::upgrade_declined) {
    co_return DialError{CloseCode::protocol_error,
                        options.url.to_string() + " answers HTTP " +
                            std::to_string(response.result_int()) +
                            " in place of a link; is it an Isthmus gateway's URL?"};
  }
  if (error) {
    co_return DialError{
        error == websocket::condition::handshake_failed ? CloseCode::protocol_error
                                                        : CloseCode::going_away,
        "WebSocket handshake with " + options.url.authority() + ": " + to_text(error)};
  }
  if (response[http::field::sec_websocket_protocol] != kLinkSubprotocol) {
    co_return DialError{CloseCode::protocol_error, options.url.to_string() + " does not speak " +
                                                       std::string(kLinkSubprotocol)};
  }
  co_return std::nullopt;
}

Dialer::Dialer(asio::io_context& io, std::shared_ptr<ClientTrust> trust, Options options, Done done)
    : attempt_(
          std::make_shared<Attempt>(io, std::move(trust), std::move(options), std::move(done))) {
  attempt_->start();
}

Dialer::~Dialer() {
  attempt_->abandon();
}

}  // namespace isthmus::net
