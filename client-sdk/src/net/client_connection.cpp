#include "net/client_connection.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "net/client_connection_impl.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using wire::CloseCode;

void ClientConnection::LinkEnd::on_reliable(wire::Channel channel, ByteView bytes) {
  if (owner != nullptr) owner->on_reliable(*this, channel, bytes);
}
void ClientConnection::LinkEnd::on_media(wire::Channel channel, ByteView bytes) {
  if (owner != nullptr) owner->on_media(*this, channel, bytes);
}
void ClientConnection::LinkEnd::on_closed(CloseCode code, const std::string& reason) {
  if (owner != nullptr) owner->on_closed(*this, code, reason);
}
void ClientConnection::LinkEnd::on_timer() {
  if (owner != nullptr) owner->on_greeting_timer(*this);
}

void ClientConnection::Impl::start() {
  if (started_) return;
  started_ = true;
  dial();
}

// --- The session -------------------------------------------------------------------------------

bool ClientConnection::Impl::send_sip(ByteView message) {
  if (!established()) return false;
  const bool sent = session_->send_sip(message, events_);
  drain();
  return sent;
}

void ClientConnection::Impl::send_media(wire::Channel channel, ByteView bytes) {
  if (!current_ || !established()) return;
  media_sent_at_ = clock_now();
  const ByteView frame = session_->write_media(channel, bytes, media_sent_at_, events_);
  if (!frame.empty()) current_->link->send_media(channel, frame);
  if (!events_.empty()) drain();
  if (proof_.active()) {
    if (proof_.on_sent(media_sent_at_)) proof_timer_.arm(proof_.next_deadline());
    return;
  }
  if (quiet_armed_) return;
  quiet_armed_ = true;
  heard_at_ = media_sent_at_;
  probed_at_.reset();
  quiet_timer_.arm(media_sent_at_ + limits::kLinkQuiet);
}

void ClientConnection::Impl::on_reliable(LinkEnd& end, wire::Channel channel, ByteView bytes) {
  if (end.greeting) {
    wire::SessionEvents events;
    end.greeting->on_frame(channel, bytes, clock_now(), events);
    return carry_out_greeting(events);
  }
  heard_at_ = reliable_at_ = clock_now();
  session_->on_frame(channel, bytes, heard_at_, events_);
  drain();
}

void ClientConnection::Impl::on_media(LinkEnd& end, wire::Channel channel, ByteView bytes) {
  if (end.greeting || !established()) return;
  heard_at_ = clock_now();
  if (proof_.on_heard(heard_at_)) {
    udp_trust_.on_proved();
    proof_timer_.arm(proof_.next_deadline());
  }
  if (channel == wire::kControlChannel) return;  // the answer to a media ping
  const auto packet = session_->read_media(channel, bytes, heard_at_, events_);
  if (!events_.empty()) drain();
  if (packet && handler_ != nullptr && established()) handler_->on_media(channel, *packet);
}

void ClientConnection::Impl::on_closed(LinkEnd& end, CloseCode code, const std::string& reason) {
  if (&end == attempt_.get()) {
    if (end.upgrade) udp_trust_.on_trial_failed(clock_now());
    discard(attempt_, code, reason);
    return attempt_failed(code, reason, {});
  }
  link_lost(code, reason);
}

/// The link in use is gone: if the session can wait, another is dialled at once.
void ClientConnection::Impl::link_lost(CloseCode code, const std::string& reason) {
  const auto self = shared_from_this();
  link_left(code);
  // A gateway may close the old link before the Welcome on the new one is here.
  if (code != CloseCode::replaced) move_reason_ = reason.empty() ? wire::to_text(code) : reason;
  discard(current_, code, reason);
  lost_at_ = clock_now();
  if (!session_->detached()) session_->on_link_lost(code, reason, lost_at_, events_);
  if (session_->detached()) {
    // One that awaits its Welcome may be why this one was closed.
    if (may_dial()) dial();
    session_timer_.arm(session_->next_deadline());
    if (handler_ != nullptr) handler_->on_link_lost(code, reason, {});
  }
  drain();
}

