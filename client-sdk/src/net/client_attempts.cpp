// ClientConnection: attempts at links and sessions, where they go and when, and how a gateway is
// left.
#include <algorithm>
#include <boost/system/error_code.hpp>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "net/client_connection_impl.hpp"
#include "wire/control_codec.hpp"

namespace isthmus::net {

using boost::system::error_code;
using wire::CloseCode;

namespace {

/// A session that stood this long was no failure: the next wait starts from the first step again.
constexpr Duration kStable = seconds(10);
/// While a call waits, a new attempt is worth more than the pauses between TCP's own.
constexpr Duration kResumeDial = seconds(4);
constexpr Duration kUpgradeDial = seconds(2);
/// For one of several gateways, in the first round.
constexpr Duration kElsewhereDial = seconds(4);
/// Attempts to resume a session that may be given up, before another gateway gets its turn.
constexpr int kResumeTries = 2;
/// Clients of a gateway that goes away leave over a quarter of its deadline, or this.
constexpr Duration kLeaveSpread = milliseconds(500);
constexpr Duration kLeavePoll = milliseconds(250);  ///< between looks at whether calls are over
constexpr Duration kLeaveRetry = seconds(1);        ///< between attempts at other gateways
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

/// `first`, doubled so many times, at most `last`.
Duration doubled(Duration first, Duration last, int times) {
  Duration wait = first;
  for (int i = 0; i < times && wait < last; ++i) wait *= 2;
  return std::min(wait, last);
}

/// Ends the session, and says so to the gateway.
void say_close(wire::ClientSession& session, wire::Link* link, CloseCode code,
               std::string_view reason) {
  wire::SessionEvents last;
  session.close(code, reason, last);
  for (const wire::SessionEvent& event : last) {
    const auto* frame = std::get_if<wire::SendFrame>(&event);
    if (frame != nullptr && link != nullptr) link->send_reliable(frame->channel, frame->bytes);
  }
}

}  // namespace

/// The session's next link, or the first of a new session.
void ClientConnection::Impl::dial() {
  if (established()) return dial_at(session_place_, false);
  with_places([](Impl& self) { self.dial_at(self.places_.here(), true); });
}

/// Goes on with places_ as the DNS has them now: at once when it was asked a while ago, or when the
/// last gateway said where to go.
void ClientConnection::Impl::with_places(std::function<void(Impl&)> next) {
  const bool known = clock_now() < places_hold_until_ || places_.invited();
  if (known || !GatewayLookup::needed(configured_)) return next(*this);
  lookup_ = std::make_unique<GatewayLookup>(
      io_, options_.dns_servers, configured_, random_,
      [weak = weak_from_this(), next = std::move(next)](GatewayLookup::Found found) {
        if (const auto self = weak.lock()) self->on_places(std::move(found), next);
      });
}

void ClientConnection::Impl::on_places(GatewayLookup::Found found,
                                       const std::function<void(Impl&)>& next) {
  lookup_.reset();
  places_hold_until_ = clock_now() + found.life;
  if (found.places.empty()) {
    return attempt_failed(
        CloseCode::going_away,
        "the DNS says that there is no gateway at " + configured_.front().url.host, {});
  }
  if (!found.failed || !places_found_) places_.replace(std::move(found.places));
  places_found_ = places_found_ || !found.failed;
  next(*this);
}

void ClientConnection::Impl::dial_at(const Place& place, bool fresh, bool upgrade) {
  retry_timer_.cancel();
  if (lookup_) {
    lookup_.reset();
    if (leaving_) leave_timer_.arm(clock_now() + kLeaveRetry);
  }
  // The gateway may have attached it already: the session must not end with it.
  discard(attempt_, CloseCode::replaced, "another link is being made");
  ++attempts_;
  attempt_fresh_ = fresh;
  attempt_ = std::make_shared<LinkEnd>(io_, *this);
  attempt_->upgrade = upgrade;
  Dialer::Options how{place.url, options_.hello.software, options_.connect_timeout, place.proxy};
  how.dns_servers = options_.dns_servers;
  if (!fresh) {  // calls may wait: whatever stands first
    how.time_limit = std::min(how.time_limit, upgrade ? kUpgradeDial : kResumeDial);
    how.udp_head_start = {};
  }
  // One that is silent must not keep us from the others; in later rounds each has its full time.
  if (fresh && failures_ == 0 && places_.elsewhere()) {
    how.time_limit = std::min(how.time_limit, kElsewhereDial);
  }
  if (upgrade) how.url.kinds = LinkKinds::udp;
  // Where UDP lets a session down, it is left alone for a while, unless nothing else works.
  const int failed = fresh ? failures_ : current_ ? moves_failed_ : resume_failures_;
  if (how.url.kinds == LinkKinds::either && failed == 0 && !udp_trust_.trusted(clock_now())) {
    how.url.kinds = LinkKinds::websocket;
  }
  how.tickets = tickets_;
  if (!fresh && !upgrade) {
    // Not for an upgrade: a gateway that has heard the Hello leaves the link that serves, and sends
    // media on the new one only when its handshake is done.
    how.early_hello = [weak = weak_from_this()](std::uint32_t media_id) {
      const auto self = weak.lock();
      return self ? self->early_hello(media_id) : std::nullopt;
    };
  }
  attempt_->dialer =
      std::make_unique<LinkDialer>(io_, trust_, std::move(how),
                                   [weak = weak_from_this(), end = attempt_.get()](
                                       Result<std::unique_ptr<wire::Link>, DialError> result) {
                                     if (const auto self = weak.lock())
                                       self->on_dialed(*end, std::move(result));
                                   });
}

std::optional<Bytes> ClientConnection::Impl::early_hello(std::uint32_t media_id) const {
  auto hello = established() ? session_->resume_hello(options_.hello) : std::nullopt;
  if (!hello) return std::nullopt;
  hello->media_id = media_id;
  return wire::serialize_control(wire::to_message(*hello));
}

/// A network that let no UDP through may do so later, or another has taken its place.
void ClientConnection::Impl::look_for_udp() {
  const bool better = session_place_.url.kinds == LinkKinds::either && current_ && !on_udp();
  if (!better) return upgrade_timer_.cancel();
  upgrade_timer_.arm(udp_trust_.next_trial(clock_now()));
}

void ClientConnection::Impl::on_upgrade_timer() {
  if (!current_ || !session_) return;
  if (attempt_ || lookup_ || !session_->resume_hello(options_.hello)) {
    return upgrade_timer_.arm(clock_now() + UdpTrust::kFirst);
  }
  move_reason_ = "UDP passes here";
  dial_at(session_place_, false, true);
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
    if (end.upgrade) udp_trust_.on_trial_failed(clock_now());
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
  options_.hello.media_id = end.link->media_id();
  if (established() && !attempt_fresh_) resume = session_->resume_hello(options_.hello);
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
  if (established() && attempt_fresh_) {
    if (handler_ == nullptr || !handler_->may_leave()) return stay();
    const std::string reason = leaving_.value_or("moved to another gateway");
    if (!give_up_session(CloseCode::going_away, reason, {})) return;
  }
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
  remote_ = current_->link->remote();
  source_ = current_->link->local().address;
  retry_timer_.cancel();
  resume_failures_ = 0;
  heard_at_ = clock_now();
  probed_at_.reset();
  if (!resumed) {
    session_ = std::move(greeting);
    earlier_links_ = {};
    established_at_ = clock_now();
    session_place_ = places_.here();
    places_.arrived();
    absent_ = false;
    move_reason_.clear();
    link_taken(welcome);
    if (handler_ != nullptr) handler_->on_established(welcome);
    return drain();
  }
  discard(before, CloseCode::replaced, "a newer link has taken this one's place");
  link_taken(welcome);
  if (handler_ != nullptr && session_->established()) handler_->on_link_back(welcome, gap);
  drain();
}

void ClientConnection::Impl::refused(const wire::SessionClosed& why) {
  const CloseCode code = why.code;
  const std::string reason = why.reason;
  const Duration patience = seconds(why.retry_after_s);
  if (attempt_->upgrade) udp_trust_.on_trial_failed(clock_now());
  discard(attempt_, code, reason);
  if (code != CloseCode::resume_refused || !established()) {
    return attempt_failed(code, reason, patience);
  }
  if (current_) return look_for_udp();  // the session goes on where it is
  if (!options_.reconnect) {
    keep_figures();
    session_.reset();
    return fail(code, reason, {});
  }
  if (give_up_session(code, reason, {})) dial();
}

void ClientConnection::Impl::attempt_failed(CloseCode code, const std::string& reason,
                                            Duration at_least) {
  if (!established()) return fail(code, reason, at_least);
  if (current_) {  // it was a change for the better that did not come about
    ++moves_failed_;
    if (leaving_) leave_timer_.arm(clock_now() + kLeaveRetry);
    return look_for_udp();
  }
  if (options_.reconnect && resume_failures_ >= kResumeTries && places_.elsewhere() &&
      handler_ != nullptr && handler_->may_leave()) {
    places_.go_on();
    if (give_up_session(code, reason, {})) dial();
    return;
  }
  const Duration wait =
      doubled(options_.first_resume_retry, options_.last_resume_retry, resume_failures_++);
  const Duration delay = std::max(jittered(wait), at_least);
  dial_after(delay);
  if (handler_ != nullptr) handler_->on_link_lost(code, reason, delay);
}

// --- Leaving ------------------------------------------------------------------------------------

void ClientConnection::Impl::act(wire::GoAwayReceived& event) {
  std::vector<Place> named;
  for (const std::string& text : event.info.gateways) {
    if (auto place = place_at(text, proxies_)) named.push_back(std::move(*place));
  }
  places_.invite(named);
  leaving_ = event.info.reason;
  const Duration spread = std::min(event.info.deadline / 4, kLeaveSpread);
  leave_timer_.arm(clock_now() + part_of(spread));
  if (handler_ != nullptr) handler_->on_go_away(event.info.reason, event.info.deadline);
}

/// The gateway goes away. With another to go to, the new session comes first and the old one ends
/// then (welcomed()); with none, leaving now leaves the gateway free to end before its deadline.
void ClientConnection::Impl::on_leave_timer() {
  if (!leaving_ || !established() || handler_ == nullptr) return;
  if (!options_.reconnect) return;  // until the gateway ends it
  if (attempt_ || lookup_ || !handler_->may_leave()) {
    return leave_timer_.arm(clock_now() + kLeavePoll);
  }
  with_places([](Impl& self) { self.leave(); });
}

void ClientConnection::Impl::leave() {
  if (!leaving_ || !established() || attempt_ || handler_ == nullptr) return;
  if (!handler_->may_leave()) return leave_timer_.arm(clock_now() + kLeavePoll);
  if (places_.elsewhere()) {
    places_.go_on();
    return dial_at(places_.here(), true);
  }
  const Duration delay = next_delay({});
  if (give_up_session(CloseCode::going_away, *leaving_, delay)) dial_after(delay);
}

/// Says Close on the link in use, if there is one. The session is over.
void ClientConnection::Impl::say_goodbye(CloseCode code, std::string_view reason) {
  say_close(*session_, current_ ? current_->link.get() : nullptr, code, reason);
  link_left(CloseCode::normal);
  keep_figures();
  session_.reset();
  session_timer_.cancel();
  leave_timer_.cancel();
  discard(current_, code, reason);
}

/// A call began while the new session was sought: that one is ended, and sought again later.
void ClientConnection::Impl::stay() {
  const std::string_view why = "the client stays where it is";
  say_close(*attempt_->greeting, attempt_->link.get(), CloseCode::normal, why);
  discard(attempt_, CloseCode::normal, why);
  if (leaving_) leave_timer_.arm(clock_now() + kLeaveRetry);
}

/// Ends the session so that another can begin. @return false when the handler wanted otherwise
bool ClientConnection::Impl::give_up_session(CloseCode code, const std::string& reason,
                                             Duration will_retry_in) {
  const auto self = shared_from_this();
  const auto attempt = attempt_;
  const std::string why = reason;
  say_goodbye(CloseCode::normal, "the client begins a new session");
  leaving_.reset();
  established_at_.reset();
  if (handler_ != nullptr) handler_->on_closed(code, why, will_retry_in);
  return started_ && attempt_ == attempt && !session_;
}

// --- Waiting ------------------------------------------------------------------------------------

void ClientConnection::Impl::fail(CloseCode code, const std::string& reason, Duration at_least) {
  session_timer_.cancel();
  const bool had_session = established_at_.has_value();
  absent_ = absent_ || !is_refusal(code);
  // Who is refused by one gateway may be welcome at another, but not whose session was ended.
  const bool more = (!had_session || !is_refusal(code)) && places_.go_on();
  const bool first_round = more && !had_session;  // each place once, whatever the options say
  const bool hope = options_.retry_refused || !is_refusal(code) || (absent_ && !had_session);
  std::optional<Duration> delay;
  if (first_round || (options_.reconnect && hope)) {
    delay = first_round ? Duration{} : next_delay(at_least);
    if (!more) absent_ = false;
    dial_after(*delay);
  } else {
    started_ = false;
  }
  established_at_.reset();
  if (handler_ != nullptr) handler_->on_closed(code, reason, delay);
}

Duration ClientConnection::Impl::next_delay(Duration at_least) {
  if (established_at_ && clock_now() - *established_at_ >= kStable) failures_ = 0;
  const Duration wait = doubled(options_.first_retry, options_.last_retry, failures_++);
  return std::max(jittered(wait), std::min(at_least, kLongestPatience));
}

Duration ClientConnection::Impl::part_of(Duration delay) {
  return std::chrono::duration_cast<Duration>(delay * random_.fraction());
}

}  // namespace isthmus::net
