#include "net/udp_link.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/limits.hpp"
#include "net/clock.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using wire::CloseCode;

UdpLinkRunner::UdpLinkRunner(asio::io_context& io, quic::LinkCore::Side side,
                             std::unique_ptr<quic::Connection> connection, std::uint32_t media_id,
                             std::shared_ptr<UdpLinkHost> host)
    : io_(io),
      host_(std::move(host)),
      core_(side, std::move(connection), media_id, *this),
      timer_(io, [this] { on_timer(); }),
      linger_(io) {}

void UdpLinkRunner::start(wire::LinkHandler& handler) {
  handler_ = &handler;
  if (!hello_said_) return;
  asio::post(io_, [self = shared_from_this()] {  // the answer may be here already
    self->core_.release();
    self->flush();
  });
}

void UdpLinkRunner::touch() {
  if (flush_posted_) return;
  flush_posted_ = true;
  asio::post(io_, [self = shared_from_this()] { self->flush(); });
}

void UdpLinkRunner::flush() {
  flush_posted_ = false;
  if (!host_) return;
  const auto self = shared_from_this();
  core_.flush(clock_now(), host_->sink());
  host_->flush_sink();
  if (core_.over()) {
    timer_.cancel();
    linger_.cancel();
    if (const auto host = std::exchange(host_, nullptr)) host->on_link_over();
    return;
  }
  timer_.arm(core_.next_deadline());
}

void UdpLinkRunner::touch_media() {
  if (media_waiting_ || flush_posted_ || !host_) return;
  media_waiting_ = true;
  host_->on_media_waiting(shared_from_this());
}

void UdpLinkRunner::flush_media(Instant now, quic::DatagramSink& sink) {
  media_waiting_ = false;
  if (host_) core_.flush_media(now, sink);
}

void UdpLinkRunner::on_timer() {
  const auto self = shared_from_this();
  core_.on_timeout(clock_now());
  flush();
}

void UdpLinkRunner::detach() {
  handler_ = nullptr;
  when_ready = nullptr;
  when_failed = nullptr;
  core_.abandon();
  linger_.expires_after(limits::kLinkCloseLife + seconds(1));
  linger_.async_wait([self = shared_from_this()](const boost::system::error_code&) {});
  touch();
}

void UdpLinkRunner::on_ready() {
  if (when_ready) when_ready();
}

void UdpLinkRunner::on_reliable(wire::Channel channel, ByteView bytes) {
  if (handler_ != nullptr) handler_->on_reliable(channel, bytes);
}

void UdpLinkRunner::on_media(wire::Channel channel, ByteView bytes) {
  if (handler_ != nullptr) handler_->on_media(channel, bytes);
}

/// May come from within a call of the link's owner, to whom it must not look so.
void UdpLinkRunner::on_closed(CloseCode code, const std::string& reason) {
  asio::post(io_, [self = shared_from_this(), code, reason] {
    if (wire::LinkHandler* handler = std::exchange(self->handler_, nullptr)) {
      handler->on_closed(code, reason);
    } else if (const auto failed = std::exchange(self->when_failed, nullptr)) {
      failed({code, reason});
    }
  });
  touch();
}

void UdpLink::send_reliable(wire::Channel channel, ByteView bytes) {
  if (channel == wire::kControlChannel && runner_->take_hello_said()) return;
  runner_->core().send_reliable(channel, bytes);
  runner_->touch();
}

void UdpLink::send_media(wire::Channel channel, ByteView bytes) {
  runner_->core().send_media(channel, bytes);
  runner_->touch_media();
}

void UdpLink::close(CloseCode code, std::string_view reason) {
  runner_->core().close(code, reason, clock_now());
  runner_->touch();
}

wire::LinkCounters UdpLink::counters() const {
  const quic::UdpCounters udp = runner_->core().counters();
  wire::LinkCounters counters;
  counters.messages_in = udp.datagrams_in;
  counters.messages_out = udp.datagrams_out;
  counters.bytes_in = udp.bytes_in;
  counters.bytes_out = udp.bytes_out;
  counters.reliable_frames_in = udp.reliable_frames_in;
  counters.reliable_frames_out = udp.reliable_frames_out;
  counters.media_frames_in = udp.media_frames_in;
  counters.media_frames_out = udp.media_frames_out + udp.media_too_large + udp.media_early;
  const std::uint64_t headers =
      runner_->core().media_path().remote.address.is_v4() ? 20 + 8 : 40 + 8;
  counters.media_messages_in = udp.media_packets_in;
  counters.media_messages_out = udp.media_packets_out;
  counters.media_wire_bytes_in = udp.media_bytes_in + udp.media_packets_in * headers;
  counters.media_wire_bytes_out = udp.media_bytes_out + udp.media_packets_out * headers;
  counters.media_dropped = udp.media_too_large + udp.media_early;
  counters.malformed_messages = udp.malformed_frames;
  return counters;
}

}  // namespace isthmus::net
