#pragma once
// A client that can misbehave: the bare stream, without the rules that WebSocketLink keeps.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "net/asio_address.hpp"
#include "net/websocket_stream.hpp"
#include "unit/net/net_support.hpp"

namespace isthmus::net::test {

class RawClient {
 public:
  RawClient(Loop& loop, Endpoint server)
      : loop_(loop),
        server_(server),
        tls_(boost::asio::ssl::context::tls_client),
        stream_(TcpSocket(loop.io), tls_) {}

  bool connect() { return run(do_connect()); }
  bool handshake() { return run(do_handshake()); }
  bool upgrade() { return run(do_upgrade()); }
  bool join() { return connect() && handshake() && upgrade(); }
  bool send(std::string_view message, bool text = false) { return run(do_send(message, text)); }
  /// The status of the answer to this HTTP request, 0 when none came; the text is in `body`.
  unsigned request(std::string_view text) {
    status_ = 0;
    run(do_request(text));
    return status_;
  }
  /// Reads messages until the link ends or `count` came.
  bool read(std::size_t count) { return run(do_read(count)); }

  std::vector<std::string> messages;
  std::string body;
  WebSocketStream& stream() { return stream_; }

 private:
  static constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);
  using Step = boost::asio::awaitable<bool>;

  bool run(Step step) {
    std::optional<bool> result;
    boost::asio::co_spawn(
        loop_.io, std::move(step),
        [&result](std::exception_ptr error, bool good) { result = !error && good; });
    return loop_.run_until([&] { return result.has_value(); }) && *result;
  }

  Step do_connect() {
    auto [error] =
        co_await stream_.tcp().async_connect(to_asio<boost::asio::ip::tcp>(server_), kAwait);
    co_return !error;
  }
  Step do_handshake() {
    auto [error] =
        co_await stream_.tls().async_handshake(boost::asio::ssl::stream_base::client, kAwait);
    co_return !error;
  }
  Step do_upgrade() {
    namespace websocket = boost::beast::websocket;
    stream_.websocket.set_option(
        websocket::stream_base::decorator([](websocket::request_type& request) {
          request.set(boost::beast::http::field::sec_websocket_protocol, kLinkSubprotocol);
        }));
    const std::string target(kLinkPath);
    auto [error] = co_await stream_.websocket.async_handshake("localhost", target, kAwait);
    co_return !error;
  }
  Step do_send(std::string_view message, bool text) {
    stream_.websocket.text(text);
    stream_.websocket.auto_fragment(false);
    auto [error, bytes] = co_await stream_.websocket.async_write(
        boost::asio::const_buffer(message.data(), message.size()), kAwait);
    static_cast<void>(bytes);
    co_return !error;
  }
  Step do_request(std::string_view text) {
    namespace http = boost::beast::http;
    auto [unsent, written] = co_await boost::asio::async_write(
        stream_.tls(), boost::asio::const_buffer(text.data(), text.size()), kAwait);
    static_cast<void>(written);
    if (unsent) co_return false;
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    auto [unread, bytes] = co_await http::async_read(stream_.tls(), buffer, response, kAwait);
    static_cast<void>(bytes);
    if (unread) co_return false;
    status_ = response.result_int();
    body = response.body();
    co_return true;
  }
  Step do_read(std::size_t count) {
    while (messages.size() < count) {
      boost::beast::flat_buffer buffer;
      auto [error, bytes] = co_await stream_.websocket.async_read(buffer, kAwait);
      if (error) co_return false;
      messages.emplace_back(static_cast<const char*>(buffer.cdata().data()), bytes);
    }
    co_return true;
  }

  Loop& loop_;
  Endpoint server_;
  boost::asio::ssl::context tls_;
  WebSocketStream stream_;
  unsigned status_ = 0;
};

}  // namespace isthmus::net::test
