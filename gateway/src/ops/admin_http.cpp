#include "ops/admin_http.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/serialize.hpp>
#include <list>
#include <optional>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/uri.hpp"

namespace isthmus::ops {
namespace {

constexpr std::string_view kNames =
    "/api/v1/{status,sessions,calls,registrations,providers,upstreams,route}";

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace json = boost::json;
using asio::ip::tcp;

using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr const char* kPlain = "text/plain; charset=utf-8";

struct Answer {
  http::status status = http::status::ok;
  const char* type = kPlain;
  std::string body;
};

Answer refusal(http::status status, std::string_view why) {
  return {status, kPlain, std::string(why) + "\n"};
}

asio::ip::address to_asio(const IpAddress& address) {
  if (address.is_v4()) return asio::ip::address_v4(address.v4_host_order());
  return asio::ip::address_v6(address.bytes());
}

/// The Host header's name or address, without its port.
std::string_view host_name(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_local_name(std::string_view host) {
  std::string_view name = host_name(host);
  return iequals(name, "localhost") || IpAddress::parse(name).has_value();
}

/// '+' stays: it begins telephone numbers, and nobody sends a form here.
AdminQuery parse_query(std::string_view query) {
  AdminQuery out;
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    std::size_t equals = pair.find('=');
    std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    out[sip::percent_decode(pair.substr(0, equals))] = sip::percent_decode(value);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
  }
  return out;
}

}  // namespace

/// Shared with the coroutines, which may end after the server.
class AdminServer::State : public std::enable_shared_from_this<State> {
 public:
  State(asio::any_io_executor executor, const AdminSource& source, Metrics& metrics, Log log)
      : executor_(std::move(executor)),
        acceptor_(executor_),
        source_(source),
        metrics_(metrics),
        log_(std::move(log)),
        requests_(metrics.counter("isthmus_admin_requests_total", "Requests to the admin server.")),
        refused_(metrics.counter("isthmus_admin_connections_refused_total",
                                 "Connections to the admin server above its limit.")) {}

  Result<std::uint16_t, AdminError> listen(const IpAddress& address, std::uint16_t port);
  void stop();

 private:
  using Streams = std::list<beast::tcp_stream>;

  asio::awaitable<void> accept_loop(std::shared_ptr<State> self);
  asio::awaitable<void> serve(std::shared_ptr<State> self, Streams::iterator stream);
  asio::awaitable<void> converse(beast::tcp_stream& stream);
  Response respond(const Request& request);
  Answer answer(const Request& request);
  Answer api(std::string_view name, std::string_view query);

  asio::any_io_executor executor_;
  tcp::acceptor acceptor_;
  const AdminSource& source_;
  Metrics& metrics_;
  Log log_;
  Counter& requests_;
  Counter& refused_;
  Streams streams_;
  bool loopback_ = true;
  bool stopped_ = false;
};

Result<std::uint16_t, AdminError> AdminServer::State::listen(const IpAddress& address,
                                                             std::uint16_t port) {
  tcp::endpoint endpoint(to_asio(address), port);
  boost::system::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
  tcp::endpoint bound;
  if (!error) bound = acceptor_.local_endpoint(error);
  if (error) {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    return AdminError{Endpoint{address, port}.to_string() + ": " + error.message()};
  }
  loopback_ = address.is_loopback();
  asio::co_spawn(executor_, accept_loop(shared_from_this()), asio::detached);
  return bound.port();
}

void AdminServer::State::stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for (beast::tcp_stream& stream : streams_) stream.cancel();
  for (beast::tcp_stream& stream : streams_) stream.socket().close(ignored);
}

asio::awaitable<void> AdminServer::State::accept_loop(std::shared_ptr<State> self) {
  while (!stopped_) {
    auto [error, socket] = co_await acceptor_.async_accept(kTuple);
    if (stopped_) co_return;
    if (error) {
      // Out of descriptors, or the peer left before it was accepted: neither ends the listener.
      log_.warning("admin_accept_failed", {{"error", error.message()}});
      asio::steady_timer pause(executor_, milliseconds(100));
      co_await pause.async_wait(kTuple);
      continue;
    }
    if (streams_.size() >= limits::kAdminConnections) {
      refused_.add();
      continue;  // closes the socket
    }
    streams_.emplace_back(std::move(socket));
    asio::co_spawn(executor_, serve(self, std::prev(streams_.end())), asio::detached);
  }
}

