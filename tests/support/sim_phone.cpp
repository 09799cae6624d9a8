#include "support/sim_phone.hpp"

#include "sdp/session_description.hpp"

namespace isthmus::sim {

using sip::HeaderId;
using sip::Message;
using sip::Method;

Phone::Phone(World& world, std::string phone_name, Endpoint udp, Endpoint next_hop)
    : name(std::move(phone_name)),
      world_(world),
      random_(world.random.u64()),
      layer({}, random_),
      udp_(udp),
      next_hop_(next_hop) {
  world.attach_udp(udp_, *this);
  world.add(*this);
}

Phone::Phone(World& world, std::string phone_name, Endpoint media, std::uint64_t link_session)
    : name(std::move(phone_name)),
      world_(world),
      random_(world.random.u64()),
      layer({}, random_),
      udp_(media),
      session_(link_session) {
  world.add(*this);
}

std::string Phone::sent_by() const {
  return session_ ? name + ".invalid" : udp_.to_string();
}

std::string Phone::contact_uri() const {
  return "sip:" + name + "@" + sent_by() + (session_ ? ";transport=tls" : "");
}

std::string Phone::sdp(std::string_view direction) const {
  std::string address = session_ ? "192.0.0.8" : udp_.address.to_string();
  std::string port = session_ ? "16" : "40000";
  return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address +
         "\r\nt=0 0\r\nm=audio " + port +
         " RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=x-unknown:kept\r\na=" +
         std::string(direction) + "\r\n";
}

Message Phone::new_request(std::string_view method, std::string_view uri, std::string_view to_uri) {
  Message request = Message::request(method, uri);
  request.add(HeaderId::max_forwards, "70");
  request.add(HeaderId::from, "\"" + name + "\" <" + aor() + ">;tag=" + random_.token(8));
  request.add(HeaderId::to, "<" + std::string(to_uri.empty() ? uri : to_uri) + ">");
  request.add(HeaderId::call_id, random_.token(16) + "@" + name);
  request.add(HeaderId::cseq, std::to_string(++cseq_) + " " + std::string(method));
  request.add(HeaderId::contact, "<" + contact_uri() + ">");
  request.add("X-Kept", "as  it   is");
  return request;
}

sip::TransactionId Phone::send(Message request) {
  sip::Flow flow = session_ ? sip::Flow::link(*session_) : sip::Flow::udp(next_hop_);
  std::string call_id(request.call_id());
  if (!software.empty()) request.set(HeaderId::user_agent, software);
  sip::TransactionId id =
      layer.send_request(std::move(request), flow, sent_by(), world_.now, events_);
  clients_[id] = call_id;
  return id;
}

void Phone::send_bytes(const sip::Flow& flow, std::string bytes) {
  if (flow.is_link()) {
    world_.send_link(*this, flow.session, std::move(bytes));
  } else {
    world_.send_udp(udp_, flow.remote, std::move(bytes));
  }
}

std::string Phone::call(std::string_view uri,
                        std::vector<std::pair<std::string, std::string>> extra) {
  Message invite = new_request("INVITE", uri);
  for (auto& [header, value] : extra) invite.add(header, value);
  if (!late_offer) invite.set_body(sdp(), "application/sdp");
  std::string call_id(invite.call_id());
  CallState& state = calls[call_id];
  state.caller = true;
  state.invite = invite;
  state.invite_client = send(std::move(invite));
  drain();
  return call_id;
}

void Phone::cancel(const std::string& call_id) {
  layer.cancel(calls.at(call_id).invite_client, {}, world_.now, events_);
  drain();
}

void Phone::hang_up(const std::string& call_id) {
  CallState& state = calls.at(call_id);
  send(state.dialog.request("BYE"));
  state.ended = true;
  drain();
}

void Phone::hold(const std::string& call_id, bool on) {
  Message invite = calls.at(call_id).dialog.request("INVITE");
  invite.add(HeaderId::contact, "<" + contact_uri() + ">");
  invite.set_body(sdp(on ? "sendonly" : "sendrecv"), "application/sdp");
  reinvite(call_id, std::move(invite));
}

void Phone::reinvite(const std::string& call_id, Message invite) {
  CallState& state = calls.at(call_id);
  state.invite = invite;
  state.final_status = 0;
  state.invite_client = send(std::move(invite));
  drain();
}

void Phone::send_in_dialog(const std::string& call_id, std::string_view method,
                           std::string_view body, std::string_view content_type,
                           const std::vector<std::pair<std::string, std::string>>& extra) {
  Message request = calls.at(call_id).dialog.request(method);
  request.add(HeaderId::contact, "<" + contact_uri() + ">");
  for (const auto& [header, value] : extra) request.add(header, value);
  if (!body.empty()) request.set_body(body, content_type);
  send(std::move(request));
  drain();
}

void Phone::register_at(std::string_view at_domain, std::uint32_t expires_s, std::string secret) {
  domain = std::string(at_domain);
  Message request = new_request("REGISTER", "sip:" + domain, aor());
  if (register_call_id_.empty()) register_call_id_ = std::string(request.call_id());
  request.set(HeaderId::call_id, register_call_id_);
  request.set(HeaderId::contact, "<" + contact_uri() + ">;expires=" + std::to_string(expires_s));
  if (!secret.empty()) digest_.emplace(name, std::move(secret), random_);
  register_request_ = request;
  last_register_status = 0;
  send(std::move(request));
  drain();
}

void Phone::send_request(Message request) {
  send(std::move(request));
  drain();
}

void Phone::respond(sip::TransactionId server, Message response) {
  layer.respond(server, std::move(response), world_.now, events_);
  drain();
}

void Phone::later(Duration span, std::function<void()> what) {
  pending_.push_back({world_.now + span, std::move(what)});
}

void Phone::on_udp(const Endpoint& from, const Endpoint&, std::string bytes, Instant) {
  handle(std::move(bytes), sip::Flow::udp(from));
}

void Phone::on_link(std::uint64_t session, std::string bytes, Instant) {
  handle(std::move(bytes), sip::Flow::link(session));
}

void Phone::handle(std::string bytes, const sip::Flow& flow) {
  auto message = Message::parse(std::move(bytes));
  if (!message || message->check()) return;
  layer.on_message(std::move(*message), flow, world_.now, events_);
  drain();
}

void Phone::on_timeout(Instant now) {
  layer.on_timeout(now, events_);
  std::vector<Pending> due;
  std::erase_if(pending_, [&](Pending& entry) {
    if (entry.at > now) return false;
    due.push_back(std::move(entry));
    return true;
  });
  for (Pending& entry : due) entry.run();
  for (auto& [call_id, state] : calls) {
    if (!state.resend_at || *state.resend_at > now) continue;
    if (now - state.answered_at >= seconds(32)) {  // RFC 3261 §13.3.1.4: nobody acknowledges it
      state.resend_at.reset();
      state.ended = true;
      send(state.dialog.request("BYE"));
      continue;
    }
    auto again = Message::parse(state.last_ok);
    layer.respond(state.invite_server, *again, now, events_);
    state.resend_after = std::min(state.resend_after * 2, Duration(seconds(4)));
    state.resend_at = now + state.resend_after;
  }
  drain();
}

std::optional<Instant> Phone::next_deadline() const {
  std::optional<Instant> next = layer.next_deadline();
  auto consider = [&](Instant at) {
    if (!next || at < *next) next = at;
  };
  for (const Pending& entry : pending_) consider(entry.at);
  for (const auto& [call_id, state] : calls) {
    if (state.resend_at) consider(*state.resend_at);
  }
  return next;
}

void Phone::drain() {
  if (draining_) return;
  draining_ = true;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    sip::TransactionEvent event = std::move(events_[i]);
    if (auto* e = std::get_if<sip::SendMessage>(&event)) {
      send_bytes(e->flow, std::move(e->bytes));
    } else if (auto* r = std::get_if<sip::RequestReceived>(&event)) {
      on_request(r->server, r->flow, std::move(r->request));
    } else if (auto* a = std::get_if<sip::AckReceived>(&event)) {
      CallState* state = find(std::string(a->ack.call_id()));
      // A late ACK of an earlier INVITE does not end the repetition of this one's 2xx.
      if (state && a->ack.cseq()->number == state->invite.cseq()->number) {
        state->confirmed = true;
        state->resend_at.reset();
        if (!a->ack.body().empty()) state->remote_sdp = std::string(a->ack.body());
      }
    } else if (auto* c = std::get_if<sip::CancelReceived>(&event)) {
      if (CallState* state = find(std::string(c->cancel.call_id()))) {
        state->ended = true;
        state->final_status = 487;
        layer.respond(c->server, Message::response_to(state->invite, 487, {}, random_.token(8)),
                      world_.now, events_);
      }
    } else if (auto* s = std::get_if<sip::ResponseReceived>(&event)) {
      on_response(s->client, s->response);
    } else if (auto* f = std::get_if<sip::ClientFailed>(&event)) {
      if (CallState* state = find(clients_[f->client]))
        state->final_status = state->final_status ? state->final_status : 408;
    }
  }
  events_.clear();
  draining_ = false;
}

