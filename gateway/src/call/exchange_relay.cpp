#include "call/exchange_relay.hpp"

#include "base/limits.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

std::string contact_of(const sip::Message& message) {
  Result<sip::NameAddr, sip::Fault> contact = message.contact();
  return contact ? contact->uri : std::string();
}

}  // namespace

void ExchangeRelay::start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
                          const RouteTargets& route) {
  if (flow.is_link() && of_link_[flow.session] >= limits::kExchangesPerSession) {
    ++core_.counters.rejected_over_limit;
    core_.reject(server, request, 503, "Too many requests on this link", 5);
    return;
  }
  if (flow.is_link()) ++of_link_[flow.session];
  std::uint64_t id = next_id_++;
  Exchange& exchange = exchanges_[id];
  exchange.server = server;
  exchange.from = flow;
  exchange.request = std::move(request);
  std::size_t sent = 0;
  for (const RouteTarget& target : route.targets) {
    if (sent++ == limits::kForksPerCall) break;
    send(id, target, {Failover(target, route.failover_on)});
  }
  if (exchange.open.empty()) {
    core_.reject(server, exchange.request, 503, "Too many transactions", 5);
    close(id);
  }
}

bool ExchangeRelay::send(std::uint64_t id, const RouteTarget& target, Onward onward) {
  Exchange& exchange = exchanges_.at(id);
  sip::Message out = exchange.request;
  make_outgoing_request(out);
  if (!target.request_uri.empty()) out.set_request_uri(target.request_uri);
  put_headers(target, out);
  if (!core_.may_leave(out, target.flow)) return false;
  core_.put_contact(out, core_.new_token(), target.flow, asks_for_tls(out));
  DialogIdentity identity = core_.name_legs(exchange.request, exchange.from, target.flow);
  identity.carry_request(out, Side::caller);
  std::string uri(out.request_uri());
  std::string at = contact_of(exchange.request);
  core_.translate(out, {exchange.from, target.flow, identity.hides[1], at});
  std::optional<sip::Message> sent;
  sip::TransactionId client = core_.send(std::move(out), target.flow, &exchange.from, &sent);
  if (client == 0) return false;
  exchange.open.push_back(client);
  Duration limit = patience(core_.router.policy_of(target.flow), false);
  if (!onward.places.exhausted() && limit > Duration::zero())
    silent_.set(client, core_.now + limit);
  clients_.emplace(client, Attempt{.exchange = id,
                                   .flow = target.flow,
                                   .onward = std::move(onward),
                                   .uri = std::move(uri),
                                   .identity = std::move(identity),
                                   .sent = std::move(sent)});
  return true;
}

/// Answers a 401 or 407 of a place that we hold credentials for: the request goes there once more.
bool ExchangeRelay::answer_challenge(sip::TransactionId client, const sip::Message& response) {
  Attempt& attempt = clients_.at(client);
  int status = response.status();
  if ((status != 401 && status != 407) || !attempt.sent ||
      attempt.challenges == limits::kDigestAttempts) {
    return false;
  }
  std::optional<sip::Message> again = core_.credentials.answer(
      *attempt.sent, response, attempt.flow, &exchanges_.at(attempt.exchange).from);
  auto cseq = attempt.sent->cseq();
  if (!again || !cseq) return false;
  set_cseq(*again, cseq->number + 1);
  sip::TransactionId next = core_.send_again(*again, attempt.flow);
  if (next == 0) return false;
  attempt.sent = std::move(again);
  ++attempt.challenges;
  rename(client, next);
  return true;
}

/// The attempt goes on under another id.
void ExchangeRelay::rename(sip::TransactionId client, sip::TransactionId to) {
  auto moved = clients_.extract(client);
  std::vector<sip::TransactionId>& open = exchanges_.at(moved.mapped().exchange).open;
  std::replace(open.begin(), open.end(), client, to);
  moved.key() = to;
  clients_.insert(std::move(moved));
}

/// The attempt is over; its exchange may not be.
void ExchangeRelay::leave(sip::TransactionId client) {
  std::erase(exchanges_.at(clients_.at(client).exchange).open, client);
  clients_.erase(client);
  silent_.clear(client);
}

