#include "transport/sip_connection.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "net/asio_address.hpp"
#include "net/asio_error.hpp"
#include "net/clock.hpp"
#include "transport/tls_contexts.hpp"
#include "transport/udp_socket.hpp"

namespace isthmus::transport {

namespace asio = boost::asio;
using boost::system::error_code;
using net::clock_now;
using sip::kNever;
using tcp = asio::ip::tcp;

namespace {

constexpr std::string_view kPing = "\r\n\r\n", kPong = "\r\n";  // RFC 5626 §4.4.1
/// Unacknowledged bytes, keep-alives included, for this long mean that the path is dead: so it is
/// noticed also toward peers that know no pongs.
constexpr int kUnacknowledged_ms = 30'000;
constexpr int kProbeAfter_s = 60, kProbeEvery_s = 10, kProbes = 3;

}  // namespace

SipConnection::SipConnection(asio::io_context& io, SipConnectionOwner& owner,
                             const SipStreamTimes& times, std::uint32_t id, sip::Flow flow,
                             Socket socket, Context tls)
    : io_(io),
      owner_(&owner),
      times_(times),
      id_(id),
      flow_(flow),
      context_(std::move(tls)),
      last_message_(clock_now()),
      last_ping_(last_message_) {
  if (context_) {
    tls_stream_.emplace(std::move(socket), *context_);
  } else {
    socket_.emplace(std::move(socket));
  }
}

template <typename Step>
void SipConnection::with_stream(Step step) {
  if (tls_stream_) {
    step(*tls_stream_);
  } else {
    step(*socket_);
  }
}

void SipConnection::set_options() {
  error_code ignored;
  socket().set_option(tcp::no_delay(true), ignored);
  socket().set_option(asio::socket_base::keep_alive(true), ignored);
  const int fd = socket().native_handle();
  const auto set = [fd](int level, int name, int value) {
    ::setsockopt(fd, level, name, &value, sizeof value);  // comforts: without them it works too
  };
  set(IPPROTO_TCP, TCP_KEEPIDLE, kProbeAfter_s);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kProbeEvery_s);
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledged_ms);
  if (flow_.remote.address.is_v4()) {
    set(IPPROTO_IP, IP_TOS, kClassSelector3);
  } else {
    set(IPPROTO_IPV6, IPV6_TCLASS, kClassSelector3);
  }
}

void SipConnection::start_accepted() {
  set_options();
  if (tls_stream_) return shake_hands(false);
  opened();
}

void SipConnection::start_opening(const std::optional<IpAddress>& bind, TlsPeer peer) {
  accepted_ = false;
  peer_ = std::move(peer);
  deadline_ = clock_now() + times_.connect;
  const auto remote = net::to_asio<tcp>(flow_.remote);
  error_code error;
  socket().open(remote.protocol(), error);
  if (!error && bind) socket().bind({net::to_asio(*bind), 0}, error);
  if (error) return end(ConnectionEnd::connect_failed, net::to_text(error));
  socket().async_connect(remote, [self = shared_from_this()](const error_code& failed) {
    if (self->state_ != State::connecting) return;
    if (failed) return self->end(ConnectionEnd::connect_failed, net::to_text(failed));
    self->set_options();
    if (self->tls_stream_) return self->shake_hands(true);
    self->opened();
  });
}

void SipConnection::shake_hands(bool as_client) {
  state_ = State::handshaking;
  deadline_ = clock_now() + times_.handshake;
  if (as_client) {
    TlsContexts::set_name(tls_stream_->native_handle(), peer_);
    tls_stream_->set_verify_mode(peer_.insecure ? asio::ssl::verify_none : asio::ssl::verify_peer);
    tls_stream_->set_verify_callback([this](bool preverified, asio::ssl::verify_context& store) {
      return TlsContexts::judge(preverified, store.native_handle(), peer_, verdict_);
    });
  }
  tls_stream_->async_handshake(
      as_client ? asio::ssl::stream_base::client : asio::ssl::stream_base::server,
      [self = shared_from_this()](const error_code& failed) {
        if (self->state_ != State::handshaking) return;
        if (!failed) return self->opened();
        self->end(ConnectionEnd::tls_failed,
                  self->verdict_.empty() ? net::to_text(failed) : self->verdict_);
      });
}

void SipConnection::opened() {
  const Instant now = clock_now();
  state_ = State::open;
  was_open_ = true;
  last_message_ = last_ping_ = now;
  deadline_ = accepted_ ? now + times_.first_message : kNever;
  owner_->on_open(*this);
  if (state_ != State::open) return;
  flush();
  read();
}

void SipConnection::read() {
  with_stream([this](auto& stream) {
    stream.async_read_some(asio::buffer(input_),
                           [self = shared_from_this()](const error_code& error, std::size_t count) {
                             self->on_read(error, count);
                           });
  });
}