void Phone::on_request(sip::TransactionId server, const sip::Flow&, Message request) {
  requests.push_back(request);
  if (intercept && intercept(server, request)) return;
  if (on_each_request) {
    if (auto response = on_each_request(request)) {
      layer.respond(server, std::move(*response), world_.now, events_);
      return;
    }
  }
  if (request.method() == Method::invite) {
    on_invite(server, std::move(request));
    return;
  }
  if (request.method() == Method::register_ && is_registrar) {
    on_register(server, request);
    return;
  }
  CallState* state = find(std::string(request.call_id()));
  if (request.method() == Method::bye && state) {
    state->ended = true;
    state->resend_at.reset();
  }
  layer.respond(server, Message::response_to(request, 200, {}, random_.token(8)), world_.now,
                events_);
}

void Phone::on_register(sip::TransactionId server, const Message& request) {
  auto to = sip::Uri::parse(request.to()->uri);
  auto respond = [&](Message response) {
    layer.respond(server, std::move(response), world_.now, events_);
  };
  if (accounts.contains(to->user)) {
    auto given = request.get(HeaderId::authorization);
    auto credentials = given ? sip::DigestCredentials::parse(*given) : std::nullopt;
    std::string ha1 =
        sip::digest_ha1(sip::DigestAlgorithm::md5, to->user, domain, accounts[to->user]);
    if (!credentials || sip::digest_response(credentials->algorithm, ha1, "REGISTER",
                                             *credentials) != credentials->response) {
      Message challenge = Message::response_to(request, 401, {}, random_.token(8));
      challenge.add(HeaderId::www_authenticate, "Digest realm=\"" + domain + "\", nonce=\"" +
                                                    random_.token(16) +
                                                    "\", algorithm=MD5, qop=\"auth\"");
      respond(std::move(challenge));
      return;
    }
  }
  auto contact = request.contact();
  Message ok = Message::response_to(request, 200, {}, random_.token(8));
  if (contact) {
    std::string expires(contact->params.get("expires").value_or("3600"));
    if (expires == "0") {
      locations.erase(to->user);
    } else {
      locations[to->user] = contact->uri;
      ok.add(HeaderId::contact, "<" + contact->uri + ">;expires=" + expires);
      ok.add(HeaderId::contact, "<sip:other@203.0.113.9>;expires=77");
    }
  }
  respond(std::move(ok));
}

