#pragma once
// The one socket type of the TCP link. Heavy: only the sources that drive sockets include this.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <string_view>

namespace isthmus::net {

inline constexpr std::string_view kLinkPath = "/isthmus/v1";
inline constexpr std::string_view kLinkSubprotocol = "isthmus.v1";

using TcpSocket =
    boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;
using TlsStream = boost::asio::ssl::stream<TcpSocket>;

/// WebSocket over TLS over TCP, without compression; the same type at both ends (the role is taken
/// at the handshake). A struct, so that light headers can name it.
struct WebSocketStream {
  WebSocketStream(TcpSocket socket, boost::asio::ssl::context& tls)
      : websocket(std::move(socket), tls) {}

  TlsStream& tls() { return websocket.next_layer(); }
  TcpSocket& tcp() { return websocket.next_layer().next_layer(); }

  boost::beast::websocket::stream<TlsStream, false> websocket;
};

}  // namespace isthmus::net
