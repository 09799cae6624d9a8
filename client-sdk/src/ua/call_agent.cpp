#include "ua/call_agent.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::ua {

using sip::HeaderId;
using sip::Message;

std::string describe(const Message& response) {
  return std::to_string(response.status()) + ' ' + std::string(response.reason());
}

std::string reason_text(const Message& message) {
  const auto value = message.get(HeaderId::reason);
  if (!value) return {};
  const std::size_t text = value->find("text=\"");
  if (text == std::string_view::npos) return std::string(*value);
  const std::string_view rest = value->substr(text + 6);
  return std::string(rest.substr(0, rest.find('"')));
}

CallAgent::Call* CallAgent::find(CallId id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second.get();
}

CallAgent::Call* CallAgent::find_dialog(const Message& request) {
  for (auto& [id, call] : calls_) {
    if (!call->dialog.call_id.empty() && call->dialog.matches(request)) return call.get();
  }
  return nullptr;
}

/// Channels go round before they are used again: packets on their way to a call that ended must not
/// reach the next one.
std::optional<std::uint16_t> CallAgent::free_channel() {
  constexpr std::uint32_t kEnd = limits::kFirstMediaChannel + limits::kChannelsPerSession;
  for (std::uint32_t tries = 0; tries < limits::kChannelsPerSession / 2; ++tries) {
    const std::uint32_t channel = next_channel_;
    next_channel_ = channel + 2 < kEnd ? channel + 2 : limits::kFirstMediaChannel;
    const bool used = std::ranges::any_of(
        calls_, [channel](const auto& entry) { return entry.second->media.channel() == channel; });
    if (!used) return static_cast<std::uint16_t>(channel);
  }
  return std::nullopt;
}

CallAgent::Call& CallAgent::add_call(bool outgoing, std::uint16_t channel) {
  const CallId id = ++last_id_;
  // 31 bits: some ends read the session id of o= as a signed number.
  MediaNegotiation media(context_.options.formats, context_.options.ptime_ms, channel,
                         context_.random.u32() >> 1U);
  auto& slot = calls_[id];
  slot = std::make_unique<Call>(id, outgoing, std::move(media));
  return *slot;
}

std::size_t CallAgent::live_calls() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      calls_, [](const auto& entry) { return entry.second->state != CallState::ended; }));
}

bool CallAgent::quiet() const {
  const bool acknowledged =
      std::ranges::none_of(calls_, [](const auto& entry) { return entry.second->awaiting_ack; });
  return acknowledged && std::ranges::all_of(exchanges_, [](const auto& entry) {
           return entry.second.forget_at.has_value();
         });
}

void CallAgent::announce_media(Call& call) {
  const auto& agreed = call.media.agreed();
  if (!agreed || call.announced == agreed) return;
  call.announced = agreed;
  context_.emit(MediaChanged{call.id, *agreed});
}

void CallAgent::change(Call& call, int status, std::string reason) {
  context_.emit(CallChanged{call.id, call.state, status, std::move(reason), EndCause::none,
                            call.local_hold, call.remote_hold});
}

/// After an exchange of descriptions: media, and whether the call is held.
void CallAgent::settle(Call& call, int status, std::string reason) {
  announce_media(call);
  const bool remote_hold = call.media.remote_hold();
  const CallState state = call.local_hold || remote_hold ? CallState::held : CallState::connected;
  const bool same = call.state == state && call.remote_hold == remote_hold;
  call.state = state;
  call.remote_hold = remote_hold;
  if (!same || status != 0) change(call, status, std::move(reason));
}

/// Tells the owner; the call itself stays only while a BYE waits for an ACK.
void CallAgent::end(Call& call, EndCause cause, int status, std::string reason) {
  if (call.state != CallState::ended) {
    call.state = CallState::ended;
    context_.emit(CallChanged{call.id, call.state, status, std::move(reason), cause,
                              call.local_hold, call.remote_hold});
  }
  if (call.bye_after_ack) return;
  if (call.invite_client != 0) {
    const auto exchange = exchanges_.find(call.invite_client);
    if (exchange != exchanges_.end()) exchange->second.abandoned = true;
  }
  calls_.erase(CallId{call.id});
}