/// Carries out what the session asked for. A handler may send from inside its callback; what that
/// adds is carried out by the loop that is already running.
void ClientConnection::Impl::drain() {
  if (draining_) return;
  const auto self = shared_from_this();
  draining_ = true;
  while (!events_.empty() && session_) {
    wire::SessionEvents batch;
    batch.swap(events_);
    for (wire::SessionEvent& event : batch) {
      if (!session_) break;
      std::visit([this](auto& what) { act(what); }, event);
    }
  }
  events_.clear();
  draining_ = false;
  if (session_) session_timer_.arm(session_->next_deadline());
}

void ClientConnection::Impl::act(wire::SendFrame& event) {
  if (current_) current_->link->send_reliable(event.channel, event.bytes);
}

void ClientConnection::Impl::act(wire::SipFrameReceived& event) {
  if (handler_ != nullptr) handler_->on_sip(std::move(event.bytes));
}

void ClientConnection::Impl::act(wire::LinkLost& event) {
  link_lost(event.code, event.reason);
}

void ClientConnection::Impl::act(wire::SessionClosed& event) {
  const CloseCode code = event.code;
  const std::string reason = event.reason;
  const Duration patience = seconds(event.retry_after_s);
  link_left(code);
  discard(current_, code, reason);
  discard(attempt_, CloseCode::normal, {});
  keep_figures();
  session_.reset();
  leave_timer_.cancel();
  leaving_.reset();
  fail(code, reason, patience);
}

void ClientConnection::Impl::on_session_timer() {
  if (!session_) return;
  session_->on_timeout(clock_now(), events_);
  drain();
}

/// A network that swallows everything closes no socket: TCP would find out after minutes, the
/// session after three intervals of its keep-alive, and a call cannot wait for either.
void ClientConnection::Impl::on_quiet_timer() {
  const Instant now = clock_now();
  quiet_armed_ = current_ && established() && now - media_sent_at_ < limits::kLinkQuiet;
  if (!quiet_armed_) return;
  if (now - heard_at_ < limits::kLinkQuiet) {
    probed_at_.reset();
  } else if (!probed_at_) {
    probed_at_ = now;
    session_->probe(now, events_);
  } else if (now - *probed_at_ >= limits::kLinkProbeLife && may_dial() &&
             session_->resume_hello(options_.hello)) {
    move_reason_ = "nothing came back on the link";
    if (on_udp()) udp_trust_.on_down(now, false);
    dial();
    probed_at_.reset();
  }
  quiet_timer_.arm(now + limits::kLinkQuiet / 4);
  drain();
}

/// What the link still has to send goes on without us. It may be in the middle of a callback.
void ClientConnection::Impl::discard(std::shared_ptr<LinkEnd>& end, CloseCode code,
                                     std::string_view reason) {
  if (!end) return;
  end->owner = nullptr;
  if (!end->greeting && end->link) earlier_links_ += end->link->counters();
  end->timer.cancel();
  end->dialer.reset();
  if (end->link) end->link->close(code, reason);
  asio::post(io_, [gone = std::move(end)] {});
  end = nullptr;
}

/// Of a session that is over, for those who ask later.
void ClientConnection::Impl::keep_figures() {
  last_statistics_ = session_->statistics();
  last_media_in_ = session_->media_in();
  last_media_out_ = session_->media_out();
}

/// Addresses, interfaces or routes are others now; most of that is no business of ours.
void ClientConnection::Impl::on_network_notice() {
  if (!started_ || !remote_) return;
  if (current_ && current_->link->media_id() != 0) return;  // UDP: it roams by itself
  const auto before = std::exchange(source_, source_toward(io_, *remote_));
  if (!source_ || source_ == before) return;
  on_network_changed();
}

