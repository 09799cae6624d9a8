#include "call/register_relay.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "call/crossing.hpp"

namespace isthmus::call {

using sip::HeaderId;

namespace {

/// Upstream may expire a binding a little later than it says; the token outlives it by this.
constexpr Duration kBindingGrace = seconds(10);
/// A device whose refresh is late by one timer F (RFC 3261 §17) is gone.
constexpr Duration kSilenceGrace = seconds(32);
constexpr std::uint32_t kDefaultExpires_s = 3600;  // RFC 3261 §10.2.1.1: the registrar's choice

std::string aor_of(const sip::Message& request) {
  Result<sip::NameAddr, sip::Fault> to = request.to();
  return to ? to->uri : std::string();
}

std::string user_of(std::string_view uri_text) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(uri_text);
  return uri && uri->is_sip() ? uri->user : std::string();
}

bool removes_all(const sip::Message& request) {
  return trim(request.get(HeaderId::contact).value_or("")) == "*";
}

/// The first target of a route with the other hosts of its provider: a binding at another provider
/// would be another registration.
RouteTarget target_of(const RouteTargets& route) {
  RouteTarget target = route.targets.front();
  auto foreign = std::find_if(target.alternatives.begin(), target.alternatives.end(),
                              [](const RouteTarget& other) { return other.other_provider; });
  target.alternatives.erase(foreign, target.alternatives.end());
  return target;
}

}  // namespace

void RegisterRelay::start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
                          const RouteTargets& route) {
  Exchange exchange;
  exchange.server = server;
  exchange.from = flow;
  exchange.owner = core_.router.owner_of(flow);
  exchange.aor = aor_of(request);
  exchange.request = std::move(request);
  RouteTarget target = target_of(route);
  if (answer_here(server, exchange, target)) return;
  if (!note_contacts(exchange)) {
    ++core_.counters.rejected_over_limit;
    core_.reject(server, exchange.request, 503, "Too many registrations on this link", 60);
    return;
  }
  // From here until its 2xx it is not known what the registrar holds.
  throttle_.forget(exchange.tokens);
  std::uint64_t id = next_id_++;
  exchange.places = Failover(target, {});
  auto placed = exchanges_.emplace(id, std::move(exchange)).first;
  if (!send(id, target)) {
    core_.reject(server, placed->second.request, 503, "Too many transactions", 5);
    exchanges_.erase(placed);
  }
}

/// A refresh from the device that holds the binding, on the flow that its calls go to, while the
/// registrar's binding has life enough.
bool RegisterRelay::answer_here(sip::TransactionId server, Exchange& exchange,
                                const RouteTarget& target) {
  exchange.policy = core_.router.policy_of(target.flow);
  std::int64_t refresh_s = exchange.policy.client_refresh.count();
  if (refresh_s <= 0 || throttle_.empty()) return false;
  std::vector<std::string> tokens;
  for (std::string_view value : exchange.request.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) return false;
    std::string token = core_.bindings.token_for(exchange.owner, exchange.aor, contact->uri);
    const Binding* binding = core_.bindings.find(token);
    if (!binding || !binding->confirmed || binding->flow != exchange.from) return false;
    tokens.push_back(std::move(token));
  }
  std::optional<sip::Message> response =
      throttle_.answer(exchange.request, tokens, static_cast<std::uint32_t>(refresh_s), core_.now,
                       core_.random.token(12));
  if (!response) return false;
  ++core_.counters.refreshes_answered;
  for (const std::string& token : tokens)
    core_.bindings.heard(token, core_.now + seconds(refresh_s) + kSilenceGrace);
  response->add(HeaderId::server, core_.config.software);
  core_.respond(server, std::move(*response));
  return true;
}

/// Opens or finds the binding of each Contact. @return false: no room for one more on this link.
bool RegisterRelay::note_contacts(Exchange& exchange) {
  for (std::string_view value : exchange.request.values(HeaderId::contact)) {
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) continue;
    std::string token = core_.bindings.token_for(exchange.owner, exchange.aor, contact->uri);
    if (!core_.bindings.find(token) &&
        core_.bindings.count_of_flow(exchange.from) >= core_.config.max_bindings_per_session) {
      return false;
    }
    core_.bindings.note(exchange.owner, exchange.aor, contact->uri, exchange.from, core_.now);
    exchange.tokens.push_back(std::move(token));
  }
  return true;
}

