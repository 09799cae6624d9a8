#include "net/client_connection.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/limits.hpp"
#include "net/clock.hpp"
#include "net/deadline_timer.hpp"
#include "net/link_dialer.hpp"
#include "net/system_random.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using boost::system::error_code;
using wire::CloseCode;

namespace {

/// A session that stood this long was no failure: the next wait starts from the first step again.
constexpr Duration kStable = seconds(10);
/// While a call waits, a new attempt is worth more than the pauses between TCP's own.
constexpr Duration kResumeDial = seconds(4);
/// On a WebSocket where UDP would do too, UDP is tried again after waits that double from first to
/// last: an attempt costs a few datagrams.
constexpr Duration kFirstUpgrade = seconds(5), kLastUpgrade = seconds(300);
constexpr Duration kUpgradeDial = seconds(2);
/// A gateway may ask for patience (Reject's retry_after_s), not for ever.
constexpr Duration kLongestPatience = std::chrono::hours(1);

bool is_refusal(CloseCode code) {
  switch (code) {
    case CloseCode::unauthorized:
    case CloseCode::forbidden:
    case CloseCode::credentials_expired:
    case CloseCode::version_mismatch:
    case CloseCode::replaced:
      return true;
    default:
      return false;
  }
}

}  // namespace

/// One link on its way from dialling to use, and the handshake on it.
class ClientConnection::LinkEnd final : public wire::LinkHandler {
 public:
  LinkEnd(asio::io_context& io, Impl& connection)
      : owner(&connection), timer(io, [this] { on_timer(); }) {}

  void on_reliable(wire::Channel channel, ByteView bytes) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_closed(CloseCode code, const std::string& reason) override;
  void on_timer();

  Impl* owner;  ///< null: given up, nobody listens
  std::unique_ptr<LinkDialer> dialer;
  std::unique_ptr<wire::Link> link;
  std::optional<wire::ClientSession> greeting;  ///< until Welcome
  DeadlineTimer timer;                          ///< of the greeting
  bool upgrade = false;                         ///< an attempt at UDP while a WebSocket serves
};

class ClientConnection::Impl final : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, ConnectionOptions options, GatewayUrl url,
       std::shared_ptr<ClientTrust> trust, ConnectionHandler& handler)
      : io_(io),
        options_(std::move(options)),
        url_(std::move(url)),
        trust_(std::move(trust)),
        handler_(&handler),
        session_timer_(io, [this] { on_session_timer(); }),
        quiet_timer_(io, [this] { on_quiet_timer(); }),
        upgrade_timer_(io, [this] { on_upgrade_timer(); }),
        retry_timer_(io) {}

  void start();
  void close(CloseCode code, std::string_view reason);
  void detach();
  void on_network_changed();

  bool established() const { return session_ && !session_->closed(); }
  bool send_sip(ByteView message);
  void send_media(wire::Channel channel, ByteView bytes);

  const wire::Link* link() const { return current_ ? current_->link.get() : nullptr; }
  wire::LinkCounters link_counters() const {
    wire::LinkCounters all = earlier_links_;
    if (current_) all += current_->link->counters();
    return all;
  }
  const wire::SessionStatistics& last_statistics() const { return last_statistics_; }
  const wire::ClientSession* session() const { return session_ ? &*session_ : nullptr; }
  wire::MediaFormCounters media_in() const {
    return session_ ? session_->media_in() : last_media_in_;
  }
  wire::MediaFormCounters media_out() const {
    return session_ ? session_->media_out() : last_media_out_;
  }
  std::uint64_t attempts() const { return attempts_; }

  void on_reliable(LinkEnd& end, wire::Channel channel, ByteView bytes);
  void on_media(LinkEnd& end, wire::Channel channel, ByteView bytes);
  void on_closed(LinkEnd& end, CloseCode code, const std::string& reason);
  void on_greeting_timer(LinkEnd& end);

 private:
  void dial(bool upgrade = false);
  void look_for_udp();
  void on_upgrade_timer();
  void dial_after(Duration delay);
  void on_dialed(LinkEnd& end, Result<std::unique_ptr<wire::Link>, DialError> result);
  void carry_out_greeting(wire::SessionEvents& events);
  void welcomed(const wire::WelcomeInfo& welcome);
  void refused(const wire::SessionClosed& why);
  void attempt_failed(CloseCode code, const std::string& reason, Duration at_least);
  void drain();
  void act(wire::SendFrame& event);
  void act(wire::SessionEstablished&) {}  // a greeting's
  void act(wire::SipFrameReceived& event);
  void act(wire::LinkLost& event);
  void act(wire::SessionClosed& event);
  void act(wire::AuthenticateHello&) {}  // a server's
  void on_session_timer();
  void on_quiet_timer();
  void link_lost(CloseCode code, const std::string& reason);
  void discard(std::shared_ptr<LinkEnd>& end, CloseCode code, std::string_view reason);
  void keep_figures();
  void fail(CloseCode code, const std::string& reason, Duration at_least);
  Duration next_delay(Duration at_least);
  Duration jittered(Duration delay);

  asio::io_context& io_;
  ConnectionOptions options_;
  GatewayUrl url_;
  std::shared_ptr<ClientTrust> trust_;
  ConnectionHandler* handler_;
  SystemRandom random_;

  bool started_ = false;
  std::shared_ptr<LinkEnd> current_, attempt_;
  std::optional<wire::ClientSession> session_;
  wire::SessionStatistics last_statistics_;
  wire::LinkCounters earlier_links_;  ///< of the session
  wire::MediaFormCounters last_media_in_, last_media_out_;
  wire::SessionEvents events_;
  bool draining_ = false;
  DeadlineTimer session_timer_, quiet_timer_, upgrade_timer_;
  Duration upgrade_wait_ = kFirstUpgrade;
  bool quiet_armed_ = false;
  Instant media_sent_at_{}, heard_at_{};
  std::optional<Instant> probed_at_;
  asio::steady_timer retry_timer_;
  std::optional<Instant> established_at_;
  Instant lost_at_{};
  int failures_ = 0, resume_failures_ = 0;
  std::uint64_t attempts_ = 0;
};

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

