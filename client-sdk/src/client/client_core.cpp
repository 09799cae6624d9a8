#include "client/client_core.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "client/gateway_link.hpp"
#include "sip/uri.hpp"

namespace isthmus::detail {
namespace {

constexpr std::size_t kEndedCalls = 64;  ///< whose statistics are kept
constexpr std::uint8_t kOpusPayloadType = 111;

Instant now() {
  return std::chrono::steady_clock::now();
}

Error error_of(ua::UaError error) {
  ErrorKind kind = ErrorKind::wrong_state;
  switch (error) {
    case ua::UaError::not_connected:
    case ua::UaError::no_identity:
      kind = ErrorKind::not_connected;
      break;
    case ua::UaError::bad_target:
    case ua::UaError::bad_status:
      kind = ErrorKind::bad_argument;
      break;
    case ua::UaError::unknown_call:
      kind = ErrorKind::unknown_call;
      break;
    case ua::UaError::wrong_state:
      break;
    case ua::UaError::too_many_calls:
      kind = ErrorKind::limit;
      break;
  }
  return {kind, ua::to_text(error)};
}

std::string known_codecs() {
  std::string names;
  for (const audio::CodecInfo& codec : audio::supported_codecs()) {
    names.append(names.empty() ? "" : ", ").append(codec.name);
  }
  return names;
}

ua::AudioFormat format_of(const audio::CodecInfo& codec) {
  return {std::string(codec.name), codec.rtp_clock_rate, codec.sdp_channels,
          codec.static_payload_type.value_or(kOpusPayloadType), std::string(codec.fmtp)};
}

Outcome<std::vector<ua::AudioFormat>> formats_of(const std::vector<std::string>& names) {
  std::vector<ua::AudioFormat> formats;
  const auto codecs = audio::supported_codecs();
  if (names.empty()) {
    for (const audio::CodecInfo& codec : codecs) formats.push_back(format_of(codec));
  }
  for (const std::string& name : names) {
    const auto found = std::ranges::find_if(
        codecs, [&](const audio::CodecInfo& codec) { return iequals(codec.name, name); });
    if (found == codecs.end()) {
      return Error{ErrorKind::bad_argument,
                   "no codec \"" + name + "\" in this build; it knows " + known_codecs()};
    }
    formats.push_back(format_of(*found));
  }
  return formats;
}

}  // namespace

ClientCore::ClientCore(ClientOptions options, ClientHandlers handlers)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      timer_(thread_.io()),
      statistics_timer_(thread_.io()),
      leave_timer_(thread_.io()) {}

ClientCore::~ClientCore() {
  finish();
}

Outcome<ua::UserAgentOptions> ClientCore::user_agent_options() const {
  constexpr std::array<unsigned, 4> kPacketMs = {10, 20, 40, 60};
  ua::UserAgentOptions to;
  auto formats = formats_of(options_.codecs);
  if (!formats) return formats.error();
  to.formats = std::move(*formats);
  if (!options_.aor.empty()) {
    const auto uri = sip::Uri::parse(options_.aor);
    if (!uri || !uri->is_sip() || uri->user.empty() || uri->host.empty()) {
      return Error{ErrorKind::bad_argument,
                   "\"" + options_.aor + "\" is no SIP address as sip:user@domain"};
    }
    to.aor = options_.aor;
  }
  if (std::ranges::find(kPacketMs, options_.ptime_ms) == kPacketMs.end()) {
    return Error{ErrorKind::bad_argument, "packets of " + std::to_string(options_.ptime_ms) +
                                              " ms: possible are 10, 20, 40 and 60"};
  }
  to.ptime_ms = options_.ptime_ms;
  to.display_name = options_.display_name;
  to.software = options_.gateway.software.empty() ? "isthmus-sdk/" ISTHMUS_VERSION
                                                  : options_.gateway.software;
  to.digest_user = options_.sip_user;
  to.digest_password = options_.sip_password;
  to.accept_calls = static_cast<bool>(handlers_.on_incoming_call);
  return to;
}

Outcome<void> ClientCore::open() {
  auto user_agent = user_agent_options();
  if (!user_agent) return user_agent.error();
  auto link = connection_options(options_.gateway);
  if (!link) return link.error();
  return thread_.run([&]() -> Outcome<void> {
    auto made = net::ClientConnection::make(thread_.io(), std::move(*link), *this);
    if (!made) return Error{ErrorKind::bad_argument, made.error().text};
    connection_ = std::move(*made);
    user_agent_ = std::make_unique<ua::UserAgent>(std::move(*user_agent), random_);
    return {};
  });
}

void ClientCore::finish() {
  thread_.run([this] {
    handlers_ = {};
    finishing_ = true;
    disconnect();
    if (!leaving_) release();
  });
  thread_.finish();  // once released, nothing is left that would keep the thread
}

void ClientCore::release() {
  connection_.reset();
  timer_.cancel();
  statistics_timer_.cancel();
  for (auto& [id, entry] : calls_) {
    if (entry.media) entry.media->close();
  }
  calls_.clear();
  channels_.clear();
}

// --- What the application asks for -------------------------------------------------------------

void ClientCore::connect() {
  if (leaving_) leave();
  if (!connection_ || connection_->established()) return;
  if (handlers_.on_connection) handlers_.on_connection({ConnectionState::connecting, {}, {}});
  if (connection_) connection_->start();
}

/// A provider may challenge the REGISTER that removes the registration, or a BYE: whoever leaves at
/// once leaves a binding behind that others ring until it expires.
void ClientCore::disconnect() {
  if (!connection_ || leaving_) return;
  std::vector<std::uint64_t> ids;
  for (const auto& [id, entry] : calls_) ids.push_back(id);
  for (const std::uint64_t id : ids) (void)user_agent_->hang_up(id, now(), outputs_);
  if (user_agent_->registration() != ua::RegistrationState::unregistered) {
    user_agent_->stop_registration(now(), outputs_);
  }
  pump();
  leaving_ = true;
  if (user_agent_->quiet() || !connection_->has_link()) return leave();
  leave_timer_.expires_after(limits::kGoodbyeLife);
  leave_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self && self->leaving_) self->leave();
  });
}

