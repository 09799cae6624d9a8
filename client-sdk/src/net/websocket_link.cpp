#include "net/websocket_link.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/error.hpp>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "net/asio_error.hpp"
#include "net/websocket_stream.hpp"
#include "wire/frame.hpp"
#include "wire/send_queue.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using wire::CloseCode;

namespace {

constexpr std::uint16_t kPrivateCloseCodes = 4000;  // RFC 6455 §7.4.2
constexpr auto kLastCloseCode = static_cast<std::uint16_t>(wire::kLastCloseCode);
/// Channel (at most 8 bytes as a varint) before the largest reliable frame.
constexpr std::size_t kMessageBytes = limits::kReliableFrameBytes + 8;
constexpr std::size_t kReadPart = 4096;
constexpr std::size_t kTcpIpv4Headers = 20 + 20 + 12, kTcpIpv6Headers = 40 + 20 + 12;  // timestamps

std::uint16_t to_websocket(CloseCode code) {
  if (code == CloseCode::normal) return websocket::close_code::normal;
  return static_cast<std::uint16_t>(kPrivateCloseCodes + static_cast<std::uint32_t>(code));
}

CloseCode from_websocket(std::uint16_t code) {
  if (code > kPrivateCloseCodes && code <= kPrivateCloseCodes + kLastCloseCode) {
    return static_cast<CloseCode>(code - kPrivateCloseCodes);
  }
  switch (code) {
    case websocket::close_code::normal:
      return CloseCode::normal;
    case websocket::close_code::protocol_error:
    case websocket::close_code::unknown_data:
    case websocket::close_code::bad_payload:
      return CloseCode::protocol_error;
    case websocket::close_code::too_big:
      return CloseCode::limit_exceeded;
    case websocket::close_code::internal_error:
      return CloseCode::internal_error;
    default:
      return CloseCode::going_away;
  }
}

CloseCode code_of(wire::FrameError error) {
  const bool limit =
      error == wire::FrameError::too_large || error == wire::FrameError::channel_out_of_range;
  return limit ? CloseCode::limit_exceeded : CloseCode::protocol_error;
}

void tune(TcpSocket& socket) {
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  // The kernel takes little that it cannot send at once; the rest waits in the SendQueue, where
  // media can still be dropped for its age.
  const int unsent = limits::kTcpUnsentBytes;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

}  // namespace

class WebSocketLink::Socket : public std::enable_shared_from_this<Socket> {
 public:
  Socket(std::unique_ptr<WebSocketStream> stream, std::shared_ptr<void> ticket);

  void start(wire::LinkHandler& handler);
  void detach();
  void send_reliable(wire::Channel channel, ByteView bytes);
  void send_media(wire::Channel channel, ByteView bytes);
  void close(CloseCode code, std::string_view reason);
  LinkCounters counters() const;

 private:
  enum class State : std::uint8_t { open, draining, closing, closed };

  void read_next();
  void on_read(const error_code& error);
  void on_read_error(const error_code& error);
  void deliver(ByteView message);
  std::size_t wire_bytes(std::size_t payload, bool out) const;
  void pump();
  void on_write(const error_code& error, std::size_t bytes);
  void begin_close();
  void arm(Duration life, CloseCode code, std::string reason);
  void finish(CloseCode code, std::string reason);

