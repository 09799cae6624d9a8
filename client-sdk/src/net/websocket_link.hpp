#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "wire/link.hpp"

namespace isthmus::net {

struct WebSocketStream;

using wire::LinkCounters;

/// A TCP link: an established WebSocket over TLS, at either end of it. Owns the socket. Not
/// thread-safe: used on the thread that runs the stream's io_context, and every callback comes from
/// there, never from inside a call of this class.
///
///     open ──close()──▶ draining ──all sent──▶ closing ──closing handshake──▶ closed ─▶ on_closed
///       │                   └──────── limits::kLinkCloseLife ───────────────────▲
///       └── the peer closed, the socket failed, a message over the limit ───────┘
///
/// Closing codes on the WebSocket (RFC 6455 §7.4): normal is 1000, every other CloseCode is 4000
/// plus its number; a peer's 1001, 1002, 1003, 1007 and 1009 are read as going_away, protocol_error
/// and limit_exceeded.
///
/// Destroying the object detaches the handler; a link that was open is cut, one that is closing
/// finishes alone.
class WebSocketLink final : public wire::Link {
 public:
  /// @param ticket  held for as long as the socket lives, so that its giver can count sockets
  WebSocketLink(std::unique_ptr<WebSocketStream> stream, Endpoint local, Endpoint remote,
                std::shared_ptr<void> ticket = nullptr);
  ~WebSocketLink() override;

  void start(wire::LinkHandler& handler) override;

  /// A frame over limits::kReliableFrameBytes closes the link with limit_exceeded, because losing
  /// it silently would be worse; check before. A queue over its bound cuts the link with too_slow.
  /// Empty frames are not sent.
  void send_reliable(wire::Channel channel, ByteView bytes) override;
  void send_media(wire::Channel channel, ByteView bytes) override;
  /// Frames that arrive from now on are not delivered; on_closed follows with this code and reason.
  void close(wire::CloseCode code, std::string_view reason) override;

  Endpoint remote() const override { return remote_; }
  Endpoint local() const override { return local_; }
  LinkCounters counters() const override;

 private:
  class Socket;
  std::shared_ptr<Socket> socket_;
  Endpoint local_, remote_;
};

}  // namespace isthmus::net
