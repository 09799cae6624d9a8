#include "app/link_session.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "net/clock.hpp"

namespace isthmus::app {

using net::clock_now;

/// A link, and the session that it belongs to now: that changes when a link resumes a session.
class LinkSession::Attachment final : public wire::LinkHandler {
 public:
  Attachment(std::unique_ptr<wire::Link> of, LinkSession& first)
      : link(std::move(of)), session(&first) {}

  void on_reliable(wire::Channel channel, ByteView bytes) override {
    if (session != nullptr) session->on_reliable(channel, bytes);
  }
  void on_media(wire::Channel channel, ByteView bytes) override {
    if (session != nullptr) session->on_media(channel, bytes);
  }
  void on_closed(wire::CloseCode code, const std::string& reason) override {
    if (session != nullptr) session->on_link_closed(code, reason);
  }

  std::unique_ptr<wire::Link> link;
  LinkSession* session;  ///< null: given up, nobody listens
};

LinkSession::LinkSession(boost::asio::io_context& io, std::uint64_t id,
                         std::unique_ptr<wire::Link> link, LinkSessionOwner& owner)
    : io_(io),
      id_(id),
      attachment_(std::make_shared<Attachment>(std::move(link), *this)),
      owner_(owner),
      opened_(clock_now()),
      session_(opened_),
      timer_(io, [this] { on_timer(); }) {}

LinkSession::~LinkSession() {
  if (attachment_) attachment_->session = nullptr;
}

void LinkSession::start() {
  attachment_->link->start(*attachment_);
  arm_timer();
}

void LinkSession::accept(wire::WelcomeInfo welcome, session::Identity identity) {
  identity_ = std::move(identity);
  if (attachment_) welcome.media_id = attachment_->link->media_id();
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

void LinkSession::go_away(const wire::GoAwayInfo& info) {
  wire::SessionEvents events;
  session_.go_away(info, events);
  carry_out(events);
}

void LinkSession::resume(LinkSession& greeting, std::uint32_t generation, std::uint64_t sip_frames,
                         wire::WelcomeInfo welcome, const wire::ResumeTokens& tokens) {
  if (over_ || !greeting.attachment_ || !can_resume(generation, sip_frames)) return;
  drop_link(wire::CloseCode::replaced, "a newer link has taken this one's place");
  attachment_ = std::move(greeting.attachment_);
  attachment_->session = this;
  welcome.media_id = attachment_->link->media_id();
  greeting.over_ = true;
  greeting.timer_.cancel();
  software_ = greeting.software_;
  wire::SessionEvents events;
  session_.resume(greeting.session_, generation, sip_frames, std::move(welcome), tokens,
                  clock_now(), events);
  carry_out(events);
}

void LinkSession::send_sip(std::string_view message) {
  wire::SessionEvents events;
  session_.send_sip(as_bytes(message), events);
  if (!events.empty() && std::holds_alternative<wire::SessionClosed>(events.back())) {
    overflow_ = std::get<wire::SessionClosed>(events.back());
    timer_.arm(clock_now());
    events.pop_back();
  }
  carry_out(events);
}

Endpoint LinkSession::remote() const {
  return attachment_ ? attachment_->link->remote() : last_remote_;
}

wire::LinkCounters LinkSession::link_counters() const {
  wire::LinkCounters all = earlier_links_;
  if (attachment_) all += attachment_->link->counters();
  return all;
}

void LinkSession::on_reliable(wire::Channel channel, ByteView bytes) {
  wire::SessionEvents events;
  session_.on_frame(channel, bytes, clock_now(), events);
  carry_out(events);
}

void LinkSession::on_media(wire::Channel channel, ByteView bytes) {
  if (!session_.established()) return;
  if (channel == wire::kControlChannel) {
    const auto pong = session_.answer_media_ping(bytes, clock_now());
    if (pong) attachment_->link->send_media(channel, *pong);
    return;
  }
  wire::SessionEvents events;  // allocates nothing while it stays empty
  const auto packet = session_.read_media(channel, bytes, clock_now(), events);
  if (!events.empty()) carry_out(events);
  if (packet && !over_) owner_.on_media(*this, channel, *packet);
}

void LinkSession::send_media(std::uint32_t channel, ByteView packet) {
  if (!attachment_) {
    ++media_without_link_;
    return;
  }
  wire::SessionEvents events;
  const ByteView frame = session_.write_media(channel, packet, clock_now(), events);
  if (!frame.empty()) attachment_->link->send_media(channel, frame);
  if (!events.empty()) carry_out(events);
}

void LinkSession::on_link_closed(wire::CloseCode code, const std::string& reason) {
  wire::SessionEvents events;
  session_.on_link_lost(code, reason, clock_now(), events);
  discard_link();
  if (session_.detached()) owner_.on_detached(*this, code, reason);
  carry_out(events);
}

void LinkSession::carry_out(wire::SessionEvents& events) {
  for (wire::SessionEvent& event : events) {
    if (auto* send = std::get_if<wire::SendFrame>(&event)) {
      if (attachment_) attachment_->link->send_reliable(send->channel, send->bytes);
    } else if (auto* hello = std::get_if<wire::AuthenticateHello>(&event)) {
      software_ = hello->hello.software;
      instance_ = hello->hello.instance;
      attachment_->link->set_peer_media_id(hello->hello.media_id);
      owner_.on_hello(*this, hello->hello);
    } else if (auto* sip = std::get_if<wire::SipFrameReceived>(&event)) {
      owner_.on_sip(*this, std::move(sip->bytes));
    } else if (auto* lost = std::get_if<wire::LinkLost>(&event)) {
      drop_link(lost->code, lost->reason);
      owner_.on_detached(*this, lost->code, lost->reason);
    } else if (auto* closed = std::get_if<wire::SessionClosed>(&event)) {
      if (attachment_) attachment_->link->close(closed->code, closed->reason);
      finish(closed->code, closed->reason);
      return;
    }
  }
  arm_timer();
}

void LinkSession::drop_link(wire::CloseCode code, std::string_view reason) {
  if (!attachment_) return;
  attachment_->link->close(code, reason);
  discard_link();
}

/// The link may be in the middle of a callback to us.
void LinkSession::discard_link() {
  if (!attachment_) return;
  last_remote_ = attachment_->link->remote();
  earlier_links_ += attachment_->link->counters();
  attachment_->session = nullptr;
  boost::asio::post(io_, [gone = std::move(attachment_)] {});
  attachment_ = nullptr;
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
  const bool waited = session_.detached();
  session_.on_timeout(clock_now(), events);
  expired_ = waited && session_.closed();
  if (overflow_) events.emplace_back(*std::exchange(overflow_, std::nullopt));
  carry_out(events);
}

}  // namespace isthmus::app