asio::awaitable<void> AdminServer::State::serve(std::shared_ptr<State> self,
                                                Streams::iterator stream) {
  co_await self->converse(*stream);
  boost::system::error_code ignored;
  stream->socket().shutdown(tcp::socket::shutdown_send, ignored);
  self->streams_.erase(stream);
}

asio::awaitable<void> AdminServer::State::converse(beast::tcp_stream& stream) {
  beast::flat_buffer buffer(limits::kAdminHeaderBytes);
  for (bool keep = true; keep && !stopped_;) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(limits::kAdminHeaderBytes));
    parser.body_limit(std::uint64_t{0});
    stream.expires_after(limits::kAdminIdle);
    auto [error, size] = co_await http::async_read(stream, buffer, parser, kTuple);
    Response response;
    if (!error) {
      response = respond(parser.get());
    } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      http::status status =
          error == http::error::header_limit || error == http::error::buffer_overflow
              ? http::status::request_header_fields_too_large
          : error == http::error::body_limit || error == http::error::unexpected_body
              ? http::status::payload_too_large
              : http::status::bad_request;
      response = Response(status, 11);
      response.set(http::field::content_type, kPlain);
      response.keep_alive(false);
      response.body() = error.message() + "\n";
      response.prepare_payload();
    } else {
      co_return;
    }
    stream.expires_after(limits::kAdminIdle);
    auto [failure, sent] = co_await http::async_write(stream, response, kTuple);
    keep = !failure && response.keep_alive();
  }
}

Response AdminServer::State::respond(const Request& request) {
  requests_.add();
  Answer found = answer(request);
  Response response(found.status, request.version());
  response.set(http::field::content_type, found.type);
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (found.status == http::status::method_not_allowed)
    response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(request.keep_alive());
  response.content_length(found.body.size());
  if (request.method() != http::verb::head) response.body() = std::move(found.body);
  return response;
}

Answer AdminServer::State::answer(const Request& request) {
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    return refusal(http::status::method_not_allowed, "only GET and HEAD");
  }
  auto host = request[http::field::host];
  if (loopback_ && !host.empty() && !is_local_name({host.data(), host.size()})) {
    return refusal(http::status::forbidden, "ask by address or as localhost");
  }
  std::string_view path(request.target().data(), request.target().size());
  std::size_t question = path.find('?');
  std::string_view query =
      question == std::string_view::npos ? std::string_view() : path.substr(question + 1);
  path = path.substr(0, question);
  if (path == "/metrics") {
    return {http::status::ok, "text/plain; version=0.0.4; charset=utf-8", metrics_.prometheus()};
  }
  if (path == "/healthz") {
    if (source_.serving()) return {http::status::ok, kPlain, "ok\n"};
    return refusal(http::status::service_unavailable, "not serving");
  }
  static constexpr std::string_view kApi = "/api/v1/";
  if (path.starts_with(kApi)) return api(path.substr(kApi.size()), query);
  return refusal(http::status::not_found,
                 "there are /metrics, /healthz and " + std::string(kNames));
}

Answer AdminServer::State::api(std::string_view name, std::string_view query) {
  json::value value;
  if (name == "status") {
    value = source_.status();
  } else if (name == "sessions") {
    value = source_.sessions();
  } else if (name == "calls") {
    value = source_.calls();
  } else if (name == "registrations") {
    value = source_.registrations();
  } else if (name == "providers") {
    value = source_.providers();
  } else if (name == "upstreams") {
    value = source_.upstreams();
  } else if (name == "route") {
    value = source_.route(parse_query(query));
  } else {
    return refusal(http::status::not_found, "there are " + std::string(kNames));
  }
  return {http::status::ok, "application/json", json::serialize(value) + "\n"};
}

AdminServer::AdminServer(asio::any_io_executor executor, const AdminSource& source,
                         Metrics& metrics, Log log)
    : state_(std::make_shared<State>(std::move(executor), source, metrics, std::move(log))) {}

AdminServer::~AdminServer() {
  state_->stop();
}

Result<std::uint16_t, AdminError> AdminServer::listen(const IpAddress& address,
                                                      std::uint16_t port) {
  return state_->listen(address, port);
}

void AdminServer::stop() {
  state_->stop();
}

}  // namespace isthmus::ops