void ClientCore::leave() {
  leaving_ = false;
  leave_timer_.cancel();
  user_agent_->on_link_down(now(), outputs_);
  pump();
  connection_->close();
  if (finishing_) release();
}

void ClientCore::on_network_changed() {
  if (connection_) connection_->on_network_changed();
}

void ClientCore::start_registration(std::chrono::seconds expires) {
  if (!user_agent_) return;
  const auto span = std::clamp<std::chrono::seconds::rep>(expires.count(), 30, 86'400);
  user_agent_->start_registration(static_cast<std::uint32_t>(span), now(), outputs_);
  pump();
}

void ClientCore::stop_registration() {
  if (!user_agent_) return;
  user_agent_->stop_registration(now(), outputs_);
  pump();
}

Outcome<Call> ClientCore::call(const std::string& target, bool late_offer, AudioEnds ends) {
  if (!connection_) return error_of(ua::UaError::not_connected);
  const auto id = user_agent_->call(target, {late_offer}, now(), outputs_);
  if (!id) {
    Error error = error_of(id.error());
    if (id.error() == ua::UaError::bad_target) error.text = "\"" + target + "\" is " + error.text;
    return error;
  }
  calls_.emplace(*id, Entry{make_media(*id, std::move(ends)), {}, now(), {}});
  pump();
  return handle(*id);
}

std::shared_ptr<CallMedia> ClientCore::make_media(std::uint64_t id, AudioEnds ends) {
  return std::make_shared<CallMedia>(thread_.io(), *connection_, random_, std::move(ends),
                                     [this, id](char digit) {
                                       if (handlers_.on_dtmf) handlers_.on_dtmf(handle(id), digit);
                                     });
}

Outcome<void> ClientCore::outcome_of(const Result<void, ua::UaError>& result) {
  pump();
  if (!result) return error_of(result.error());
  return {};
}

Outcome<void> ClientCore::answer(std::uint64_t id, AudioEnds ends) {
  Entry* entry = find(id);
  if (entry == nullptr || !connection_) return error_of(ua::UaError::unknown_call);
  if (entry->media) return error_of(ua::UaError::wrong_state);
  entry->media = make_media(id, std::move(ends));
  return outcome_of(user_agent_->answer(id, now(), outputs_));
}

Outcome<void> ClientCore::reject(std::uint64_t id, int status, std::string_view reason) {
  if (!connection_) return error_of(ua::UaError::unknown_call);
  return outcome_of(user_agent_->reject(id, status, reason, now(), outputs_));
}

Outcome<void> ClientCore::hang_up(std::uint64_t id) {
  if (!connection_) return error_of(ua::UaError::unknown_call);
  return outcome_of(user_agent_->hang_up(id, now(), outputs_));
}

Outcome<void> ClientCore::hold(std::uint64_t id, bool on) {
  if (!connection_) return error_of(ua::UaError::unknown_call);
  return outcome_of(user_agent_->hold(id, on, now(), outputs_));
}

Outcome<void> ClientCore::send_dtmf(std::uint64_t id, std::string_view digits,
                                    milliseconds duration) {
  Entry* entry = find(id);
  if (entry == nullptr || !connection_) return error_of(ua::UaError::unknown_call);
  if (!entry->media) return error_of(ua::UaError::wrong_state);
  if (entry->media->can_send_events()) return entry->media->send_dtmf(digits, duration);
  for (const char digit : digits) {
    auto sent = user_agent_->send_info_digit(id, digit, now(), outputs_);
    if (sent) continue;
    pump();
    if (sent.error() != ua::UaError::bad_target) return error_of(sent.error());
    return Error{ErrorKind::bad_argument, std::string("'") + digit + "' is no DTMF digit"};
  }
  pump();
  return {};
}

Outcome<void> ClientCore::push_audio(std::uint64_t id, std::span<const std::int16_t> samples) {
  Entry* entry = find(id);
  if (entry == nullptr) return error_of(ua::UaError::unknown_call);
  if (!entry->media) return error_of(ua::UaError::wrong_state);
  entry->media->push(samples);
  return {};
}

Outcome<CallStatistics> ClientCore::statistics(std::uint64_t id) const {
  if (const auto live = calls_.find(id); live != calls_.end()) return statistics_of(live->second);
  if (const auto past = ended_.find(id); past != ended_.end()) return past->second;
  return error_of(ua::UaError::unknown_call);
}

CallStatistics ClientCore::statistics_of(const Entry& entry) const {
  CallStatistics all;
  const Instant at = now();
  if (entry.answered) {
    all.setup_time =
        std::chrono::duration_cast<std::chrono::microseconds>(*entry.answered - entry.began);
    all.duration = std::chrono::duration_cast<milliseconds>(at - *entry.answered);
  }
  if (entry.media) entry.media->fill(all);
  if (connection_) {
    const wire::LinkCounters link = connection_->link_counters();
    all.wire_bytes_per_packet_sent = wire::wire_bytes_per_packet_out(link);
    all.wire_bytes_per_packet_received = wire::wire_bytes_per_packet_in(link);
  }
  return all;
}

SessionInfo ClientCore::session() const {
  if (!connection_ || !connection_->established()) return {};
  return session_info(*connection_, welcome_);
}

std::string ClientCore::aor() const {
  return user_agent_ ? user_agent_->aor() : std::string();
}

std::size_t ClientCore::call_count() const {
  return calls_.size();
}

// --- What the connection says ------------------------------------------------------------------

void ClientCore::on_established(const wire::WelcomeInfo& welcome) {
  welcome_ = welcome;
  if (options_.aor.empty()) {
    const auto url = net::parse_gateway_url(options_.gateway.url);
    const std::string host = url ? url->host : std::string();
    user_agent_->set_aor(
        ua::make_aor(welcome.user, welcome.sip_domain.empty() ? host : welcome.sip_domain));
  }
  user_agent_->on_link_up(now(), outputs_);
  if (handlers_.on_connection) handlers_.on_connection({ConnectionState::connected, {}, {}});
  pump();
  arm_statistics();
}

void ClientCore::on_sip(std::string message) {
  user_agent_->on_sip(std::move(message), now(), outputs_);
  pump();
}

void ClientCore::on_media(wire::Channel channel, ByteView bytes) {
  const auto found = channels_.find(channel);
  if (found == channels_.end()) return;
  Entry* entry = find(found->second);
  if (entry == nullptr) return;
  const std::shared_ptr<CallMedia> media = entry->media;  // a digit may end the call
  if (media) media->on_packet(channel, bytes);
}

/// Calls and registrations stay as they are: what they send waits for the next link.
void ClientCore::on_link_lost(wire::CloseCode code, const std::string& reason,
                              Duration will_retry_in) {
  if (handlers_.on_connection) {
    handlers_.on_connection(link_lost_event(code, reason, will_retry_in));
  }
}

void ClientCore::on_link_back(const wire::WelcomeInfo& welcome, Duration gap) {
  welcome_ = welcome;
  if (handlers_.on_connection)
    handlers_.on_connection(link_back_event(gap, connection_->move_reason()));
}

void ClientCore::on_go_away(const std::string& reason, Duration deadline) {
  if (handlers_.on_connection) handlers_.on_connection(go_away_event(reason, deadline));
}

void ClientCore::on_closed(wire::CloseCode code, const std::string& reason,
                           std::optional<Duration> will_retry_in) {
  statistics_timer_.cancel();
  user_agent_->on_link_down(now(), outputs_);
  pump();
  if (handlers_.on_connection) handlers_.on_connection(closed_event(code, reason, will_retry_in));
}

// --- What the user agent says ------------------------------------------------------------------

/// Handlers may ask for more from within; what that adds is carried out by the loop that runs.
void ClientCore::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (!outputs_.empty()) {
    ua::Outputs batch;
    batch.swap(outputs_);
    for (ua::Output& output : batch) {
      std::visit([this](auto& event) { act(event); }, output);
    }
  }
  pumping_ = false;
  arm_timer();
  // Behind all that is under way: the connection may be in the middle of telling something.
  if (leaving_ && user_agent_->quiet()) {
    boost::asio::post(thread_.io(), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && self->leaving_ && self->user_agent_->quiet()) self->leave();
    });
  }
}

