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

class ClientConnection::Impl final : public wire::LinkHandler,
                                     public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, ConnectionOptions options, GatewayUrl url,
       std::shared_ptr<ClientTrust> trust, ConnectionHandler& handler)
      : io_(io),
        options_(std::move(options)),
        url_(std::move(url)),
        trust_(std::move(trust)),
        handler_(&handler),
        session_timer_(io, [this] { on_session_timer(); }),
        retry_timer_(io) {}

  void start();
  void close(CloseCode code, std::string_view reason);
  void detach();

  bool established() const { return state_ == State::up && session_->established(); }
  bool send_sip(ByteView message);
  void send_media(wire::Channel channel, ByteView bytes);

  const wire::Link* link() const { return link_.get(); }
  wire::LinkCounters link_counters() const { return link_ ? link_->counters() : last_counters_; }
  const wire::ClientSession* session() const { return session_ ? &*session_ : nullptr; }
  std::uint64_t attempts() const { return attempts_; }

  void on_reliable(wire::Channel channel, ByteView bytes) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_closed(CloseCode code, const std::string& reason) override;

 private:
  enum class State : std::uint8_t { idle, dialing, up, waiting };

  void dial();
  void on_dialed(Result<std::unique_ptr<wire::Link>, DialError> result);
  void drain();
  void act(wire::SendFrame& event) { link_->send_reliable(event.channel, event.bytes); }
  void act(wire::SessionEstablished& event);
  void act(wire::SipFrameReceived& event);
  void act(wire::SessionClosed& event);
  void act(wire::AuthenticateHello&) {}  // a server's
  void on_session_timer();
  void drop_link(CloseCode code, std::string_view reason);
  void forget_link();
  void fail(CloseCode code, const std::string& reason, Duration at_least);
  Duration next_delay(Duration at_least);

  asio::io_context& io_;
  ConnectionOptions options_;
  GatewayUrl url_;
  std::shared_ptr<ClientTrust> trust_;
  ConnectionHandler* handler_;
  SystemRandom random_;

  State state_ = State::idle;
  std::unique_ptr<LinkDialer> dialer_;
  std::unique_ptr<wire::Link> link_;
  std::optional<wire::ClientSession> session_;
  wire::LinkCounters last_counters_;
  wire::SessionEvents events_;
  bool draining_ = false;
  DeadlineTimer session_timer_;
  asio::steady_timer retry_timer_;
  std::optional<Instant> established_at_;
  int failures_ = 0;
  std::uint64_t attempts_ = 0;
};

void ClientConnection::Impl::start() {
  if (state_ == State::idle) dial();
}

void ClientConnection::Impl::dial() {
  state_ = State::dialing;
  ++attempts_;
  established_at_.reset();
  dialer_ = std::make_unique<LinkDialer>(
      io_, trust_, Dialer::Options{url_, options_.hello.software, options_.connect_timeout},
      [weak = weak_from_this()](Result<std::unique_ptr<wire::Link>, DialError> result) {
        if (const auto self = weak.lock()) self->on_dialed(std::move(result));
      });
}

void ClientConnection::Impl::on_dialed(Result<std::unique_ptr<wire::Link>, DialError> result) {
  dialer_.reset();
  if (!result) return fail(result.error().code, result.error().text, {});
  state_ = State::up;
  link_ = std::move(*result);
  link_->start(*this);
  session_.emplace();
  wire::announce(options_.hello.capabilities, wire::kCompactRtpCapability, options_.compact_rtp);
  options_.hello.media_id = link_->media_id();
  session_->start(options_.hello, clock_now(), events_);
  drain();
}

bool ClientConnection::Impl::send_sip(ByteView message) {
  if (!established() || message.empty() || message.size() > limits::kReliableFrameBytes) {
    return false;
  }
  const bool sent = session_->send_sip(message, events_);
  drain();
  return sent;
}

void ClientConnection::Impl::send_media(wire::Channel channel, ByteView bytes) {
  if (!established()) return;
  const ByteView frame = session_->write_media(channel, bytes, clock_now(), events_);
  if (!frame.empty()) link_->send_media(channel, frame);
  if (!events_.empty()) drain();
}

void ClientConnection::Impl::on_reliable(wire::Channel channel, ByteView bytes) {
  session_->on_frame(channel, bytes, clock_now(), events_);
  drain();
}

void ClientConnection::Impl::on_media(wire::Channel channel, ByteView bytes) {
  const auto packet = session_->read_media(channel, bytes, clock_now(), events_);
  if (!events_.empty()) drain();
  if (packet && handler_ != nullptr && established()) handler_->on_media(channel, *packet);
}