bool RegisterRelay::send(std::uint64_t id, const RouteTarget& target) {
  Exchange& exchange = exchanges_.at(id);
  exchange.flow = target.flow;
  exchange.policy = core_.router.policy_of(target.flow);
  sip::Message out = exchange.request;
  make_outgoing_request(out);
  if (!target.request_uri.empty()) out.set_request_uri(target.request_uri);
  map_contacts(exchange, out, target.flow);
  put_headers(target, out);
  exchange.identity = core_.name_legs(exchange.request, exchange.from, target.flow);
  exchange.identity.carry_request(out, Side::caller);
  core_.translate(out, {exchange.from, target.flow, exchange.identity.hides[1], {}});
  sip::TransactionId client = core_.send(std::move(out), target.flow, &exchange.from);
  if (client == 0) return false;
  exchange.client = client;
  clients_.emplace(client, id);
  Duration limit = patience(exchange.policy, false);
  if (!exchange.places.exhausted() && limit > Duration::zero())
    silent_.set(client, core_.now + limit);
  return true;
}

/// RFC 3263 §4.3. @return false: the failure stands.
bool RegisterRelay::try_next_place(std::uint64_t id, HopFailure failure, int status) {
  Exchange& exchange = exchanges_.at(id);
  const sip::Flow left = exchange.flow;
  while (std::optional<RouteTarget> next = exchange.places.next(failure, status)) {
    if (send(id, *next)) {
      core_.router.on_moved(left, next->flow, outcome_of(failure, status));
      return true;
    }
    failure = HopFailure::unreachable;
  }
  return false;
}

/// Puts our own address in the device's Contacts, and asks for a long life where refreshes will be
/// answered here.
void RegisterRelay::map_contacts(const Exchange& exchange, sip::Message& out,
                                 const sip::Flow& target) const {
  if (!out.has(HeaderId::contact)) return;
  std::string least;
  std::uint32_t least_s = 0;
  if (exchange.policy.client_refresh > seconds(0) && !removes_all(exchange.request)) {
    least_s = static_cast<std::uint32_t>(exchange.policy.register_expires.count());
    least = std::to_string(least_s);
  }
  std::string values;
  for (std::string_view value : exchange.request.values(HeaderId::contact)) {
    if (!values.empty()) values += ", ";
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    if (!contact || contact->star) {
      values += value;
      continue;
    }
    std::string token = core_.bindings.token_for(exchange.owner, exchange.aor, contact->uri);
    contact->uri = core_.contact_uri(token, target, asks_for_tls(out));
    std::optional<std::string_view> own = contact->params.get("expires");
    std::uint32_t own_s = own ? parse_number<std::uint32_t>(*own).value_or(0) : 0;
    if (own_s > 0 && own_s < least_s) contact->params.set("expires", least);
    values += contact->to_string();
  }
  out.set(HeaderId::contact, values);
  if (least_s == 0) return;
  std::uint32_t common_s = exchange.request.number(HeaderId::expires).value_or(1);
  if (common_s > 0 && common_s < least_s) out.set(HeaderId::expires, least);
}

std::uint32_t RegisterRelay::client_life(const Exchange& exchange, std::uint32_t asked_s,
                                         std::uint32_t granted_s) const {
  auto refresh_s = static_cast<std::uint32_t>(exchange.policy.client_refresh.count());
  return refresh_s == 0 ? granted_s : std::min({asked_s, granted_s, refresh_s});
}

/// Gives the device its own Contacts back, and takes note of what the registrar granted. Contacts
/// of other devices pass.
void RegisterRelay::unmap_contacts(Exchange& exchange, sip::Message& response) {
  bool throttled = exchange.policy.client_refresh > seconds(0);
  std::uint32_t default_s =
      throttled ? static_cast<std::uint32_t>(exchange.policy.register_expires.count())
                : kDefaultExpires_s;
  std::uint32_t common_s =
      response.number(HeaderId::expires)
          .value_or(exchange.request.number(HeaderId::expires).value_or(default_s));
  if (throttled && !response.has(HeaderId::expires)) common_s = std::max(common_s, default_s);
  RegisterThrottle::Grant grant;
  grant.upstream = core_.router.owner_of(exchange.flow);
  std::string values;
  for (std::string_view value : response.values(HeaderId::contact)) {
    if (!values.empty()) values += ", ";
    Result<sip::NameAddr, sip::Fault> contact = sip::NameAddr::parse(value);
    std::string token = contact ? user_of(contact->uri) : std::string();
    const Binding* binding = token.empty() ? nullptr : core_.bindings.find(token);
    if (!binding || binding->owner != exchange.owner) {
      values += value;
      continue;
    }
    std::optional<std::string_view> own = contact->params.get("expires");
    std::uint32_t granted_s = own ? parse_number<std::uint32_t>(*own).value_or(common_s) : common_s;
    contact->uri = binding->contact_uri;
    if (granted_s > 0 &&
        std::find(exchange.tokens.begin(), exchange.tokens.end(), token) != exchange.tokens.end()) {
      bool fresh = !binding->confirmed;
      core_.bindings.confirm(token, core_.now + seconds(granted_s) + kBindingGrace);
      if (fresh) core_.emit(RegistrationChanged{exchange.aor, exchange.owner, true});
      if (throttled) {
        std::uint32_t life_s = client_life(
            exchange, asked_expires(exchange.request, *contact).value_or(granted_s), granted_s);
        core_.bindings.heard(token, core_.now + seconds(life_s) + kSilenceGrace);
        contact->params.set("expires", std::to_string(life_s));
        grant.client_refresh_s = std::max(grant.client_refresh_s, life_s);
      }
      if (grant.tokens.empty() || granted_s < grant.upstream_expires_s)
        grant.upstream_expires_s = granted_s;
      grant.own_uris.push_back(contact->uri);
      grant.tokens.push_back(token);
    }
    values += contact->to_string();
  }
  if (!values.empty()) response.set(HeaderId::contact, values);
  if (throttled && !grant.tokens.empty() && response.has(HeaderId::expires))
    response.set(HeaderId::expires, std::to_string(grant.client_refresh_s));
  bool removed = false;
  for (const std::string& token : exchange.tokens) {
    if (std::find(grant.tokens.begin(), grant.tokens.end(), token) != grant.tokens.end()) continue;
    core_.bindings.remove(token);
    removed = true;
  }
  if (removes_all(exchange.request)) {
    core_.bindings.remove_all_of(exchange.owner, exchange.aor);
    removed = true;
  }
  if (removed) core_.emit(RegistrationChanged{exchange.aor, exchange.owner, false});
  if (throttled && grant.tokens.size() == exchange.tokens.size())
    throttle_.accepted(exchange.request, response, std::move(grant), core_.now);
}