void ClientCore::act(ua::SendSip& event) {
  if (connection_) connection_->send_sip(as_bytes(event.bytes));
}

void ClientCore::act(ua::RegistrationChanged& event) {
  if (!handlers_.on_registration) return;
  RegistrationEvent to;
  to.state = static_cast<RegistrationState>(event.state);
  to.status = event.status;
  to.reason = std::move(event.reason);
  to.expires = std::chrono::seconds(event.expires_s);
  if (event.retry_in) to.retry_in = std::chrono::duration_cast<milliseconds>(*event.retry_in);
  handlers_.on_registration(to);
}

void ClientCore::act(ua::IncomingCall& event) {
  calls_.emplace(event.call, Entry{nullptr, {}, now(), {}});
  if (!handlers_.on_incoming_call) return;
  handlers_.on_incoming_call(handle(event.call),
                             {event.from_uri, event.from_display, event.to_uri});
}

void ClientCore::act(ua::MediaChanged& event) {
  Entry* entry = find(event.call);
  if (entry == nullptr) return;
  entry->agreed = event.media;
  start_media(event.call, *entry);
}

void ClientCore::start_media(std::uint64_t id, Entry& entry) {
  if (!entry.media || !entry.agreed) return;
  channels_[entry.agreed->local_channel] = id;
  channels_[entry.agreed->local_channel + 1U] = id;
  // Only codecs of this build are offered, so this fails for want of memory at most.
  if (!entry.media->update(*entry.agreed)) (void)user_agent_->hang_up(id, now(), outputs_);
}