  std::unique_ptr<WebSocketStream> stream_;
  std::shared_ptr<void> ticket_;
  wire::LinkHandler* handler_ = nullptr;
  boost::beast::flat_buffer buffer_{kMessageBytes + 1};  ///< one more tells that it is too much
  wire::SendQueue queue_;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>,
                             asio::io_context::executor_type>
      timer_;
  State state_ = State::open;
  bool client_ = false, ipv6_ = false;
  std::size_t record_overhead_ = 0;  ///< of TLS
  bool writing_ = false;
  bool broken_ = false;  ///< a write failed; the read that pends will say why
  CloseCode code_ = CloseCode::normal;
  std::string reason_;
  LinkCounters counters_;
};

WebSocketLink::Socket::Socket(std::unique_ptr<WebSocketStream> stream, std::shared_ptr<void> ticket)
    : stream_(std::move(stream)),
      ticket_(std::move(ticket)),
      timer_(stream_->tcp().get_executor()) {
  auto& ws = stream_->websocket;
  ws.binary(true);
  ws.auto_fragment(false);
  ws.read_message_max(0);  // see read_next()
  // Liveness is the session's work (Ping, Pong); this bounds closing handshakes only.
  ws.set_option(websocket::stream_base::timeout{limits::kLinkCloseLife,
                                                websocket::stream_base::none(), false});
  tune(stream_->tcp());
  SSL* tls = stream_->tls().native_handle();
  client_ = SSL_is_server(tls) == 0;
  // Header and tag, and the true content type (RFC 8446 §5.2) or an explicit nonce (RFC 5288 §3).
  record_overhead_ = SSL_version(tls) >= TLS1_3_VERSION ? 5 + 16 + 1 : 5 + 16 + 8;
  error_code ignored;
  const auto local = stream_->tcp().local_endpoint(ignored);
  ipv6_ = local.address().is_v6() && !local.address().to_v6().is_v4_mapped();
}

void WebSocketLink::Socket::start(wire::LinkHandler& handler) {
  handler_ = &handler;
  read_next();
}

void WebSocketLink::Socket::detach() {
  handler_ = nullptr;
  if (state_ == State::open) finish(CloseCode::normal, {});
}

void WebSocketLink::Socket::send_reliable(wire::Channel channel, ByteView bytes) {
  if (state_ != State::open || bytes.empty()) return;
  if (bytes.size() > limits::kReliableFrameBytes) {
    close(CloseCode::limit_exceeded, "a frame of " + std::to_string(bytes.size()) +
                                         " bytes was to be sent, the limit is " +
                                         std::to_string(limits::kReliableFrameBytes));
    return;
  }
  if (!queue_.push_reliable(channel, bytes)) {
    // Nothing more can be said to a peer that does not read: cut.
    finish(CloseCode::too_slow,
           "the peer reads too slowly, " + std::to_string(queue_.reliable_bytes()) + " bytes wait");
    return;
  }
  ++counters_.reliable_frames_out;
  pump();
}

void WebSocketLink::Socket::send_media(wire::Channel channel, ByteView bytes) {
  if (state_ != State::open) return;
  ++counters_.media_frames_out;
  queue_.push_media(channel, bytes, std::chrono::steady_clock::now());
  pump();
}

void WebSocketLink::Socket::close(CloseCode code, std::string_view reason) {
  if (state_ != State::open) return;
  state_ = State::draining;
  code_ = code;
  reason_ = reason;
  arm(limits::kLinkCloseLife, code, reason_);
  pump();
}

LinkCounters WebSocketLink::Socket::counters() const {
  LinkCounters counters = counters_;
  counters.media_dropped = queue_.media_dropped();
  return counters;
}

/// Parts of messages, not whole ones: Beast's own bound (read_message_max) ends a message over it
/// with a TLS close at once, and a peer in the middle of its megabytes would never hear why.
void WebSocketLink::Socket::read_next() {
  // Small parts, so that a message's announced length reserves no memory before its bytes are here.
  const std::size_t part = std::min(kReadPart, buffer_.max_size() - buffer_.size());
  stream_->websocket.async_read_some(
      buffer_, part,
      [self = shared_from_this()](const error_code& error, std::size_t) { self->on_read(error); });
}

void WebSocketLink::Socket::on_read(const error_code& error) {
  if (state_ == State::closed || state_ == State::closing) return;  // begin_close() ends the socket
  if (error) return on_read_error(error);
  const bool too_big = buffer_.size() > kMessageBytes;
  if (too_big && state_ == State::open) {
    ++counters_.malformed_messages;
    close(CloseCode::limit_exceeded,
          "a message over " + std::to_string(kMessageBytes) + " bytes came");
  }
  if (stream_->websocket.is_message_done() && !too_big) {
    const ByteView message{static_cast<const std::uint8_t*>(buffer_.cdata().data()),
                           buffer_.size()};
    ++counters_.messages_in;
    counters_.bytes_in += message.size();
    if (state_ == State::open) deliver(message);
    buffer_.consume(buffer_.size());
  } else if (too_big) {
    buffer_.consume(buffer_.size());  // what still comes while we close is thrown away
  }
  if (state_ == State::closed || state_ == State::closing) return;
  if (buffer_.size() == 0 && buffer_.capacity() > limits::kLinkBufferKeptBytes) {
    buffer_.shrink_to_fit();
  }
  read_next();
}

void WebSocketLink::Socket::deliver(ByteView message) {
  if (!stream_->websocket.got_binary()) {
    ++counters_.malformed_messages;
    return close(CloseCode::protocol_error, "a text message came, frames are binary");
  }
  wire::FrameReader reader(message);
  bool first = true;
  while (const auto frame = reader.next()) {
    if (frame->channel >= limits::kFirstMediaChannel) {
      ++counters_.media_frames_in;
      if (std::exchange(first, false)) {
        ++counters_.media_messages_in;
        counters_.media_wire_bytes_in += wire_bytes(message.size(), false);
      }
      handler_->on_media(frame->channel, frame->bytes);
    } else {
      ++counters_.reliable_frames_in;
      handler_->on_reliable(frame->channel, frame->bytes);
    }
    if (state_ != State::open || handler_ == nullptr) return;  // the handler closed or destroyed us
  }
  if (!reader.error()) return;
  ++counters_.malformed_messages;
  close(code_of(*reader.error()),
        std::string("a malformed message came: ") + wire::to_text(*reader.error()));
}

void WebSocketLink::Socket::on_read_error(const error_code& error) {
  if (state_ == State::draining) return finish(code_, std::move(reason_));
  if (error == websocket::error::closed) {
    const websocket::close_reason& said = stream_->websocket.reason();
    std::string text = printable_ascii({said.reason.data(), said.reason.size()});
    if (text.empty()) text = "the other end closed the link";
    return finish(from_websocket(said.code), std::move(text));
  }
  if (error == websocket::condition::protocol_violation) {
    ++counters_.malformed_messages;
    return finish(CloseCode::protocol_error, "WebSocket: " + error.message());
  }
  finish(CloseCode::going_away, "connection lost: " + to_text(error));
}

/// What a message costs on the wire: WebSocket header (RFC 6455 §5.2), one TLS record, and the
/// TCP/IP headers of the segment that TCP_NODELAY gives it.
std::size_t WebSocketLink::Socket::wire_bytes(std::size_t payload, bool out) const {
  const bool masked = out == client_;
  const std::size_t header = (payload < 126 ? 2 : payload < 65536 ? 4 : 10) + (masked ? 4 : 0);
  return payload + header + record_overhead_ + (ipv6_ ? kTcpIpv6Headers : kTcpIpv4Headers);
}

void WebSocketLink::Socket::pump() {
  if (writing_ || broken_ || (state_ != State::open && state_ != State::draining)) return;
  const auto message = queue_.pop(std::chrono::steady_clock::now(), limits::kMediaMessageBytes);
  if (!message) {
    if (state_ == State::draining) begin_close();
    return;
  }
  writing_ = true;
  if (queue_.popped_media()) {
    ++counters_.media_messages_out;
    counters_.media_wire_bytes_out += wire_bytes(message->size(), true);
  }
  stream_->websocket.async_write(
      asio::const_buffer(message->data(), message->size()),
      [self = shared_from_this()](const error_code& error, std::size_t bytes) {
        self->on_write(error, bytes);
      });
}

void WebSocketLink::Socket::on_write(const error_code& error, std::size_t bytes) {
  writing_ = false;
  if (state_ == State::closed) return;
  if (!error) {
    ++counters_.messages_out;
    counters_.bytes_out += bytes;
    return pump();
  }
  // The read that pends knows more: the peer's close frame may wait in front of the reset that
  // failed this.
  broken_ = true;
  if (state_ == State::open) {
    arm(limits::kLinkCloseLife, CloseCode::going_away, "connection lost: " + to_text(error));
  }
}

void WebSocketLink::Socket::begin_close() {
  state_ = State::closing;
  websocket::close_reason said(to_websocket(code_));
  said.reason =
      boost::beast::string_view(reason_.data(), std::min<std::size_t>(reason_.size(), 123));
  stream_->websocket.async_close(said, [self = shared_from_this()](const error_code&) {
    self->finish(self->code_, std::move(self->reason_));
  });
}

/// Ends the link with this verdict if nothing better comes within `life`.
void WebSocketLink::Socket::arm(Duration life, CloseCode code, std::string reason) {
  timer_.expires_after(life);
  timer_.async_wait([self = shared_from_this(), code,
                     reason = std::move(reason)](const error_code& error) mutable {
    if (!error) self->finish(code, std::move(reason));
  });
}

void WebSocketLink::Socket::finish(CloseCode code, std::string reason) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  timer_.cancel();
  error_code ignored;
  stream_->tcp().close(ignored);
  ticket_.reset();
  if (handler_ == nullptr) return;
  asio::post(timer_.get_executor(), [self = shared_from_this(), code, reason = std::move(reason)] {
    if (wire::LinkHandler* handler = std::exchange(self->handler_, nullptr)) {
      handler->on_closed(code, reason);
    }
  });
}

WebSocketLink::WebSocketLink(std::unique_ptr<WebSocketStream> stream, Endpoint local,
                             Endpoint remote, std::shared_ptr<void> ticket)
    : socket_(std::make_shared<Socket>(std::move(stream), std::move(ticket))),
      local_(local),
      remote_(remote) {}

WebSocketLink::~WebSocketLink() {
  socket_->detach();
}

void WebSocketLink::start(wire::LinkHandler& handler) {
  socket_->start(handler);
}

void WebSocketLink::send_reliable(wire::Channel channel, ByteView bytes) {
  socket_->send_reliable(channel, bytes);
}

void WebSocketLink::send_media(wire::Channel channel, ByteView bytes) {
  socket_->send_media(channel, bytes);
}

void WebSocketLink::close(CloseCode code, std::string_view reason) {
  socket_->close(code, reason);
}

LinkCounters WebSocketLink::counters() const {
  return socket_->counters();
}

}  // namespace isthmus::net
