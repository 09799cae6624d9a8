// The server's side of a call: INVITE and what the other end asks for in a dialog (RFC 3261 §13.3,
// §14.2).
#include <algorithm>

#include "base/text.hpp"
#include "rtp/telephone_event.hpp"
#include "ua/call_agent.hpp"

namespace isthmus::ua {

using sip::HeaderId;
using sip::Message;
using sip::Method;

namespace {

constexpr Duration kRingAgain = seconds(60);

std::string join(const std::vector<std::string_view>& values) {
  std::string text;
  for (const std::string_view value : values) {
    if (!text.empty()) text += ", ";
    text += value;
  }
  return text;
}

/// The digit of an INFO: "Signal=5" lines of application/dtmf-relay, or a bare application/dtmf.
char info_digit(const Message& request) {
  std::string_view text = request.body();
  if (request.content_type() == "application/dtmf-relay") {
    const std::string lower = to_lower(text);
    const std::size_t signal = lower.find("signal");
    const std::size_t equals =
        signal == std::string::npos ? std::string::npos : lower.find('=', signal);
    text = equals == std::string::npos ? std::string_view() : text.substr(equals + 1);
    text = text.substr(0, text.find_first_of("\r\n"));
  }
  text = trim(text);
  if (text == "10") return '*';
  if (text == "11") return '#';
  if (text.size() != 1) return 0;
  const auto event = rtp::event_of(text.front());
  return event ? rtp::digit_of(*event) : '\0';
}

/// Alike in a dialog and outside of one (RFC 3261 §11.2).
void answer_options(Context& context, sip::TransactionId server, const Message& request) {
  Message response = context.response_to(request, 200);
  response.add(HeaderId::accept, kSdpType);
  context.respond(server, std::move(response));
}

}  // namespace

void CallAgent::on_request(sip::TransactionId server, const Message& request) {
  if (!request.to_tag().empty()) {
    Call* call = find_dialog(request);
    if (call == nullptr) {
      context_.reject(server, request, 481);
      return;
    }
    on_dialog_request(*call, server, request);
    return;
  }
  switch (request.method()) {
    case Method::invite:
      on_new_invite(server, request);
      break;
    case Method::options:
      answer_options(context_, server, request);
      break;
    case Method::bye:
    case Method::info:
    case Method::update:
      context_.reject(server, request, 481);
      break;
    default:
      context_.reject(server, request, 405);
  }
}

/// What speaks against an INVITE before anybody is asked. @return whether it was refused
bool CallAgent::refuse_invite(sip::TransactionId server, const Message& invite) {
  if (const auto required = invite.values(HeaderId::require); !required.empty()) {
    Message response = context_.response_to(invite, 420);
    response.add(HeaderId::unsupported, join(required));
    context_.respond(server, std::move(response));
    return true;
  }
  if (!invite.body().empty() && invite.content_type() != kSdpType) {
    Message response = context_.response_to(invite, 415);
    response.add(HeaderId::accept, kSdpType);
    context_.respond(server, std::move(response));
    return true;
  }
  // §8.2.2.2: the same request by another way.
  const bool merged = std::ranges::any_of(calls_, [&](const auto& entry) {
    const Call& call = *entry.second;
    return !call.outgoing && call.state == CallState::incoming &&
           call.dialog.call_id == invite.call_id() && call.dialog.remote_tag == invite.from_tag();
  });
  if (merged) {
    context_.reject(server, invite, 482);
    return true;
  }
  if (!context_.options.accept_calls) {
    context_.reject(server, invite, 480);
    return true;
  }
  if (calls_.size() >= context_.options.max_calls) {
    context_.reject(server, invite, 486);
    return true;
  }
  return false;
}

void CallAgent::on_new_invite(sip::TransactionId server, const Message& invite) {
  if (refuse_invite(server, invite)) return;
  const auto channel = free_channel();
  if (!channel) {
    context_.reject(server, invite, 486);
    return;
  }
  Call& call = add_call(false, *channel);
  call.state = CallState::incoming;
  call.dialog = sip::Dialog::as_uas(invite, context_.random.token(10));
  call.invite_server = server;
  call.invite = invite;
  if (!invite.body().empty()) {
    auto answer = call.media.answer(invite.body(), false);
    if (!answer) {
      context_.reject(server, invite, answer.error().status, answer.error().reason,
                      call.dialog.local_tag);
      calls_.erase(CallId{call.id});
      return;
    }
    call.answer_sdp = std::move(*answer);
  }
  ring(call);
  IncomingCall event{call.id, {}, {}, {}};
  if (const auto from = invite.from()) {
    event.from_uri = from->uri;
    event.from_display = from->display;
  }
  if (const auto to = invite.to()) event.to_uri = to->uri;
  context_.emit(std::move(event));
}

void CallAgent::ring(Call& call) {
  Message response = context_.response_to(call.invite, 180, {}, call.dialog.local_tag);
  for (const std::string_view value : call.invite.fields(HeaderId::record_route)) {
    response.add(HeaderId::record_route, value);
  }
  response.add(HeaderId::contact, context_.contact());
  context_.respond(call.invite_server, std::move(response));
  call.ring_again_at = context_.now + kRingAgain;
}

Result<void, UaError> CallAgent::answer(CallId id) {
  Call* call = find(id);
  if (call == nullptr || call->state == CallState::ended) return UaError::unknown_call;
  if (call->state != CallState::incoming) return UaError::wrong_state;
  call->ring_again_at.reset();
  call->offer_in_2xx = call->answer_sdp.empty();
  send_success(*call, call->offer_in_2xx ? call->media.offer(false) : call->answer_sdp);
  call->state = CallState::connected;
  settle(*call, 200, "answered");
  return {};
}

Result<void, UaError> CallAgent::reject(CallId id, int status, std::string_view reason) {
  Call* call = find(id);
  if (call == nullptr || call->state == CallState::ended) return UaError::unknown_call;
  if (call->state != CallState::incoming) return UaError::wrong_state;
  if (status < 300 || status > 699) return UaError::bad_status;
  Message response = context_.response_to(call->invite, status, reason, call->dialog.local_tag);
  std::string text = describe(response);
  context_.respond(call->invite_server, std::move(response));
  end(*call, EndCause::local, status, std::move(text));
  return {};
}

/// A 2xx to INVITE is the user's to repeat until its ACK, whatever the transport (§13.3.1.4).
void CallAgent::send_success(Call& call, const std::string& sdp) {
  Message response = context_.response_to(call.invite, 200, {}, call.dialog.local_tag);
  for (const std::string_view value : call.invite.fields(HeaderId::record_route)) {
    response.add(HeaderId::record_route, value);
  }
  response.add(HeaderId::contact, context_.contact());
  response.set_body(sdp, kSdpType);
  call.success = response;
  call.awaiting_ack = true;
  call.resend_after = context_.options.timers.t1;
  call.resend_at = context_.now + call.resend_after;
  call.give_up_at = context_.now + context_.options.timers.timeout();
  context_.respond(call.invite_server, std::move(response));
}

void CallAgent::on_ack(const Message& ack) {
  Call* call = find_dialog(ack);
  if (call == nullptr || !call->awaiting_ack) return;
  const auto cseq = ack.cseq(), answered = call->invite.cseq();
  if (!cseq || !answered || cseq->number != answered->number) return;
  call->awaiting_ack = false;
  if (call->bye_after_ack) {
    call->bye_after_ack = false;
    send_bye(*call, 0, {});
    end(*call, EndCause::local, 200, {});
    return;
  }
  if (std::exchange(call->offer_in_2xx, false)) {
    const auto taken = call->media.take_answer(ack.body(), true);
    if (!taken) {
      fail_call(*call, EndCause::failed, taken.error().status, taken.error().reason);
      return;
    }
    settle(*call, 0, {});
  }
  send_reinvite(*call);  // a hold that had to wait
}

void CallAgent::on_cancel(sip::TransactionId server) {
  for (auto& [id, call] : calls_) {
    if (call->invite_server != server || call->state != CallState::incoming) continue;
    context_.reject(server, call->invite, 487, {}, call->dialog.local_tag);
    end(*call, EndCause::remote, 487, "the caller hung up");
    return;
  }
}

void CallAgent::on_server_failure(sip::TransactionId server, sip::ClientFailure why) {
  for (auto& [id, call] : calls_) {
    if (call->invite_server != server || call->state != CallState::incoming) continue;
    const bool timeout = why == sip::ClientFailure::timeout;
    end(*call, timeout ? EndCause::timeout : EndCause::link_lost, timeout ? 408 : 503,
        "the INVITE's transaction failed");
    return;
  }
}

void CallAgent::on_dialog_request(Call& call, sip::TransactionId server, const Message& request) {
  const auto cseq = request.cseq();
  if (!cseq || !call.dialog.accept_remote_cseq(cseq->number)) {
    context_.reject(server, request, 500, "CSeq out of order");
    return;
  }
  if (call.state == CallState::ended && request.method() != Method::bye) {
    context_.reject(server, request, 481);
    return;
  }
  switch (request.method()) {
    case Method::invite:
      on_reinvite(call, server, request);
      break;
    case Method::update:
      on_update(call, server, request);
      break;
    case Method::bye:
      on_bye(call, server, request);
      break;
    case Method::info:
      on_info(call, server, request);
      break;
    case Method::options:
      answer_options(context_, server, request);
      break;
    default:
      context_.reject(server, request, 405);
  }
}

void CallAgent::on_reinvite(Call& call, sip::TransactionId server, const Message& request) {
  if (call.state == CallState::incoming) {  // §14.2: the first INVITE has no final response yet
    Message response = context_.response_to(request, 500);
    response.add(HeaderId::retry_after, std::to_string(context_.random.u32() % 10));
    context_.respond(server, std::move(response));
    return;
  }
  if (call.invite_client != 0 || call.media.offering()) {
    context_.reject(server, request, 491);
    return;
  }
  if (!request.body().empty() && request.content_type() != kSdpType) {
    Message response = context_.response_to(request, 415);
    response.add(HeaderId::accept, kSdpType);
    context_.respond(server, std::move(response));
    return;
  }
  const bool offers = !request.body().empty();
  std::string sdp;
  if (offers) {
    auto answer = call.media.answer(request.body(), call.local_hold);
    if (!answer) {
      context_.reject(server, request, answer.error().status, answer.error().reason);
      return;
    }
    sdp = std::move(*answer);
  } else {
    sdp = call.media.offer(call.local_hold);
  }
  call.dialog.refresh_target(request);
  call.invite_server = server;
  call.invite = request;
  call.offer_in_2xx = !offers;
  send_success(call, sdp);
  if (offers) settle(call, 0, {});
}

/// RFC 3311 §5.2: as a re-INVITE, answered at once, also before the call is.
void CallAgent::on_update(Call& call, sip::TransactionId server, const Message& request) {
  std::string sdp;
  if (!request.body().empty()) {
    if (call.media.offering() || call.invite_client != 0) {
      context_.reject(server, request, 491);
      return;
    }
    if (call.state == CallState::incoming) {  // their offer in the INVITE is not answered yet
      Message response = context_.response_to(request, 500);
      response.add(HeaderId::retry_after, std::to_string(context_.random.u32() % 10));
      context_.respond(server, std::move(response));
      return;
    }
    if (request.content_type() != kSdpType) {
      Message response = context_.response_to(request, 415);
      response.add(HeaderId::accept, kSdpType);
      context_.respond(server, std::move(response));
      return;
    }
    auto answer = call.media.answer(request.body(), call.local_hold);
    if (!answer) {
      context_.reject(server, request, answer.error().status, answer.error().reason);
      return;
    }
    sdp = std::move(*answer);
  }
  call.dialog.refresh_target(request);
  Message response = context_.response_to(request, 200);
  response.add(HeaderId::contact, context_.contact());
  if (!sdp.empty()) response.set_body(sdp, kSdpType);
  context_.respond(server, std::move(response));
  if (!sdp.empty()) settle(call, 0, {});
}

void CallAgent::on_bye(Call& call, sip::TransactionId server, const Message& request) {
  context_.reject(server, request, 200);
  if (call.state == CallState::incoming) {  // §15.1.2: pending requests end with 487
    context_.reject(call.invite_server, call.invite, 487, {}, call.dialog.local_tag);
  }
  call.awaiting_ack = call.bye_after_ack = false;
  std::string reason = reason_text(request);
  end(call, EndCause::remote, 200, reason.empty() ? "the other end hung up" : reason);
}

void CallAgent::on_info(Call& call, sip::TransactionId server, const Message& request) {
  const std::string type = request.content_type();
  const bool dtmf = type == "application/dtmf-relay" || type == "application/dtmf";
  if (!dtmf && !request.body().empty()) {
    Message response = context_.response_to(request, 415);
    response.add(HeaderId::accept, "application/dtmf-relay, application/dtmf");
    context_.respond(server, std::move(response));
    return;
  }
  const char digit = dtmf ? info_digit(request) : '\0';
  if (dtmf && digit == '\0') {
    context_.reject(server, request, 400, "No DTMF digit in the body");
    return;
  }
  context_.reject(server, request, 200);  // an empty INFO asks for no more
  if (digit != '\0') context_.emit(DigitReceived{call.id, digit});
}

}  // namespace isthmus::ua