void ClientConnection::Impl::on_network_changed() {
  if (!started_) return;
  const bool movable = established() && session_->resume_hello(options_.hello);
  if (established() && !movable) return;  // its link may live; if not, silence tells
  resume_failures_ = 0;
  udp_trust_.on_network_changed();
  move_reason_ = "the network changed";
  places_hold_until_ = {};  // this network's DNS may know others
  dial();
}

void ClientConnection::Impl::close(CloseCode code, std::string_view reason) {
  if (!started_) return;
  started_ = false;
  leaving_.reset();
  if (session_) say_goodbye(code, reason);
  discard(attempt_, code, reason);
  lookup_.reset();
  session_timer_.cancel();
  quiet_timer_.cancel();
  quiet_armed_ = false;
  upgrade_timer_.cancel();
  proof_timer_.cancel();
  proof_.end();
  udp_trust_.on_over();
  retry_timer_.cancel();
  if (handler_ == nullptr) return;
  asio::post(io_, [weak = weak_from_this(), code, text = std::string(reason)] {
    const auto self = weak.lock();
    if (self && self->handler_ != nullptr) self->handler_->on_closed(code, text, std::nullopt);
  });
}

void ClientConnection::Impl::detach() {
  handler_ = nullptr;
  close(CloseCode::going_away, "the client ends");
}

ClientConnection::ClientConnection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ClientConnection::~ClientConnection() {
  impl_->detach();
}

Result<std::unique_ptr<ClientConnection>, TrustError> ClientConnection::make(
    asio::io_context& io, ConnectionOptions options, ConnectionHandler& handler) {
  auto proxies = ProxyChoice::make(options.proxy);
  if (!proxies) return TrustError{TrustErrorKind::bad_options, proxies.error()};
  auto trust = ClientTrust::make(options.trust);
  if (!trust) return trust.error();
  std::vector<Place> places;
  std::vector<std::string> urls = options.other_urls;
  urls.insert(urls.begin(), options.url);
  for (const std::string& text : urls) {
    auto place = place_at(text, *proxies);
    if (!place) {
      return TrustError{TrustErrorKind::bad_options, "\"" + text + "\": " + to_text(place.error())};
    }
    places.push_back(std::move(*place));
  }
  auto impl = std::make_shared<Impl>(io, std::move(options), std::move(places), std::move(*proxies),
                                     std::move(*trust), handler);
  return std::unique_ptr<ClientConnection>(new ClientConnection(std::move(impl)));
}

void ClientConnection::start() {
  impl_->start();
}
void ClientConnection::close(CloseCode code, std::string_view reason) {
  impl_->close(code, reason);
}
void ClientConnection::on_network_changed() {
  impl_->on_network_changed();
}
bool ClientConnection::established() const {
  return impl_->established();
}
bool ClientConnection::has_link() const {
  return impl_->link() != nullptr;
}
bool ClientConnection::send_sip(ByteView message) {
  return impl_->send_sip(message);
}
void ClientConnection::send_media(wire::Channel channel, ByteView bytes) {
  impl_->send_media(channel, bytes);
}

LinkKind ClientConnection::link_kind() const {
  return impl_->link_kind();
}
std::string ClientConnection::gateway_text() const {
  return impl_->gateway_text();
}
const std::string& ClientConnection::move_reason() const {
  return impl_->move_reason();
}

std::string ClientConnection::local_text() const {
  return impl_->link() == nullptr ? std::string() : impl_->link()->local().to_string();
}

std::string ClientConnection::remote_text() const {
  return impl_->link() == nullptr ? std::string() : impl_->link()->remote().to_string();
}

wire::SessionStatistics ClientConnection::session_statistics() const {
  return impl_->session() == nullptr ? impl_->last_statistics() : impl_->session()->statistics();
}

wire::LinkCounters ClientConnection::link_counters() const {
  return impl_->link_counters();
}

wire::MediaFormCounters ClientConnection::media_in() const {
  return impl_->media_in();
}

wire::MediaFormCounters ClientConnection::media_out() const {
  return impl_->media_out();
}

std::uint64_t ClientConnection::attempts() const {
  return impl_->attempts();
}

}  // namespace isthmus::net