// --- A link on its way -------------------------------------------------------------------------

void ClientConnection::Impl::dial(bool upgrade) {
  retry_timer_.cancel();
  // The gateway may have attached it already: the session must not end with it.
  discard(attempt_, CloseCode::replaced, "another link is being made");
  ++attempts_;
  attempt_ = std::make_shared<LinkEnd>(io_, *this);
  attempt_->upgrade = upgrade;
  Dialer::Options how{url_, options_.hello.software, options_.connect_timeout};
  if (established()) {  // calls may wait: whatever stands first
    how.time_limit = std::min(how.time_limit, upgrade ? kUpgradeDial : kResumeDial);
    how.udp_head_start = {};
  }
  if (upgrade) how.url.kinds = LinkKinds::udp;
  attempt_->dialer =
      std::make_unique<LinkDialer>(io_, trust_, std::move(how),
                                   [weak = weak_from_this(), end = attempt_.get()](
                                       Result<std::unique_ptr<wire::Link>, DialError> result) {
                                     if (const auto self = weak.lock())
                                       self->on_dialed(*end, std::move(result));
                                   });
}

/// A network that let no UDP through may do so later, or another has taken its place.
void ClientConnection::Impl::look_for_udp() {
  const bool better =
      url_.kinds == LinkKinds::either && current_ && current_->link->media_id() == 0;
  if (!better) return upgrade_timer_.cancel();
  upgrade_timer_.arm(clock_now() + upgrade_wait_);
}

void ClientConnection::Impl::on_upgrade_timer() {
  if (!current_ || !session_) return;
  if (attempt_ || !session_->resume_hello(options_.hello)) return look_for_udp();
  upgrade_wait_ = std::min(2 * upgrade_wait_, kLastUpgrade);
  dial(true);
}

void ClientConnection::Impl::dial_after(Duration delay) {
  retry_timer_.expires_after(delay);
  retry_timer_.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && self->started_ && !self->attempt_) self->dial();
  });
}