void SipConnection::on_read(const error_code& error, std::size_t count) {
  if (state_ == State::closed) return;
  if (error) {
    const bool closed = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
    return end(closed ? ConnectionEnd::peer_closed : ConnectionEnd::io_error, net::to_text(error));
  }
  pong_due_ = kNever;  // whatever comes shows that the peer lives
  if (state_ == State::open) take({input_.data(), count});
  if (state_ != State::closed) read();
}

void SipConnection::take(std::string_view bytes) {
  framer_.feed(bytes);
  bool whole = false;
  while (state_ == State::open) {
    const auto item = framer_.next();
    if (item.kind == sip::StreamFramer::Kind::none) break;
    if (item.kind == sip::StreamFramer::Kind::ping) send(std::string(kPong));
    whole = whole || item.kind == sip::StreamFramer::Kind::message;
    if (state_ == State::open) owner_->on_item(*this, item);
  }
  if (!framer_.in_message()) {
    message_since_ = kNever;
  } else if (whole || message_since_ == kNever) {
    message_since_ = clock_now();
  }
}

bool SipConnection::send(std::string bytes) {
  if (!alive()) return false;
  if (queued_bytes_ + bytes.size() > limits::kSipStreamQueueBytes) {
    end(ConnectionEnd::queue_full, "the peer takes nothing");
    return false;
  }
  queued_bytes_ += bytes.size();
  queue_.push_back(std::move(bytes));
  if (state_ == State::open) flush();
  return true;
}

void SipConnection::flush() {
  if (!writing_.empty() || queue_.empty()) return;
  while (!queue_.empty() && writing_.size() < limits::kSipStreamGather) {
    writing_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(writing_.size());
  for (const std::string& message : writing_) buffers.push_back(asio::buffer(message));
  writing_since_ = clock_now();
  with_stream([&](auto& stream) {
    asio::async_write(stream, buffers,
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        self->on_written(error);
                      });
  });
}

void SipConnection::on_written(const error_code& error) {
  if (state_ == State::closed) return;
  if (error) return end(ConnectionEnd::io_error, net::to_text(error));
  for (const std::string& message : writing_) queued_bytes_ -= message.size();
  writing_.clear();
  writing_since_ = kNever;
  flush();
  if (state_ == State::closing && writing_.empty()) close_after_writes();
}

/// The socket is closed in one direction first: were it closed with input unread, the peer would
/// see a reset in place of our last message.
void SipConnection::close_after_writes() {
  if (state_ == State::closed || shut_) return;
  if (!was_open_) return end(ConnectionEnd::fault);
  if (state_ == State::open) {
    state_ = State::closing;
    deadline_ = clock_now() + times_.write;
  }
  if (!writing_.empty() || !queue_.empty()) return;
  shut_ = true;
  deadline_ = clock_now() + times_.linger;
  error_code ignored;
  socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

void SipConnection::end(ConnectionEnd reason, std::string text) {
  if (state_ == State::closed) return;
  // What follows a fault is part of it.
  why_ = state_ == State::closing ? ConnectionEnd::fault : reason;
  trouble_ = std::move(text);
  state_ = State::closed;
  error_code ignored;
  socket().close(ignored);
  asio::post(io_, [self = shared_from_this()] {
    if (self->owner_) self->owner_->on_end(*self);
  });
}

void SipConnection::detach() {
  owner_ = nullptr;
  state_ = State::closed;
  error_code ignored;
  socket().close(ignored);
}

void SipConnection::ping(Instant now) {
  last_ping_ = now;
  framer_.expect_pong();
  // A peer that has never answered one may not know pongs (RFC 5626 §4.4.1 wants its consent).
  if (ponged_) pong_due_ = now + times_.pong;
  send(std::string(kPing));
}

void SipConnection::check(Instant now) {
  if (state_ == State::closed) return;
  if (writing_since_ != kNever && now - writing_since_ > times_.write) {
    return end(ConnectionEnd::write_timeout, "the peer takes nothing");
  }
  if (state_ == State::open && had_message_) deadline_ = kNever;
  if (now >= deadline_) {
    switch (state_) {
      case State::connecting:
        return end(ConnectionEnd::connect_timeout, "no answer to the connection attempt");
      case State::handshaking:
        return end(ConnectionEnd::handshake_timeout, "the TLS handshake took too long");
      case State::closing:
        return end(ConnectionEnd::fault);
      default:
        return end(ConnectionEnd::input_timeout, "no message came");
    }
  }
  if (state_ != State::open) return;
  if (message_since_ != kNever && now - message_since_ > times_.message) {
    return end(ConnectionEnd::input_timeout, "a message came too slowly");
  }
  if (now >= pong_due_) return end(ConnectionEnd::pong_timeout, "the peer answers pings no more");
  if (now - last_message_ > times_.idle) return end(ConnectionEnd::idle);
  const bool due = times_.ping > Duration::zero() && now - last_ping_ >= times_.ping;
  if (!accepted_ && due && pong_due_ == kNever) ping(now);
}

}  // namespace isthmus::transport