/// A 3xx that is followed here, as for an INVITE (call_redirect.cpp).
/// @return true: another place has been asked, or waits for its address. False: the failure stands;
///   `response` is 482 then if the Contacts only lead in a circle.
bool ExchangeRelay::follow_redirect(sip::TransactionId client, sip::Message& response) {
  Attempt& attempt = clients_.at(client);
  if (exchanges_.at(attempt.exchange).answered ||
      !Redirection::follows(response, core_.router.policy_of(attempt.flow))) {
    return false;
  }
  if (!attempt.onward.redirection.take(response, attempt.uri, core_.router)) {
    ++core_.counters.loops;
    response.set_status(482, "Redirected in a circle");
    response.remove(HeaderId::contact);
    return false;
  }
  attempt.onward.places = Failover();  // its other hosts have nothing to add
  return try_next_contact(client);
}

bool ExchangeRelay::try_next_contact(sip::TransactionId client) {
  if (exchanges_.at(clients_.at(client).exchange).answered) return false;
  while (std::optional<std::string> uri = clients_.at(client).onward.redirection.next()) {
    if (send_to_contact(client, *uri, false)) return true;
  }
  return false;
}

/// @param waited  for a lookup already.
/// @return false: nothing was sent, and the attempt is where it was.
bool ExchangeRelay::send_to_contact(sip::TransactionId client, const std::string& uri,
                                    bool waited) {
  std::string lookup;
  std::vector<sip::Flow> flows =
      core_.router.locate(uri, clients_.at(client).flow, core_.now, lookup);
  if (flows.empty() && !lookup.empty() && !waited) {
    sip::TransactionId waiting = ++next_waiting_;
    rename(client, waiting);
    silent_.clear(client);
    bool asked = core_.ask(lookup, [this, waiting, uri](bool) {
      if (!clients_.contains(waiting)) return;
      if (send_to_contact(waiting, uri, true) || try_next_contact(waiting)) return;
      on_hop_failed(waiting, HopFailure::unreachable);
    });
    if (!asked) rename(waiting, client);
    return asked;
  }
  const Attempt& attempt = clients_.at(client);
  // A name that leads nowhere is the provider's own: it is asked for that user.
  if (flows.empty()) flows = {attempt.flow};
  RouteTarget target{flows.front(), uri};
  for (std::size_t i = 1; i < flows.size(); ++i) target.alternatives.push_back({flows[i], uri});
  if (!send(attempt.exchange, target, {Failover(target, {}), attempt.onward.redirection}))
    return false;
  leave(client);
  return true;
}

/// Puts a response into the words of who asked.
void ExchangeRelay::turn_back(const Exchange& exchange, const Attempt& attempt,
                              sip::Message& response) const {
  if (attempt.sent && response.status() < 300)
    core_.credentials.accept(*attempt.sent, response, attempt.flow, &exchange.from);
  make_outgoing_response(response, exchange.request);
  const DialogIdentity& identity = attempt.identity;
  identity.carry_response(response, exchange.request,
                          core_.tag_told(identity, exchange.from, response.to_tag()));
  std::string at = responder_uri(response);
  core_.translate(response, {attempt.flow, exchange.from, identity.hides[0], at});
}

/// RFC 3263 §4.3. @return false: the failure stands.
bool ExchangeRelay::try_next_place(sip::TransactionId client, HopFailure failure, int status) {
  Attempt& attempt = clients_.at(client);
  std::uint64_t id = attempt.exchange;
  Exchange& exchange = exchanges_.at(id);
  if (exchange.answered) return false;
  const sip::Flow left = attempt.flow;
  while (std::optional<RouteTarget> next = attempt.onward.places.next(failure, status)) {
    if (send(id, *next, attempt.onward)) {
      leave(client);
      core_.router.on_moved(left, next->flow, outcome_of(failure, status));
      return true;
    }
    failure = HopFailure::unreachable;
  }
  return false;
}