void Phone::on_invite(sip::TransactionId server, Message request) {
  std::string call_id(request.call_id());
  CallState& state = calls[call_id];
  bool again = !request.to_tag().empty();
  state.invite = request;
  state.invite_server = server;
  if (!request.body().empty()) state.remote_sdp = std::string(request.body());
  if (!again) {
    state.dialog = sip::Dialog::as_uas(request, random_.token(8));
    state.ended = false;
  } else {
    state.dialog.refresh_target(request);
    if (auto cseq = request.cseq()) state.dialog.accept_remote_cseq(cseq->number);
    answer(call_id, server, request);
    return;
  }
  auto respond_early = [&](int status) {
    Message early = Message::response_to(request, status, {}, state.dialog.local_tag);
    for (auto value : request.fields(HeaderId::record_route))
      early.add(HeaderId::record_route, value);
    early.add(HeaderId::contact, "<" + contact_uri() + ">");
    if (status == 183) early.set_body(sdp(), "application/sdp");
    layer.respond(server, std::move(early), world_.now, events_);
  };
  if (ring) respond_early(180);
  if (early_media) respond_early(183);
  if (answer_with == 0) return;
  pending_.push_back({world_.now + answer_after,
                      [this, call_id, server, request] { answer(call_id, server, request); }});
}