bool RegisterRelay::on_response(sip::TransactionId client, const sip::Flow& from,
                                sip::Message& response) {
  auto found = clients_.find(client);
  if (found == clients_.end()) return false;
  silent_.clear(client);
  std::uint64_t id = found->second;
  Exchange& exchange = exchanges_.at(id);
  int status = response.status();
  if (status < 200) {
    if (status == 100) return true;
    turn_back(exchange, response);
    core_.respond(exchange.server, response, &from);
    return true;
  }
  clients_.erase(found);
  core_.router.on_outcome(exchange.flow, outcome_of(HopFailure::response, status),
                          retry_after_of(response), core_.now);
  if (status >= 300 && try_next_place(id, HopFailure::response, status)) return true;
  on_final(id, std::move(response), &from);
  return true;
}

bool RegisterRelay::on_client_failed(sip::TransactionId client, sip::ClientFailure why) {
  if (!clients_.contains(client)) return false;
  on_hop_failed(client,
                why == sip::ClientFailure::timeout ? HopFailure::timeout : HopFailure::unreachable);
  return true;
}

void RegisterRelay::on_hop_failed(sip::TransactionId client, HopFailure failure) {
  auto found = clients_.find(client);
  std::uint64_t id = found->second;
  clients_.erase(found);
  silent_.clear(client);
  Exchange& exchange = exchanges_.at(id);
  core_.router.on_outcome(exchange.flow, outcome_of(failure, 0), 0, core_.now);
  if (try_next_place(id, failure, 0)) return;
  sip::Message response = answer_for(failure, exchange.request, core_.random.token(12));
  response.add(HeaderId::server, core_.config.software);
  on_final(id, std::move(response), nullptr);
}

void RegisterRelay::on_timeout() {
  while (auto client = silent_.take_due(core_.now)) {
    if (clients_.contains(*client)) on_hop_failed(*client, HopFailure::timeout);
  }
}

/// Puts a response into the words of who asked.
void RegisterRelay::turn_back(const Exchange& exchange, sip::Message& response) const {
  make_outgoing_response(response, exchange.request);
  const DialogIdentity& identity = exchange.identity;
  identity.carry_response(response, exchange.request,
                          core_.tag_told(identity, exchange.from, response.to_tag()));
  core_.translate(response, {exchange.flow, exchange.from, identity.hides[0], {}});
}

void RegisterRelay::on_final(std::uint64_t id, sip::Message response, const sip::Flow* from) {
  Exchange& exchange = exchanges_.at(id);
  int status = response.status();
  if (status < 300) {
    ++core_.counters.registrations;
    unmap_contacts(exchange, response);
  } else if (status != 401 && status != 407) {
    ++core_.counters.registration_failures;
    for (const std::string& token : exchange.tokens) core_.bindings.drop_unconfirmed(token);
  }
  turn_back(exchange, response);
  core_.respond(exchange.server, std::move(response), from);
  exchanges_.erase(id);
}

void RegisterRelay::on_session_closed(std::uint64_t session) {
  std::erase_if(exchanges_, [&](const auto& entry) {
    const Exchange& exchange = entry.second;
    if (!exchange.from.is_link() || exchange.from.session != session) return false;
    clients_.erase(exchange.client);
    silent_.clear(exchange.client);
    return true;
  });
}

}  // namespace isthmus::call
