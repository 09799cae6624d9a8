// The client's side of a call: INVITE, its responses and ACK, re-INVITE, INFO (RFC 3261 §13.2,
// §14.1).
#include <algorithm>

#include "base/text.hpp"
#include "rtp/telephone_event.hpp"
#include "ua/call_agent.hpp"

namespace isthmus::ua {

using sip::HeaderId;
using sip::Message;

Result<CallId, UaError> CallAgent::call(std::string_view target, bool late_offer) {
  if (!context_.link_up) return UaError::not_connected;
  if (context_.aor.empty()) return UaError::no_identity;
  const auto own = sip::Uri::parse(context_.aor);
  const auto uri = complete_target(target, own ? own->host : std::string());
  if (!uri) return UaError::bad_target;
  if (calls_.size() >= context_.options.max_calls) return UaError::too_many_calls;
  const auto channel = free_channel();
  if (!channel) return UaError::too_many_calls;
  Call& call = add_call(true, *channel);
  Message invite = context_.new_request("INVITE", *uri, *uri, context_.random.token(10),
                                        context_.random.token(20), 1);
  invite.add(HeaderId::allow, kAllow);
  if (!late_offer) invite.set_body(call.media.offer(false), kSdpType);
  const CallId id = call.id;
  send_exchange(call, Purpose::invite, std::move(invite));
  if (call.invite_client == 0) {
    calls_.erase(id);
    return UaError::too_many_calls;
  }
  change(call);
  return id;
}

Result<void, UaError> CallAgent::hold(CallId id, bool on) {
  Call* call = find(id);
  if (call == nullptr || call->state == CallState::ended) return UaError::unknown_call;
  if (call->state != CallState::connected && call->state != CallState::held) {
    return UaError::wrong_state;
  }
  call->wanted_hold = on;
  send_reinvite(*call);
  return {};
}

/// Asks for the hold that is wished, when it may: no other offer, INVITE or wait in between.
void CallAgent::send_reinvite(Call& call) {
  const bool busy = call.invite_client != 0 || call.awaiting_ack || call.reinvite_at ||
                    call.state == CallState::ended;
  if (busy || call.wanted_hold == call.local_hold) return;
  Message invite = call.dialog.request("INVITE");
  invite.add(HeaderId::contact, context_.contact());
  invite.add(HeaderId::allow, kAllow);
  invite.set_body(call.media.offer(call.wanted_hold), kSdpType);
  send_exchange(call, Purpose::reinvite, std::move(invite));
}

Result<void, UaError> CallAgent::send_info_digit(CallId id, char digit) {
  Call* call = find(id);
  if (call == nullptr || call->state == CallState::ended) return UaError::unknown_call;
  if (call->state != CallState::connected && call->state != CallState::held) {
    return UaError::wrong_state;
  }
  if (!rtp::event_of(digit)) return UaError::bad_target;
  Message info = call->dialog.request("INFO");
  info.add(HeaderId::contact, context_.contact());
  info.set_body("Signal=" + std::string(1, digit) + "\r\nDuration=160\r\n",
                "application/dtmf-relay");
  send_exchange(*call, Purpose::info, std::move(info));
  return {};
}

void CallAgent::on_response(sip::TransactionId client, const Message& response) {
  const auto found = exchanges_.find(client);
  if (found == exchanges_.end()) return;
  Exchange& exchange = found->second;
  if (exchange.purpose == Purpose::invite || exchange.purpose == Purpose::reinvite) {
    on_invite_response(client, exchange, response);
    return;
  }
  if (response.status() < 200) return;
  const Exchange finished = std::move(exchange);
  exchanges_.erase(found);
  if (retry_with_credentials(finished, response)) return;
  // RFC 3261 §12.2.1.2: the other end does not know the dialog any more.
  Call* call = find(finished.call);
  const bool forgotten = response.status() == 481 || response.status() == 408;
  if (call != nullptr && finished.purpose == Purpose::info && forgotten) {
    fail_call(*call, EndCause::failed, response.status(), "the other end forgot the call");
  }
}

/// Once more with credentials after 401 or 407 (§22.2). @return whether it was sent
bool CallAgent::retry_with_credentials(const Exchange& exchange, const Message& response) {
  if ((response.status() != 401 && response.status() != 407) || exchange.abandoned) return false;
  auto again = context_.authorized(exchange.request, response);
  if (!again) return false;
  Call* call = find(exchange.call);
  if (call != nullptr && !call->dialog.call_id.empty() && exchange.purpose != Purpose::invite) {
    if (const auto cseq = again->cseq()) {
      call->dialog.local_cseq = std::max(call->dialog.local_cseq, cseq->number);
    }
  }
  Exchange next{exchange.call, exchange.purpose, *again, false, {}, {}, std::nullopt};
  const sip::TransactionId id = context_.send(std::move(*again));
  if (id == 0) return false;
  if (call != nullptr && exchange.purpose != Purpose::bye && exchange.purpose != Purpose::info) {
    call->invite_client = id;
  }
  exchanges_.emplace(id, std::move(next));
  return true;
}

void CallAgent::on_invite_response(sip::TransactionId client, Exchange& exchange,
                                   const Message& response) {
  const int status = response.status();
  Call* call = exchange.abandoned ? nullptr : find(exchange.call);
  if (status < 200) {
    if (call != nullptr && exchange.purpose == Purpose::invite) {
      on_provisional(*call, exchange, response);
    }
    return;
  }
  if (status < 300) {
    if (!exchange.forget_at) {
      exchange.forget_at = context_.now + context_.options.timers.timeout();
    }
    on_success(exchange, response);
    return;
  }
  const Exchange finished = std::move(exchange);
  exchanges_.erase(client);
  if (call == nullptr) return;
  if (call->invite_client == client) call->invite_client = 0;
  if (retry_with_credentials(finished, response)) return;
  on_invite_refused(finished.call, finished.purpose, response);
}

void CallAgent::on_provisional(Call& call, const Exchange& exchange, const Message& response) {
  if (response.status() == 100 || response.to_tag().empty()) return;
  // The latest early dialog is the one that its other end may already send requests in.
  call.dialog = sip::Dialog::as_uac(exchange.request, response);
  if (call.media.offering() && response.content_type() == kSdpType &&
      call.media.take_answer(response.body(), false)) {
    announce_media(call);
    if (call.state == CallState::early_media) return;
    call.state = CallState::early_media;
    change(call, response.status(), describe(response));
    return;
  }
  if (call.state != CallState::calling || response.status() == 199) return;
  call.state = CallState::ringing;
  change(call, response.status(), describe(response));
}

void CallAgent::on_success(Exchange& exchange, const Message& response) {
  const std::string tag = response.to_tag();
  if (!exchange.ack.empty() && exchange.acked_tag == tag) {
    context_.emit(SendSip{exchange.ack});  // our ACK was lost on its way (§13.2.2.4)
    return;
  }
  Call* call = exchange.abandoned ? nullptr : find(exchange.call);
  if (!exchange.ack.empty() || call == nullptr) {
    acknowledge_and_end(exchange, response);  // another branch of a fork, or hung up meanwhile
    return;
  }
  on_first_success(*call, exchange, response);
}

void CallAgent::on_first_success(Call& call, Exchange& exchange, const Message& response) {
  const bool initial = exchange.purpose == Purpose::invite;
  call.invite_client = 0;
  if (initial) {
    call.dialog = sip::Dialog::as_uac(exchange.request, response);
  } else {
    call.dialog.refresh_target(response);
  }
  const bool has_sdp = response.content_type() == kSdpType;
  std::string sdp;
  std::optional<MediaFault> fault;
  if (exchange.request.body().empty()) {  // the offer comes late: the ACK carries our answer
    if (auto answer = call.media.answer(response.body(), call.wanted_hold)) {
      sdp = *answer;
    } else {
      fault = answer.error();
    }
  } else if (has_sdp) {
    if (auto taken = call.media.take_answer(response.body(), true); !taken) fault = taken.error();
  } else if (initial && call.media.agreed()) {
    call.media.withdraw();  // answered by a provisional response already
  } else {
    fault = MediaFault{488, "The 2xx carries no answer to our offer"};
  }
  acknowledge(exchange, call.dialog, response, sdp);
  if (fault) {
    fail_call(call, EndCause::failed, fault->status, fault->reason);
    return;
  }
  if (!initial) call.local_hold = call.wanted_hold;
  const bool again = initial && call.wanted_hold != call.local_hold;
  settle(call, response.status(), describe(response));
  if (!initial || again) send_reinvite(call);
}

/// The ACK of a 2xx: outside transactions, with the credentials of its INVITE (§13.2.2.4).
void CallAgent::acknowledge(Exchange& exchange, sip::Dialog& dialog, const Message& response,
                            std::string_view sdp) {
  const auto cseq = response.cseq();
  Message ack = dialog.request("ACK", cseq ? cseq->number : 0);
  for (const HeaderId header : {HeaderId::authorization, HeaderId::proxy_authorization}) {
    for (const std::string_view value : exchange.request.fields(header)) ack.add(header, value);
  }
  if (!sdp.empty()) ack.set_body(sdp, kSdpType);
  context_.layer.add_via(ack, context_.flow(), context_.host);
  exchange.ack = ack.serialize();
  exchange.acked_tag = response.to_tag();
  context_.emit(SendSip{exchange.ack});
}

/// A 2xx that nobody waits for: acknowledged, because it must be, and ended at once.
void CallAgent::acknowledge_and_end(Exchange& exchange, const Message& response) {
  sip::Dialog dialog = sip::Dialog::as_uac(exchange.request, response);
  Exchange own{0, exchange.purpose, exchange.request, true, {}, {}, std::nullopt};
  acknowledge(own, dialog, response, {});
  if (exchange.ack.empty()) {
    exchange.ack = own.ack;
    exchange.acked_tag = own.acked_tag;
  }
  if (exchange.purpose == Purpose::reinvite) return;  // its BYE is on its way
  Message bye = dialog.request("BYE");
  bye.add(HeaderId::user_agent, context_.options.software);
  Exchange ending{0, Purpose::bye, bye, false, {}, {}, std::nullopt};
  const sip::TransactionId id = context_.send(std::move(bye));
  if (id != 0) exchanges_.emplace(id, std::move(ending));
}

void CallAgent::on_invite_refused(CallId id, Purpose purpose, const Message& response) {
  Call* call = find(id);
  if (call == nullptr) return;
  std::string reason = describe(response);
  if (const std::string text = reason_text(response); !text.empty()) reason += " (" + text + ')';
  const int status = response.status();
  if (purpose == Purpose::reinvite) {
    on_reinvite_refused(*call, status, reason);
    return;
  }
  if ((status == 401 || status == 407) && context_.options.digest_password.empty()) {
    reason += ": the provider asks for a SIP password, and none was given";
  }
  end(*call, EndCause::refused, status, std::move(reason));
}

void CallAgent::on_reinvite_refused(Call& call, int status, const std::string& reason) {
  call.media.withdraw();
  if (status == 481 || status == 408) {
    fail_call(call, EndCause::failed, status, reason);
    return;
  }
  if (status == 491) {
    // §14.1: whoever made the Call-ID waits longer, so that the two do not meet again.
    const std::uint32_t span = call.outgoing ? 190 : 200;
    const std::uint32_t least = call.outgoing ? 210 : 0;
    call.reinvite_at = context_.now + milliseconds((least + context_.random.u32() % span) * 10);
    return;
  }
  call.wanted_hold = call.local_hold;
  change(call, status, reason);
}

void CallAgent::on_failure(sip::TransactionId client, sip::ClientFailure why) {
  const auto found = exchanges_.find(client);
  if (found == exchanges_.end()) return;
  const Exchange exchange = std::move(found->second);
  exchanges_.erase(found);
  Call* call = exchange.abandoned ? nullptr : find(exchange.call);
  if (call == nullptr || exchange.purpose == Purpose::bye) return;
  const bool timeout = why == sip::ClientFailure::timeout;
  const int status = timeout ? 408 : 503;
  const std::string reason = timeout ? "no answer in time" : "the link failed";
  if (exchange.purpose == Purpose::invite) {
    call->invite_client = 0;
    end(*call, timeout ? EndCause::timeout : EndCause::link_lost, status, reason);
  } else if (exchange.purpose == Purpose::reinvite) {
    call->invite_client = 0;
    on_reinvite_refused(*call, status, reason);
  }
}

}  // namespace isthmus::ua