void Phone::answer(const std::string& call_id, sip::TransactionId server, Message request) {
  CallState& state = calls.at(call_id);
  if (state.ended) return;
  int status = request.to_tag().empty() ? answer_with : 200;
  Message response = Message::response_to(request, status, {}, state.dialog.local_tag);
  for (auto value : request.fields(HeaderId::record_route))
    response.add(HeaderId::record_route, value);
  if (status >= 300 && redirect) response.add(HeaderId::contact, "<" + *redirect + ">");
  if (status >= 300) response.add(HeaderId::warning, "399 phone.example \"as told\"");
  if (status < 300) {
    response.add(HeaderId::contact, "<" + contact_uri() + ">");
    bool hold = state.remote_sdp.find("a=sendonly") != std::string::npos;
    response.set_body(sdp(hold ? "recvonly" : "sendrecv"), "application/sdp");
    state.last_ok = response.serialize();
    state.resend_after = milliseconds(500);
    state.answered_at = world_.now;
    state.resend_at = world_.now + state.resend_after;
  }
  state.final_status = status;
  layer.respond(server, std::move(response), world_.now, events_);
  drain();
}

void Phone::on_response(sip::TransactionId client, const Message& response) {
  if (response.method() == Method::invite) {
    responses.push_back(response);
    if (CallState* state = find(clients_[client])) on_invite_response(*state, response);
    return;
  }
  if (response.status() < 200) return;
  responses.push_back(response);
  if (response.method() != Method::register_) return;
  if (response.status() == 401 && digest_) {
    Message again = register_request_;
    again.set(HeaderId::cseq, std::to_string(++cseq_) + " REGISTER");
    if (digest_->authorize(again, response)) {
      send(std::move(again));
      return;
    }
  }
  last_register_status = response.status();
  last_register_response = response;
}

void Phone::on_invite_response(CallState& state, const Message& response) {
  if (response.status() < 200) {
    state.provisional.push_back(response.status());
    if (!response.body().empty()) state.remote_sdp = std::string(response.body());
    return;
  }
  if (authorize_invite(state, response)) return;
  state.final_status = response.status();
  if (response.status() >= 300) {
    if (!state.confirmed) state.ended = true;
    return;
  }
  if (state.invite.to_tag().empty() && !state.confirmed)
    state.dialog = sip::Dialog::as_uac(state.invite, response);
  if (!response.body().empty()) state.remote_sdp = std::string(response.body());
  state.confirmed = true;
  auto cseq = response.cseq();
  Message ack = state.dialog.request("ACK", cseq->number);
  if (state.invite.body().empty()) ack.set_body(sdp(), "application/sdp");
  sip::Flow flow = session_ ? sip::Flow::link(*session_) : sip::Flow::udp(next_hop_);
  layer.add_via(ack, flow, sent_by());
  send_bytes(flow, ack.serialize());
}

bool Phone::authorize_invite(CallState& call, const Message& challenge) {
  if ((challenge.status() != 401 && challenge.status() != 407) || password.empty()) return false;
  if (!digest_) digest_.emplace(name, password, random_);
  Message again = call.invite;
  again.set(HeaderId::cseq, std::to_string(++cseq_) + " INVITE");
  if (!digest_->authorize(again, challenge)) return false;
  call.invite = again;
  call.invite_client = send(std::move(again));
  return true;
}

Phone::CallState* Phone::find(const std::string& call_id) {
  auto found = calls.find(call_id);
  return found == calls.end() ? nullptr : &found->second;
}

Phone::CallState* Phone::only_call() {
  return calls.size() == 1 ? &calls.begin()->second : nullptr;
}

}  // namespace isthmus::sim