void ClientConnection::Impl::on_dialed(LinkEnd& end,
                                       Result<std::unique_ptr<wire::Link>, DialError> result) {
  if (!result) {
    const DialError error = result.error();
    discard(attempt_, CloseCode::normal, {});
    return attempt_failed(error.code, error.text, {});
  }
  end.dialer.reset();
  end.link = std::move(*result);
  end.link->start(end);
  // What is received until Welcome comes on the old link counts too: the new one starts behind it.
  std::optional<wire::HelloInfo> resume;
  wire::SessionEvents events;
  end.greeting.emplace();
  wire::announce(options_.hello.capabilities, wire::kCompactRtpCapability, options_.compact_rtp);
  options_.hello.media_id = end.link->media_id();
  if (established()) resume = session_->resume_hello(options_.hello);
  end.greeting->start(resume ? *resume : options_.hello, clock_now(), events);
  carry_out_greeting(events);
}

void ClientConnection::Impl::on_greeting_timer(LinkEnd& end) {
  if (!end.greeting) return;
  wire::SessionEvents events;
  end.greeting->on_timeout(clock_now(), events);
  carry_out_greeting(events);
}

/// Of the attempt. Welcome and a refusal are the last event each.
void ClientConnection::Impl::carry_out_greeting(wire::SessionEvents& events) {
  const auto self = shared_from_this();
  for (wire::SessionEvent& event : events) {
    if (auto* frame = std::get_if<wire::SendFrame>(&event)) {
      attempt_->link->send_reliable(frame->channel, frame->bytes);
    } else if (auto* done = std::get_if<wire::SessionEstablished>(&event)) {
      return welcomed(done->welcome);
    } else if (auto* closed = std::get_if<wire::SessionClosed>(&event)) {
      return refused(*closed);
    }
  }
  attempt_->timer.arm(attempt_->greeting->next_deadline());
}

void ClientConnection::Impl::welcomed(const wire::WelcomeInfo& welcome) {
  std::optional<wire::ClientSession> greeting = std::move(attempt_->greeting);
  const Duration gap = established() && session_->detached() ? clock_now() - lost_at_ : Duration{};
  const bool resumed = established();
  if (resumed && !session_->adopt(*greeting, welcome, clock_now(), events_)) {
    discard(attempt_, CloseCode::replaced, "another link was sooner");
    return attempt_failed(CloseCode::replaced, "another link was sooner", {});
  }
  std::shared_ptr<LinkEnd> before = std::exchange(current_, std::exchange(attempt_, nullptr));
  current_->timer.cancel();
  current_->greeting.reset();
  current_->link->set_peer_media_id(welcome.media_id);
  retry_timer_.cancel();
  resume_failures_ = 0;
  heard_at_ = clock_now();
  probed_at_.reset();
  if (!resumed) {
    session_ = std::move(greeting);
    earlier_links_ = {};
    established_at_ = clock_now();
    upgrade_wait_ = kFirstUpgrade;
    look_for_udp();
    if (handler_ != nullptr) handler_->on_established(welcome);
    return drain();
  }
  discard(before, CloseCode::replaced, "a newer link has taken this one's place");
  look_for_udp();
  if (handler_ != nullptr && session_->established()) handler_->on_link_back(welcome, gap);
  drain();
}

void ClientConnection::Impl::refused(const wire::SessionClosed& why) {
  const CloseCode code = why.code;
  const std::string reason = why.reason;
  const Duration patience = seconds(why.retry_after_s);
  discard(attempt_, code, reason);
  if (code != CloseCode::resume_refused || !established()) {
    return attempt_failed(code, reason, patience);
  }
  if (current_) return look_for_udp();  // the session goes on where it is
  keep_figures();
  session_.reset();
  session_timer_.cancel();
  if (!options_.reconnect) return fail(code, reason, {});
  if (handler_ != nullptr) handler_->on_closed(code, reason, Duration{});
  if (started_ && !attempt_ && !session_) dial();
}

void ClientConnection::Impl::attempt_failed(CloseCode code, const std::string& reason,
                                            Duration at_least) {
  if (!established()) return fail(code, reason, at_least);
  if (current_) return look_for_udp();  // a change for the better that did not come about
  Duration delay = options_.first_resume_retry;
  for (int i = 0; i < resume_failures_ && delay < options_.last_resume_retry; ++i) delay *= 2;
  ++resume_failures_;
  delay = std::max(jittered(std::min(delay, options_.last_resume_retry)), at_least);
  dial_after(delay);
  if (handler_ != nullptr) handler_->on_link_lost(code, reason, delay);
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
  heard_at_ = clock_now();
  session_->on_frame(channel, bytes, heard_at_, events_);
  drain();
}