void CallAgent::send_bye(Call& call, int cause, std::string_view text) {
  Message bye = call.dialog.request("BYE");
  if (cause != 0) {
    bye.add(HeaderId::reason,
            "SIP;cause=" + std::to_string(cause) + ";text=\"" + std::string(text) + '"');
  }
  send_exchange(call, Purpose::bye, std::move(bye));
}

void CallAgent::send_exchange(Call& call, Purpose purpose, Message request) {
  if (!request.has(HeaderId::user_agent)) {
    request.add(HeaderId::user_agent, context_.options.software);
  }
  Exchange exchange{call.id, purpose, request, false, {}, {}, std::nullopt};
  const sip::TransactionId id = context_.send(std::move(request));
  if (id == 0) return;
  exchanges_.emplace(id, std::move(exchange));
  if (purpose == Purpose::invite || purpose == Purpose::reinvite) call.invite_client = id;
}

/// A call that stands but cannot go on: says goodbye and ends.
void CallAgent::fail_call(Call& call, EndCause cause, int status, const std::string& reason) {
  send_bye(call, status, reason);
  end(call, cause, status, reason);
}

Result<void, UaError> CallAgent::hang_up(CallId id) {
  Call* call = find(id);
  if (call == nullptr || call->state == CallState::ended) return UaError::unknown_call;
  switch (call->state) {
    case CallState::calling:
    case CallState::ringing:
    case CallState::early_media: {
      const sip::TransactionId invite = call->invite_client;
      context_.layer.cancel(invite, {}, context_.now, context_.events);
      end(*call, EndCause::local, 487, "cancelled");
      break;
    }
    case CallState::incoming:
      return reject(id, 603, {});
    default:
      // A callee says no BYE before its 2xx was acknowledged or given up (RFC 3261 §15).
      call->bye_after_ack = call->awaiting_ack && !call->outgoing;
      if (!call->bye_after_ack) send_bye(*call, 0, {});
      end(*call, EndCause::local, 200, "hung up");
  }
  return {};
}

void CallAgent::on_link_down() {
  exchanges_.clear();
  while (!calls_.empty()) {
    Call& call = *calls_.begin()->second;
    call.bye_after_ack = false;
    end(call, EndCause::link_lost, 503, "the link to the gateway was lost");
  }
}

void CallAgent::on_due(Call& call) {
  if (call.ring_again_at && *call.ring_again_at <= context_.now) ring(call);
  if (call.reinvite_at && *call.reinvite_at <= context_.now) {
    call.reinvite_at.reset();
    send_reinvite(call);
  }
  if (!call.awaiting_ack || call.resend_at > context_.now) return;
  if (context_.now >= call.give_up_at) {
    call.awaiting_ack = call.bye_after_ack = false;
    fail_call(call, EndCause::timeout, 408, "No ACK");
    return;
  }
  context_.respond(call.invite_server, call.success);
  call.resend_after = std::min<Duration>(call.resend_after * 2, context_.options.timers.t2);
  call.resend_at = std::min(context_.now + call.resend_after, call.give_up_at);
}

void CallAgent::on_timeout() {
  std::erase_if(exchanges_, [this](const auto& entry) {
    return entry.second.forget_at && *entry.second.forget_at <= context_.now;
  });
  for (auto next = calls_.begin(); next != calls_.end();) {
    Call& call = *next->second;
    ++next;  // the call may be erased
    on_due(call);
  }
}

std::optional<Instant> CallAgent::next_deadline() const {
  std::optional<Instant> next;
  const auto consider = [&next](Instant at) {
    if (!next || at < *next) next = at;
  };
  for (const auto& [id, call] : calls_) {
    if (call->awaiting_ack) consider(call->resend_at);
    if (call->ring_again_at) consider(*call->ring_again_at);
    if (call->reinvite_at) consider(*call->reinvite_at);
  }
  for (const auto& [id, exchange] : exchanges_) {
    if (exchange.forget_at) consider(*exchange.forget_at);
  }
  return next;
}

}  // namespace isthmus::ua