void ClientConnection::Impl::on_closed(CloseCode code, const std::string& reason) {
  forget_link();
  fail(code, reason, {});
}

/// Carries out what the session asked for. A handler may send from inside its callback; what that
/// adds is carried out by the loop that is already running.
void ClientConnection::Impl::drain() {
  if (draining_) return;
  const auto self = shared_from_this();
  draining_ = true;
  while (!events_.empty() && state_ == State::up) {
    wire::SessionEvents batch;
    batch.swap(events_);
    for (wire::SessionEvent& event : batch) {
      if (state_ != State::up) break;
      std::visit([this](auto& what) { act(what); }, event);
    }
  }
  events_.clear();
  draining_ = false;
  if (state_ == State::up) session_timer_.arm(session_->next_deadline());
}

void ClientConnection::Impl::act(wire::SessionEstablished& event) {
  established_at_ = clock_now();
  link_->set_peer_media_id(event.welcome.media_id);
  if (handler_ != nullptr) handler_->on_established(event.welcome);
}

void ClientConnection::Impl::act(wire::SipFrameReceived& event) {
  if (handler_ != nullptr) handler_->on_sip(std::move(event.bytes));
}

void ClientConnection::Impl::act(wire::SessionClosed& event) {
  drop_link(event.code, event.reason);
  fail(event.code, event.reason, seconds(event.retry_after_s));
}

/// Armed only while a link is up.
void ClientConnection::Impl::on_session_timer() {
  session_->on_timeout(clock_now(), events_);
  drain();
}

void ClientConnection::Impl::forget_link() {
  if (link_) last_counters_ = link_->counters();
  link_.reset();
}

void ClientConnection::Impl::drop_link(CloseCode code, std::string_view reason) {
  if (!link_) return;
  link_->close(code, reason);
  forget_link();  // what it still has to send goes on without us
}

void ClientConnection::Impl::fail(CloseCode code, const std::string& reason, Duration at_least) {
  session_timer_.cancel();
  const bool retry = options_.reconnect && (options_.retry_refused || !is_refusal(code));
  std::optional<Duration> delay;
  if (retry) {
    delay = next_delay(at_least);
    state_ = State::waiting;
    retry_timer_.expires_after(*delay);
    retry_timer_.async_wait([weak = weak_from_this()](const error_code& error) {
      const auto self = weak.lock();
      if (!error && self && self->state_ == State::waiting) self->dial();
    });
  } else {
    state_ = State::idle;
  }
  if (handler_ != nullptr) handler_->on_closed(code, reason, delay);
}

Duration ClientConnection::Impl::next_delay(Duration at_least) {
  if (established_at_ && clock_now() - *established_at_ >= kStable) failures_ = 0;
  Duration delay = options_.first_retry;
  for (int i = 0; i < failures_ && delay < options_.last_retry; ++i) delay *= 2;
  ++failures_;
  delay = std::min(delay, options_.last_retry);
  const double part = 0.5 + 0.5 * static_cast<double>(random_.u32()) / 4294967296.0;
  delay = std::chrono::duration_cast<Duration>(delay * part);
  return std::max(delay, std::min(at_least, kLongestPatience));
}

void ClientConnection::Impl::close(CloseCode code, std::string_view reason) {
  if (state_ == State::idle) return;
  if (state_ == State::up) {
    wire::SessionEvents last;
    session_->close(code, reason, last);
    for (const wire::SessionEvent& event : last) {
      if (const auto* frame = std::get_if<wire::SendFrame>(&event)) {
        link_->send_reliable(frame->channel, frame->bytes);
      }
    }
    drop_link(code, reason);
  }
  dialer_.reset();
  session_timer_.cancel();
  retry_timer_.cancel();
  state_ = State::idle;
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
bool ClientConnection::established() const {
  return impl_->established();
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
  return impl_->session() == nullptr ? wire::SessionStatistics{} : impl_->session()->statistics();
}

wire::LinkCounters ClientConnection::link_counters() const {
  return impl_->link_counters();
}

wire::MediaFormCounters ClientConnection::media_in() const {
  return impl_->session() == nullptr ? wire::MediaFormCounters{} : impl_->session()->media_in();
}

wire::MediaFormCounters ClientConnection::media_out() const {
  return impl_->session() == nullptr ? wire::MediaFormCounters{} : impl_->session()->media_out();
}

std::uint64_t ClientConnection::attempts() const {
  return impl_->attempts();
}

}  // namespace isthmus::net
