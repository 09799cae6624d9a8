#include "call/exchange_relay.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;
using sip::Method;

namespace {

/// Upstream may expire a binding a little later than it says; the token outlives it by this.
constexpr Duration kBindingGrace = seconds(10);

std::string aor_of(const sip::Message& request) {
  Result<sip::NameAddr, sip::Fault> to = request.to();
  return to ? to->uri : std::string();
}

std::string user_of(std::string_view uri_text) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(uri_text);
  return uri && uri->is_sip() ? uri->user : std::string();
}

}  // namespace

void ExchangeRelay::start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
                          const RouteTargets& route) {
  std::uint64_t id = next_id_++;
  Exchange& exchange = exchanges_[id];
  exchange.server = server;
  exchange.from = flow;
  exchange.request = std::move(request);
  std::size_t sent = 0;
  for (const RouteTarget& target : route.targets) {
    if (sent++ == limits::kForksPerCall) break;
    if (send(id, target, Failover(target, route.failover_on)) != Sent::no_binding) continue;
    ++core_.counters.rejected_over_limit;
    core_.reject(server, exchange.request, 503, "Too many registrations on this link", 60);
    forget(id);
    return;
  }
  if (exchange.open.empty()) {
    core_.reject(server, exchange.request, 503, "Too many transactions", 5);
    exchanges_.erase(id);
  }
}

ExchangeRelay::Sent ExchangeRelay::send(std::uint64_t id, const RouteTarget& target,
                                        Failover places) {
  Exchange& exchange = exchanges_.at(id);
  sip::Message out = exchange.request;
  make_outgoing_request(out);
  if (!target.request_uri.empty()) out.set_request_uri(target.request_uri);
  put_headers(target, out);
  if (out.method() == Method::register_) {
    if (!map_register_contacts(exchange, out, target.flow)) return Sent::no_binding;
  } else {
    replace_contact(out, core_.new_token(), core_.host_of(target.flow),
                    core_.contact_params_of(target.flow));
  }
  sip::TransactionId client = core_.send(std::move(out), target.flow, &exchange.from);
  if (client == 0) return Sent::no_transaction;
  exchange.open.push_back(client);
  Duration limit = patience(core_.router.policy_of(target.flow), false);
  if (!places.exhausted() && limit > Duration::zero()) silent_.set(client, core_.now + limit);
  clients_.emplace(client, Attempt{id, target.flow, std::move(places)});
  return Sent::yes;
}