void ExchangeRelay::on_hop_failed(sip::TransactionId client, HopFailure failure) {
  const Attempt& attempt = clients_.at(client);
  if (!attempt.heard) {
    core_.router.on_outcome(attempt.flow, outcome_of(failure, 0), 0, core_.now);
    if (try_next_place(client, failure, 0)) return;
  }
  if (try_next_contact(client)) return;
  const Exchange& exchange = exchanges_.at(clients_.at(client).exchange);
  sip::Message response = answer_for(failure, exchange.request, core_.random.token(12));
  response.add(HeaderId::server, core_.config.software);
  on_final(client, std::move(response), nullptr);
}

void ExchangeRelay::on_timeout() {
  while (auto client = silent_.take_due(core_.now)) {
    if (clients_.contains(*client)) on_hop_failed(*client, HopFailure::timeout);
  }
}

void ExchangeRelay::close(std::uint64_t id) {
  auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  const sip::Flow& from = found->second.from;
  auto link = from.is_link() ? of_link_.find(from.session) : of_link_.end();
  if (link != of_link_.end() && --link->second == 0) of_link_.erase(link);
  exchanges_.erase(found);
}

void ExchangeRelay::forget(std::uint64_t id) {
  auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  for (sip::TransactionId client : found->second.open) {
    clients_.erase(client);
    silent_.clear(client);
  }
  close(id);
}

bool ExchangeRelay::on_response(sip::TransactionId client, const sip::Flow& from,
                                sip::Message& response) {
  auto found = clients_.find(client);
  if (found == clients_.end()) return false;
  Attempt& attempt = found->second;
  Exchange& exchange = exchanges_.at(attempt.exchange);
  attempt.heard = true;
  silent_.clear(client);
  int status = response.status();
  if (answer_challenge(client, response)) return true;
  if (status >= 300 && follow_redirect(client, response)) return true;
  status = response.status();
  if (status > 100) turn_back(exchange, attempt, response);
  if (status >= 200) {
    core_.router.on_outcome(attempt.flow, outcome_of(HopFailure::response, status),
                            retry_after_of(response), core_.now);
    if (status >= 300 && (try_next_place(client, HopFailure::response, status) ||
                          (status < 600 && try_next_contact(client)))) {
      keep_failure(exchange, std::move(response), &from);
      return true;
    }
    on_final(client, std::move(response), &from);
  } else if (status > 100 && !exchange.answered) {
    core_.respond(exchange.server, response, &from);
  }
  return true;
}

bool ExchangeRelay::on_client_failed(sip::TransactionId client, sip::ClientFailure why) {
  if (!clients_.contains(client)) return false;
  on_hop_failed(client,
                why == sip::ClientFailure::timeout ? HopFailure::timeout : HopFailure::unreachable);
  return true;
}

void ExchangeRelay::on_final(sip::TransactionId client, sip::Message response,
                             const sip::Flow* from) {
  std::uint64_t id = clients_.at(client).exchange;
  Exchange& exchange = exchanges_.at(id);
  leave(client);
  int status = response.status();
  if (!from) make_outgoing_response(response, exchange.request);
  if (status < 300 && !exchange.answered) {
    exchange.answered = true;
    core_.respond(exchange.server, std::move(response), from);
  } else {
    keep_failure(exchange, std::move(response), from);
  }
  if (!exchange.open.empty()) return;
  if (!exchange.answered && exchange.best_failure) {
    core_.respond(exchange.server, *exchange.best_failure,
                  exchange.failed_at ? &*exchange.failed_at : nullptr);
  }
  close(id);
}

/// Words count more than silence; of two, the lower status (RFC 3261 §16.7 step 6).
void ExchangeRelay::keep_failure(Exchange& exchange, sip::Message response, const sip::Flow* from) {
  bool kept_is_ours = !exchange.failed_at, ours = !from;
  if (exchange.best_failure && kept_is_ours <= ours &&
      (kept_is_ours < ours || exchange.best_failure->status() <= response.status())) {
    return;
  }
  exchange.best_failure = std::move(response);
  exchange.failed_at.reset();
  if (from) exchange.failed_at = *from;
}

void ExchangeRelay::on_session_closed(std::uint64_t session) {
  std::vector<std::uint64_t> gone;
  for (const auto& [id, exchange] : exchanges_) {
    if (exchange.from.is_link() && exchange.from.session == session) gone.push_back(id);
  }
  for (std::uint64_t id : gone) forget(id);
}

}  // namespace isthmus::call
