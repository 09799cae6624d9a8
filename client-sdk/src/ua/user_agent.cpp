#include "ua/user_agent.hpp"

#include <algorithm>

#include "ua/call_agent.hpp"
#include "ua/context.hpp"
#include "ua/registration.hpp"

namespace isthmus::ua {

using sip::Message;

const char* to_text(UaError error) {
  switch (error) {
    case UaError::not_connected:
      return "there is no link to a gateway";
    case UaError::no_identity:
      return "there is no address of record to call from";
    case UaError::bad_target:
      return "neither a user, nor user@host, nor a sip:, sips: or tel: URI";
    case UaError::unknown_call:
      return "there is no such call, or it has ended";
    case UaError::wrong_state:
      return "not possible in the state of this call";
    case UaError::too_many_calls:
      return "too many calls at once";
    case UaError::bad_status:
      return "a call is refused with a status from 300 to 699";
  }
  return "unknown";
}

class UserAgent::Impl {
 public:
  Impl(UserAgentOptions options, Random& random)
      : context(std::move(options), random), registration(context), calls(context) {}

  void begin(Instant now, Outputs& out) {
    context.now = now;
    context.out = &out;
  }

  /// Carries out what the transactions ask for, until nothing is left: each event may cause others.
  void drain() {
    for (std::size_t i = 0; i < context.events.size(); ++i) {
      sip::TransactionEvent event = std::move(context.events[i]);
      std::visit([this](auto& what) { act(what); }, event);
    }
    context.events.clear();
  }

  void on_message(std::string bytes);

  void act(sip::SendMessage& event) { context.emit(SendSip{std::move(event.bytes)}); }
  void act(sip::RequestReceived& event) { calls.on_request(event.server, event.request); }
  void act(sip::AckReceived& event) { calls.on_ack(event.ack); }
  void act(sip::CancelReceived& event) { calls.on_cancel(event.server); }
  void act(sip::ResponseReceived& event) {
    if (registration.on_response(event.client, event.response)) return;
    calls.on_response(event.client, event.response);
  }
  void act(sip::StrayResponse&) {}  // counted by the layer
  void act(sip::ClientFailed& event) {
    if (registration.on_failure(event.client, event.why)) return;
    calls.on_failure(event.client, event.why);
  }
  void act(sip::ServerFailed& event) { calls.on_server_failure(event.server, event.why); }

  Context context;
  Registration registration;
  CallAgent calls;
  std::uint64_t malformed = 0;
};

/// A request that is broken is told so, where it can be (RFC 3261 §8.2.1, §21.4.1); anything else
/// is counted.
void UserAgent::Impl::on_message(std::string bytes) {
  auto message = Message::parse(std::move(bytes));
  if (!message) {
    ++malformed;
    return;
  }
  const auto fault = message->check();
  if (!fault) {
    context.layer.on_message(std::move(*message), context.flow(), context.now, context.events);
    return;
  }
  ++malformed;
  if (message->is_response() || message->method() == sip::Method::ack) return;
  if (!message->has(sip::HeaderId::via)) return;
  const Message answer = Message::response_to(*message, fault->status(), fault->reason());
  context.emit(SendSip{answer.serialize()});
}

UserAgent::UserAgent(UserAgentOptions options, Random& random)
    : impl_(std::make_unique<Impl>(std::move(options), random)) {}
UserAgent::~UserAgent() = default;

void UserAgent::set_aor(std::string aor) {
  impl_->context.aor = std::move(aor);
}
const std::string& UserAgent::aor() const {
  return impl_->context.aor;
}
std::string UserAgent::domain() const {
  const auto uri = sip::Uri::parse(impl_->context.aor);
  return uri ? uri->host : std::string();
}
std::string UserAgent::contact_uri() const {
  return impl_->context.contact_uri();
}

void UserAgent::on_link_up(Instant now, Outputs& out) {
  impl_->begin(now, out);
  impl_->context.link_up = true;
  ++impl_->context.session;
  impl_->registration.on_link_up();
  impl_->drain();
}

void UserAgent::on_link_down(Instant now, Outputs& out) {
  impl_->begin(now, out);
  if (!impl_->context.link_up) return;
  impl_->context.link_up = false;
  impl_->registration.on_link_down();
  impl_->calls.on_link_down();
  impl_->context.layer.on_flow_failed(impl_->context.flow(), now, impl_->context.events);
  impl_->context.events.clear();  // nobody is left to be told
}

void UserAgent::on_sip(std::string bytes, Instant now, Outputs& out) {
  impl_->begin(now, out);
  if (!impl_->context.link_up) return;
  impl_->on_message(std::move(bytes));
  impl_->drain();
}

void UserAgent::on_timeout(Instant now, Outputs& out) {
  impl_->begin(now, out);
  impl_->context.layer.on_timeout(now, impl_->context.events);
  impl_->drain();
  impl_->registration.on_timeout();
  impl_->calls.on_timeout();
  impl_->drain();
}

std::optional<Instant> UserAgent::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& deadline : {impl_->context.layer.next_deadline(),
                               impl_->registration.next_deadline(), impl_->calls.next_deadline()}) {
    if (deadline && (!next || *deadline < *next)) next = deadline;
  }
  return next;
}

void UserAgent::start_registration(std::uint32_t expires_s, Instant now, Outputs& out) {
  impl_->begin(now, out);
  impl_->registration.start(expires_s);
  impl_->drain();
}

void UserAgent::stop_registration(Instant now, Outputs& out) {
  impl_->begin(now, out);
  impl_->registration.stop();
  impl_->drain();
}

RegistrationState UserAgent::registration() const {
  return impl_->registration.state();
}

Result<CallId, UaError> UserAgent::call(std::string_view target, const CallOptions& options,
                                        Instant now, Outputs& out) {
  impl_->begin(now, out);
  auto result = impl_->calls.call(target, options.late_offer);
  impl_->drain();
  return result;
}

Result<void, UaError> UserAgent::answer(CallId id, Instant now, Outputs& out) {
  impl_->begin(now, out);
  auto result = impl_->calls.answer(id);
  impl_->drain();
  return result;
}

Result<void, UaError> UserAgent::reject(CallId id, int status, std::string_view reason, Instant now,
                                        Outputs& out) {
  impl_->begin(now, out);
  auto result = impl_->calls.reject(id, status, reason);
  impl_->drain();
  return result;
}

Result<void, UaError> UserAgent::hang_up(CallId id, Instant now, Outputs& out) {
  impl_->begin(now, out);
  auto result = impl_->calls.hang_up(id);
  impl_->drain();
  return result;
}

Result<void, UaError> UserAgent::hold(CallId id, bool on, Instant now, Outputs& out) {
  impl_->begin(now, out);
  auto result = impl_->calls.hold(id, on);
  impl_->drain();
  return result;
}

Result<void, UaError> UserAgent::send_info_digit(CallId id, char digit, Instant now, Outputs& out) {
  impl_->begin(now, out);
  auto result = impl_->calls.send_info_digit(id, digit);
  impl_->drain();
  return result;
}

std::size_t UserAgent::call_count() const {
  return impl_->calls.live_calls();
}
bool UserAgent::quiet() const {
  return impl_->calls.quiet() && !impl_->registration.busy();
}
std::uint64_t UserAgent::malformed() const {
  return impl_->malformed;
}

}  // namespace isthmus::ua