void ClientCore::act(ua::CallChanged& event) {
  Entry* entry = find(event.call);
  if (entry == nullptr) return;
  const bool answered =
      event.state == ua::CallState::connected || event.state == ua::CallState::held;
  if (answered && !entry->answered) {
    entry->answered = now();
    if (entry->media) entry->media->set_answered();
  }
  const Call call = handle(event.call);
  if (event.state == ua::CallState::ended) end_call(event.call);
  if (!handlers_.on_call) return;
  CallEvent to;
  to.state = static_cast<CallState>(event.state);
  to.status = event.status;
  to.reason = std::move(event.reason);
  to.cause = static_cast<EndCause>(event.cause);
  to.local_hold = event.local_hold;
  to.remote_hold = event.remote_hold;
  handlers_.on_call(call, to);
}

void ClientCore::act(ua::DigitReceived& event) {
  if (find(event.call) != nullptr && handlers_.on_dtmf) {
    handlers_.on_dtmf(handle(event.call), event.digit);
  }
}

void ClientCore::end_call(std::uint64_t id) {
  Entry* entry = find(id);
  if (entry == nullptr) return;
  ended_[id] = statistics_of(*entry);
  if (ended_.size() > kEndedCalls) ended_.erase(ended_.begin());
  if (entry->agreed) {
    channels_.erase(entry->agreed->local_channel);
    channels_.erase(entry->agreed->local_channel + 1U);
  }
  if (entry->media) entry->media->close();
  calls_.erase(id);
}

ClientCore::Entry* ClientCore::find(std::uint64_t id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : &found->second;
}

void ClientCore::arm_timer() {
  if (!connection_) return;
  const auto deadline = user_agent_->next_deadline();
  if (!deadline) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(*deadline);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || !self->connection_) return;
    self->user_agent_->on_timeout(now(), self->outputs_);
    self->pump();
  });
}

void ClientCore::arm_statistics() {
  if (!handlers_.on_statistics) return;
  statistics_timer_.expires_after(std::max(options_.statistics_interval, milliseconds(50)));
  statistics_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || !self->connection_) return;
    std::vector<std::uint64_t> ids;
    for (const auto& [id, entry] : self->calls_) {
      if (entry.media && entry.media->started()) ids.push_back(id);
    }
    for (const std::uint64_t id : ids) {
      const Entry* entry = self->find(id);
      if (entry != nullptr && self->handlers_.on_statistics) {
        self->handlers_.on_statistics(self->handle(id), self->statistics_of(*entry));
      }
    }
    if (self->connection_ && self->connection_->established()) self->arm_statistics();
  });
}

}  // namespace isthmus::detail
