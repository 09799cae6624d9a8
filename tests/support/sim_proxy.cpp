#include "support/sim_proxy.hpp"

#include "sip/digest.hpp"

namespace isthmus::sim {

using sip::HeaderId;
using sip::Message;
using sip::Method;

namespace {

std::string user_of(std::string_view uri_text) {
  auto uri = sip::Uri::parse(uri_text);
  return uri ? uri->user : std::string();
}

std::optional<Endpoint> endpoint_of(std::string_view uri_text) {
  auto uri = sip::Uri::parse(uri_text);
  if (!uri) return std::nullopt;
  return Endpoint::parse(uri->host + ":" + std::to_string(uri->port ? uri->port : 5060));
}

}  // namespace

Proxy::Proxy(World& world, Endpoint address, std::string domain)
    : world_(world),
      random_(world.random.u64()),
      layer_({}, random_),
      address_(address),
      domain_(std::move(domain)),
      nonce_(random_.token(16)) {
  world.attach_udp(address_, *this);
  world.add(*this);
}

void Proxy::on_udp(const Endpoint& from, const Endpoint&, std::string bytes, Instant now) {
  auto message = Message::parse(std::move(bytes));
  if (!message || message->check()) return;
  layer_.on_message(std::move(*message), sip::Flow::udp(from), now, events_);
  drain();
}

void Proxy::on_timeout(Instant now) {
  layer_.on_timeout(now, events_);
  for (auto& [client, leg] : legs_) {
    if (!leg.give_up || *leg.give_up > now) continue;
    leg.give_up.reset();
    layer_.cancel(client, {}, now, events_);
  }
  drain();
}

std::optional<Instant> Proxy::next_deadline() const {
  std::optional<Instant> next_at = layer_.next_deadline();
  for (const auto& [client, leg] : legs_) {
    if (leg.give_up && (!next_at || *leg.give_up < *next_at)) next_at = leg.give_up;
  }
  return next_at;
}

void Proxy::drain() {
  if (draining_) return;
  draining_ = true;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    sip::TransactionEvent event = std::move(events_[i]);
    if (auto* send = std::get_if<sip::SendMessage>(&event)) {
      world_.send_udp(address_, send->flow.remote, std::move(send->bytes));
    } else if (auto* got = std::get_if<sip::RequestReceived>(&event)) {
      on_request(got->server, std::move(got->request));
    } else if (auto* acked = std::get_if<sip::AckReceived>(&event)) {
      if (auto hop = next_hop(acked->ack, {})) {
        layer_.add_via(acked->ack, sip::Flow::udp(*hop), address_.to_string());
        world_.send_udp(address_, *hop, acked->ack.serialize());
      }
    } else if (auto* cancel = std::get_if<sip::CancelReceived>(&event)) {
      for (auto& [client, leg] : legs_) {
        if (leg.server != cancel->server) continue;
        leg.cancelled = true;
        leg.left.clear();
        layer_.cancel(client, {}, world_.now, events_);
      }
    } else if (auto* answer = std::get_if<sip::ResponseReceived>(&event)) {
      on_response(answer->client, std::move(answer->response));
    } else if (auto* failed = std::get_if<sip::ClientFailed>(&event)) {
      auto leg = legs_.find(failed->client);
      if (leg != legs_.end())
        on_response(failed->client, Message::response_to(leg->second.request, 408));
    }
  }
  events_.clear();
  draining_ = false;
}

void Proxy::respond(sip::TransactionId server, const Message& request, int status) {
  layer_.respond(server, Message::response_to(request, status, {}, random_.token(8)), world_.now,
                 events_);
}

void Proxy::on_request(sip::TransactionId server, Message request) {
  const std::string caller = user_of(request.from()->uri);
  const std::string user = user_of(request.request_uri());
  if (request.method() == Method::register_) return on_register(server, request);
  if (request.to_tag().empty()) {
    if (request.method() == Method::invite && !authorized(server, request)) return;
    if (auto refusal = refusals.find(caller); refusal != refusals.end())
      return respond(server, request, refusal->second);
    if (auto redirect = redirects.find(user); redirect != redirects.end()) {
      Message moved = Message::response_to(request, 302, {}, random_.token(8));
      moved.add(HeaderId::contact, "<" + redirect->second + ">");
      layer_.respond(server, std::move(moved), world_.now, events_);
      return;
    }
  }
  Leg leg{server, std::move(request), {}, {}, false};
  if (auto others = forwards.find(user); others != forwards.end()) leg.left = others->second;
  forward(std::move(leg), user);
}