/// RFC 3263 §4.3. @return false: the failure stands.
bool ExchangeRelay::try_next_place(sip::TransactionId client, HopFailure failure, int status) {
  Attempt& attempt = clients_.at(client);
  std::uint64_t id = attempt.exchange;
  Exchange& exchange = exchanges_.at(id);
  if (exchange.answered) return false;
  while (std::optional<RouteTarget> next = attempt.places.next(failure, status)) {
    if (send(id, *next, attempt.places) == Sent::yes) {  // `attempt` may have moved
      std::erase(exchange.open, client);
      clients_.erase(client);
      silent_.clear(client);
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
  bool timeout = failure == HopFailure::timeout;
  const Exchange& exchange = exchanges_.at(clients_.at(client).exchange);
  sip::Message response = sip::Message::response_to(
      exchange.request, timeout ? 408 : 503,
      timeout ? "No answer from the next hop" : "Next hop unreachable", core_.random.token(12));
  response.add(HeaderId::server, core_.config.software);
  on_final(client, std::move(response), nullptr);
}

void ExchangeRelay::on_timeout() {
  while (auto client = silent_.take_due(core_.now)) {
    if (clients_.contains(*client)) on_hop_failed(*client, HopFailure::timeout);
  }
}

void ExchangeRelay::forget(std::uint64_t id) {
  auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  for (sip::TransactionId client : found->second.open) {
    clients_.erase(client);
    silent_.clear(client);
  }
  exchanges_.erase(found);
}

bool ExchangeRelay::map_register_contacts(Exchange& exchange, sip::Message& out,
                                          const sip::Flow& target) {
  if (!out.has(HeaderId::contact)) return true;
  std::string owner = core_.router.owner_of(exchange.from);
  std::string aor = aor_of(exchange.request);
  std::string values;
  for (std::string_view value : exchange.request.values(HeaderId::contact)) {
    if (!values.empty()) values += ", ";
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) {
      values += value;
      continue;
    }
    std::string token = core_.bindings.token_for(owner, aor, contact->uri);
    if (!core_.bindings.find(token) &&
        core_.bindings.count_of_flow(exchange.from) >= core_.config.max_bindings_per_session) {
      return false;
    }
    core_.bindings.note(owner, aor, contact->uri, exchange.from, core_.now);
    exchange.tokens.push_back(token);
    contact->uri = contact_uri(token, core_.host_of(target), core_.contact_params_of(target));
    values += contact->to_string();
  }
  out.set(HeaderId::contact, values);
  return true;
}

/// Gives the device its own Contacts back, and takes note of what the registrar granted. Contacts
/// of other devices pass.
void ExchangeRelay::unmap_register_contacts(Exchange& exchange, sip::Message& response) {
  std::string owner = core_.router.owner_of(exchange.from);
  std::string aor = aor_of(exchange.request);
  std::uint32_t common_expires =
      response.number(HeaderId::expires)
          .value_or(exchange.request.number(HeaderId::expires).value_or(3600));
  std::vector<std::string> granted;
  std::string values;
  for (std::string_view value : response.values(HeaderId::contact)) {
    if (!values.empty()) values += ", ";
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    std::string token = contact ? user_of(contact->uri) : std::string();
    Binding* binding = token.empty() ? nullptr : core_.bindings.find(token);
    if (!binding || binding->owner != owner) {
      values += value;
      continue;
    }
    std::optional<std::string_view> own = contact->params.get("expires");
    std::uint32_t expires_s =
        own ? parse_number<std::uint32_t>(*own).value_or(common_expires) : common_expires;
    bool asked =
        std::find(exchange.tokens.begin(), exchange.tokens.end(), token) != exchange.tokens.end();
    if (expires_s > 0 && asked) {
      granted.push_back(token);
      bool fresh = !binding->confirmed;
      core_.bindings.confirm(token, core_.now + seconds(expires_s) + kBindingGrace);
      if (fresh) core_.emit(RegistrationChanged{aor, owner, true});
    }
    contact->uri = binding->contact_uri;
    values += contact->to_string();
  }
  if (!values.empty()) response.set(HeaderId::contact, values);
  bool removed = false;
  for (const std::string& token : exchange.tokens) {
    if (std::find(granted.begin(), granted.end(), token) != granted.end()) continue;
    core_.bindings.remove(token);
    removed = true;
  }
  if (trim(exchange.request.get(HeaderId::contact).value_or("")) == "*") {
    core_.bindings.remove_all_of(owner, aor);
    removed = true;
  }
  if (removed) core_.emit(RegistrationChanged{aor, owner, false});
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
  if (status >= 200) {
    core_.router.on_outcome(attempt.flow, outcome_of(HopFailure::response, status),
                            retry_after_of(response), core_.now);
    if (status >= 300 && try_next_place(client, HopFailure::response, status)) {
      make_outgoing_response(response, exchange.request);
      keep_failure(exchange, std::move(response), &from);
      return true;
    }
    on_final(client, std::move(response), &from);
  } else if (status > 100 && !exchange.answered) {
    make_outgoing_response(response, exchange.request);
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
  std::erase(exchange.open, client);
  clients_.erase(client);
  silent_.clear(client);
  int status = response.status();
  if (exchange.request.method() == Method::register_) {
    if (status < 300) {
      ++core_.counters.registrations;
      unmap_register_contacts(exchange, response);
    } else if (status != 401 && status != 407) {
      ++core_.counters.registration_failures;
      for (const std::string& token : exchange.tokens) core_.bindings.drop_unconfirmed(token);
    }
  }
  make_outgoing_response(response, exchange.request);
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
  exchanges_.erase(id);
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