void ClientConnection::Impl::on_media(LinkEnd& end, wire::Channel channel, ByteView bytes) {
  if (end.greeting || !established()) return;
  heard_at_ = clock_now();
  const auto packet = session_->read_media(channel, bytes, heard_at_, events_);
  if (!events_.empty()) drain();
  if (packet && handler_ != nullptr && established()) handler_->on_media(channel, *packet);
}

void ClientConnection::Impl::on_closed(LinkEnd& end, CloseCode code, const std::string& reason) {
  if (&end == attempt_.get()) {
    discard(attempt_, code, reason);
    return attempt_failed(code, reason, {});
  }
  link_lost(code, reason);
}

/// The link in use is gone: if the session can wait, another is dialled at once.
void ClientConnection::Impl::link_lost(CloseCode code, const std::string& reason) {
  const auto self = shared_from_this();
  discard(current_, code, reason);
  lost_at_ = clock_now();
  if (!session_->detached()) session_->on_link_lost(code, reason, lost_at_, events_);
  if (session_->detached()) {
    // One that awaits its Welcome may be why this one was closed.
    if (!attempt_ || (attempt_->upgrade && !attempt_->link)) dial();
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
  discard(current_, code, reason);
  discard(attempt_, CloseCode::normal, {});
  keep_figures();
  session_.reset();
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
  } else if (now - *probed_at_ >= limits::kLinkProbeLife &&
             (!attempt_ || (attempt_->upgrade && !attempt_->link)) &&
             session_->resume_hello(options_.hello)) {
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

void ClientConnection::Impl::fail(CloseCode code, const std::string& reason, Duration at_least) {
  session_timer_.cancel();
  std::optional<Duration> delay;
  if (options_.reconnect && (options_.retry_refused || !is_refusal(code))) {
    delay = next_delay(at_least);
    dial_after(*delay);
  } else {
    started_ = false;
  }
  established_at_.reset();
  if (handler_ != nullptr) handler_->on_closed(code, reason, delay);
}

Duration ClientConnection::Impl::next_delay(Duration at_least) {
  if (established_at_ && clock_now() - *established_at_ >= kStable) failures_ = 0;
  Duration delay = options_.first_retry;
  for (int i = 0; i < failures_ && delay < options_.last_retry; ++i) delay *= 2;
  ++failures_;
  return std::max(jittered(std::min(delay, options_.last_retry)),
                  std::min(at_least, kLongestPatience));
}

Duration ClientConnection::Impl::jittered(Duration delay) {
  const double part = 0.5 + 0.5 * static_cast<double>(random_.u32()) / 4294967296.0;
  return std::chrono::duration_cast<Duration>(delay * part);
}

void ClientConnection::Impl::on_network_changed() {
  if (!started_) return;
  const bool movable = established() && session_->resume_hello(options_.hello);
  if (established() && !movable) return;  // its link may live; if not, silence tells
  resume_failures_ = 0;
  upgrade_wait_ = kFirstUpgrade;
  dial();
}

void ClientConnection::Impl::close(CloseCode code, std::string_view reason) {
  if (!started_) return;
  started_ = false;
  if (session_) {
    wire::SessionEvents last;
    session_->close(code, reason, last);
    for (const wire::SessionEvent& event : last) {
      const auto* frame = std::get_if<wire::SendFrame>(&event);
      if (frame != nullptr && current_) {
        current_->link->send_reliable(frame->channel, frame->bytes);
      }
    }
    keep_figures();
    session_.reset();
  }
  discard(current_, code, reason);
  discard(attempt_, code, reason);
  session_timer_.cancel();
  quiet_timer_.cancel();
  quiet_armed_ = false;
  upgrade_timer_.cancel();
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
  auto url = parse_gateway_url(options.url);
  if (!url) {
    return TrustError{TrustErrorKind::bad_options,
                      "\"" + options.url + "\": " + to_text(url.error())};
  }
  auto trust = ClientTrust::make(options.trust);
  if (!trust) return trust.error();
  auto impl =
      std::make_shared<Impl>(io, std::move(options), std::move(*url), std::move(*trust), handler);
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