bool Proxy::authorized(sip::TransactionId server, const Message& request) {
  const std::string caller = user_of(request.from()->uri);
  auto account = accounts.find(caller);
  if (account == accounts.end()) return true;
  const bool registering = request.method() == Method::register_;
  for (auto given :
       request.fields(registering ? HeaderId::authorization : HeaderId::proxy_authorization)) {
    auto credentials = sip::DigestCredentials::parse(given);
    if (!credentials || credentials->realm != domain_) continue;
    const std::string ha1 =
        sip::digest_ha1(credentials->algorithm, caller, domain_, account->second);
    if (sip::digest_response(credentials->algorithm, ha1, request.method_text(), *credentials) ==
        credentials->response)
      return true;
  }
  ++challenges_sent;
  Message challenge = Message::response_to(request, registering ? 401 : 407, {}, random_.token(8));
  challenge.add(
      registering ? HeaderId::www_authenticate : HeaderId::proxy_authenticate,
      "Digest realm=\"" + domain_ + "\", nonce=\"" + nonce_ + "\", algorithm=MD5, qop=\"auth\"");
  layer_.respond(server, std::move(challenge), world_.now, events_);
  return false;
}

void Proxy::on_register(sip::TransactionId server, const Message& request) {
  if (!authorized(server, request)) return;
  const std::string user = user_of(request.to()->uri);
  first_hop = request.top_via()->host;
  std::string expires(request.get(HeaderId::expires).value_or("3600"));
  for (auto value : request.values(HeaderId::contact)) {
    auto contact = sip::NameAddr::parse(value);
    const auto own = contact->params.get("expires");
    const std::string granted(own ? *own : expires);
    if (contact->star || granted == "0") {
      locations.erase(user);
    } else {
      locations[user] = contact->uri;
      expires = granted;
    }
  }
  Message ok = Message::response_to(request, 200, {}, random_.token(8));
  if (auto found = locations.find(user); found != locations.end())
    ok.add(HeaderId::contact, "<" + found->second + ">;expires=" + expires);
  layer_.respond(server, std::move(ok), world_.now, events_);
}

std::optional<Endpoint> Proxy::next_hop(Message& request, std::string_view user) {
  const auto routes = request.values(HeaderId::route);
  if (!routes.empty() && endpoint_of(sip::NameAddr::parse(routes.front())->uri) == address_)
    request.remove_first_value(HeaderId::route);
  if (const auto rest = request.values(HeaderId::route); !rest.empty())
    return endpoint_of(sip::NameAddr::parse(rest.front())->uri);
  if (auto other = next.find(std::string(user)); other != next.end()) return other->second;
  if (auto found = locations.find(std::string(user)); found != locations.end())
    request.set_request_uri(found->second);
  return endpoint_of(request.request_uri());
}

void Proxy::forward(Leg leg, std::string_view user) {
  Message out = leg.request;
  const bool in_dialog = !out.to_tag().empty();
  const auto hop = next_hop(out, in_dialog ? std::string_view{} : user);
  const auto hops = out.number(HeaderId::max_forwards).value_or(70);
  if (!hop || hops == 0) return respond(leg.server, leg.request, hop ? 483 : 404);
  out.set(HeaderId::max_forwards, std::to_string(hops - 1));
  if (record_route && !in_dialog)
    out.prepend(HeaderId::record_route, "<sip:" + address_.to_string() + ";lr>");
  if (!leg.left.empty()) leg.give_up = world_.now + no_answer_after;
  const sip::TransactionId client = layer_.send_request(std::move(out), sip::Flow::udp(*hop),
                                                        address_.to_string(), world_.now, events_);
  legs_.emplace(client, std::move(leg));
}

void Proxy::on_response(sip::TransactionId client, Message response) {
  auto found = legs_.find(client);
  if (found == legs_.end() || response.status() == 100) return;
  Leg& leg = found->second;
  if (response.status() >= 300 && !leg.left.empty()) {
    Leg again{leg.server, leg.request, {leg.left.begin() + 1, leg.left.end()}, {}, false};
    const std::string user = leg.left.front();
    legs_.erase(found);
    return forward(std::move(again), user);
  }
  if (response.status() >= 200) {
    leg.give_up.reset();
    leg.left.clear();
  }
  if (response.fields(HeaderId::via).size() > leg.request.fields(HeaderId::via).size())
    response.remove_first_value(HeaderId::via);
  layer_.respond(leg.server, std::move(response), world_.now, events_);
}

}  // namespace isthmus::sim
