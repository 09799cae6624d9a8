#include "app/link_session.hpp"

#include "net/clock.hpp"

namespace isthmus::app {

using net::clock_now;

LinkSession::LinkSession(boost::asio::io_context& io, std::uint64_t id,
                         std::unique_ptr<wire::Link> link, LinkSessionOwner& owner)
    : id_(id),
      link_(std::move(link)),
      owner_(owner),
      opened_(clock_now()),
      session_(opened_),
      timer_(io, [this] { on_timer(); }) {}

void LinkSession::start() {
  link_->start(*this);
  arm_timer();
}

void LinkSession::accept(wire::WelcomeInfo welcome, session::Identity identity) {
  identity_ = std::move(identity);
  welcome.media_id = link_->media_id();
  wire::SessionEvents events;
  session_.accept(std::move(welcome), clock_now(), events);
  carry_out(events);
}

void LinkSession::reject(wire::CloseCode code, std::string_view reason,
                         std::uint32_t retry_after_s) {
  wire::SessionEvents events;
  session_.reject(code, reason, retry_after_s, events);
  carry_out(events);
}

void LinkSession::close(wire::CloseCode code, std::string_view reason) {
  wire::SessionEvents events;
  session_.close(code, reason, events);
  carry_out(events);
}

void LinkSession::send_sip(std::string_view message) {
  wire::SessionEvents events;
  session_.send_sip(as_bytes(message), events);
  carry_out(events);
}

void LinkSession::on_reliable(wire::Channel channel, ByteView bytes) {
  wire::SessionEvents events;
  session_.on_frame(channel, bytes, clock_now(), events);
  carry_out(events);
}

void LinkSession::on_media(wire::Channel channel, ByteView bytes) {
  if (!session_.established()) return;
  wire::SessionEvents events;  // allocates nothing while it stays empty
  const auto packet = session_.read_media(channel, bytes, clock_now(), events);
  if (!events.empty()) carry_out(events);
  if (packet && !over_) owner_.on_media(*this, channel, *packet);
}

void LinkSession::send_media(std::uint32_t channel, ByteView packet) {
  wire::SessionEvents events;
  const ByteView frame = session_.write_media(channel, packet, clock_now(), events);
  if (!frame.empty()) link_->send_media(channel, frame);
  if (!events.empty()) carry_out(events);
}

void LinkSession::on_closed(wire::CloseCode code, const std::string& reason) {
  finish(code, reason);
}

void LinkSession::carry_out(wire::SessionEvents& events) {
  for (wire::SessionEvent& event : events) {
    if (auto* send = std::get_if<wire::SendFrame>(&event)) {
      link_->send_reliable(send->channel, send->bytes);
    } else if (auto* hello = std::get_if<wire::AuthenticateHello>(&event)) {
      software_ = hello->hello.software;
      instance_ = hello->hello.instance;
      link_->set_peer_media_id(hello->hello.media_id);
      owner_.on_hello(*this, hello->hello);
    } else if (auto* sip = std::get_if<wire::SipFrameReceived>(&event)) {
      owner_.on_sip(*this, std::move(sip->bytes));
    } else if (auto* closed = std::get_if<wire::SessionClosed>(&event)) {
      link_->close(closed->code, closed->reason);
      finish(closed->code, closed->reason);
      return;
    }
  }
  arm_timer();
}

void LinkSession::finish(wire::CloseCode code, const std::string& reason) {
  if (over_) return;
  over_ = true;
  timer_.cancel();
  owner_.on_over(*this, code, reason);
}

void LinkSession::arm_timer() {
  if (!over_) timer_.arm(session_.next_deadline());
}

void LinkSession::on_timer() {
  wire::SessionEvents events;
  session_.on_timeout(clock_now(), events);
  carry_out(events);
}

}  // namespace isthmus::app
