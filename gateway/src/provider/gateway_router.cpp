#include "provider/gateway_router.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.hpp"

namespace isthmus::provider {

using call::Route;
using call::RouteRejection;
using call::RouteTarget;
using call::RouteTargets;
using sip::Method;

namespace {

constexpr unsigned kRetryUnreachable_s =
    30;  // a device that lost its link is usually back within this

/// RFC 3261 §8.2.2.1, §16.3: a Request-URI that says nothing to anybody here. tel: is a number,
/// urn: a service (urn:service:sos, RFC 5031) that a provider knows.
bool is_routable(const sip::Uri& uri) {
  return uri.is_sip() || uri.scheme == "tel" || uri.scheme == "urn";
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return iequals(entry, text); });
}

RouteTarget to_contact(const Contact& contact) {
  RouteTarget target{contact.flow, contact.uri};
  std::string route;  // RFC 3327 §5.3
  for (const std::string& hop : contact.path) route += (route.empty() ? "" : ", ") + hop;
  if (!route.empty()) target.headers.emplace_back("Route", route);
  return target;
}

/// Each device is asked once. Its other flows come in when the first one fails, which a timeout or
/// a 430 says, and no other answer: that one is the device's own (RFC 5626 §7).
RouteTargets to_devices(const std::vector<std::vector<Contact>>& devices) {
  RouteTargets targets;
  targets.failover_on = {408, 430};
  for (const std::vector<Contact>& flows : devices) {
    RouteTarget target = to_contact(flows.front());
    for (std::size_t i = 1; i < flows.size(); ++i) {
      target.alternatives.push_back(to_contact(flows[i]));
      target.alternatives.back().other_provider =
          true;  // another way, which may work where this fails
    }
    targets.targets.push_back(std::move(target));
  }
  return targets;
}

/// A session's user in our domain, and whatever it may call as there.
class SessionAsIdentity final : public ClientIdentity {
 public:
  SessionAsIdentity(const GatewayRouter& router, const sip::Flow& flow, const std::string& domain)
      : router_(router), flow_(flow), domain_(domain) {}
  std::string uri() const override { return "sip:" + router_.owner_of(flow_) + "@" + domain_; }
  bool may_be(std::string_view text) const override {
    auto uri = sip::Uri::parse(text);
    return uri && uri->is_sip() && router_.is_own_host(*uri) &&
           router_.may_use(flow_, uri->decoded_user());
  }

 private:
  const GatewayRouter& router_;
  const sip::Flow& flow_;
  const std::string& domain_;
};

/// Puts what the rules changed on a request for that provider, at all of its hosts.
void address_for(const Provider& provider, const RouteSubject& subject, RouteTarget& target) {
  std::string domain = provider.domains.empty() ? std::string() : provider.domains.front();
  if (subject.uri_changed) {
    sip::Uri uri = subject.uri;
    if (subject.uri_takes_provider_domain && !domain.empty()) uri.host = domain;
    target.request_uri = uri.to_string();
  }
  if (provider.headers.apply_privacy && subject.wants_user_privacy && !subject.caller_signed) {
    auto tag = subject.from.tag();  // RFC 3323 §4.1.1.3
    target.headers.emplace_back(
        "From", provider.headers.anonymous_from + (tag ? ";tag=" + std::string(*tag) : ""));
  } else if (subject.from_changed) {
    sip::NameAddr from = subject.from;
    auto uri = sip::Uri::parse(from.uri);
    if (uri && subject.from_takes_provider_domain && !domain.empty()) {
      uri->host = domain;
      from.uri = uri->to_string();
    }
    target.headers.emplace_back("From", from.to_string());
  }
  for (RouteTarget& other : target.alternatives) {
    other.request_uri = target.request_uri;
    other.headers = target.headers;
  }
}

}  // namespace

std::string GatewayRouter::owner_of(const sip::Flow& flow) const {
  if (flow.is_link()) {
    auto session = sessions_.find(flow.session);
    return session == sessions_.end() ? std::string() : session->second.user;
  }
  const Provider* provider = provider_of(flow);
  return provider ? provider->name : flow.remote.to_string();
}

call::LegPolicy GatewayRouter::policy_of(const sip::Flow& flow) const {
  if (flow.is_link()) return link_policy_;
  const Provider* provider = provider_of(flow);
  return provider ? provider->policy : call::LegPolicy{};
}

HeaderParty GatewayRouter::party_of(const sip::Flow& flow) const {
  HeaderParty party;
  if (flow.is_link()) {
    auto session = sessions_.find(flow.session);
    party.trusted = session != sessions_.end() && session->second.trusted;
  } else if (const Provider* provider = provider_of(flow)) {
    party.provider = &provider->headers;
    party.user_agent = provider->user_agent;
  }
  return party;
}

void GatewayRouter::dress(sip::Message& message, const sip::Flow& to, const sip::Flow* from) const {
  const Provider* provider = to.is_link() ? nullptr : provider_of(to);
  if (provider && message.is_request()) dress_as_account(message, *provider);
  HeaderParty target = party_of(to);
  if (!from) return apply_header_policy(message, nullptr, target);
  HeaderParty source = party_of(*from);
  SessionAsIdentity identity(*this, *from, config_.domain);
  if (from->is_link()) source.client = &identity;
  apply_header_policy(message, &source, target);
}

Admission::Owner GatewayRouter::account_of(const sip::Flow& flow) const {
  if (flow.is_link()) return {true, owner_of(flow)};
  const Provider* provider = provider_of(flow);
  return {false, provider ? provider->name : std::string()};
}

std::optional<RouteRejection> GatewayRouter::admit(const sip::Message& request,
                                                   const sip::Flow& from, Instant now) {
  Admission::Owner account = account_of(from);
  Admission::Party party{account.is_user, std::move(account.name), {}};
  if (!from.is_link()) {
    party.source = from.remote.address;
  } else if (auto session = sessions_.find(from.session); session != sessions_.end()) {
    party.source = session->second.address;
  }
  return admission_.admit(request.method_text(), party, now);
}

void GatewayRouter::on_call(std::uint64_t call, const sip::Flow& caller, const sip::Flow& callee,
                            bool over) {
  if (over) {
    admission_.call_ended(call);
  } else {
    admission_.call_began(call, {account_of(caller), account_of(callee)});
  }
}

const Provider* GatewayRouter::provider_of(const sip::Flow& flow) const {
  if (flow.identity != 0 && targets_) {
    if (const Provider* provider = provider_named(targets_->provider_of(flow.identity)))
      return provider;
  }
  return provider_at(flow.remote);
}

const Provider* GatewayRouter::provider_at(const Endpoint& endpoint) const {
  for (const Provider& provider : providers_) {
    for (const Endpoint& address : provider.addresses) {
      if (address == endpoint) return &provider;
    }
  }
  for (const Provider& provider : providers_) {
    for (const Endpoint& address : provider.addresses) {
      if (address.address == endpoint.address) return &provider;
    }
  }
  return nullptr;
}

const Provider* GatewayRouter::provider_named(std::string_view name) const {
  for (const Provider& provider : providers_) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

bool GatewayRouter::may_use(const sip::Flow& flow, std::string_view user) const {
  auto session = sessions_.find(flow.session);
  if (!flow.is_link() || session == sessions_.end()) return false;
  const std::vector<std::string>& aors = session->second.aors;
  return std::any_of(aors.begin(), aors.end(),
                     [&](const std::string& aor) { return aor == "*" || iequals(aor, user); });
}

bool GatewayRouter::is_own_host(const sip::Uri& uri) const {
  if (iequals(uri.host, config_.domain)) return true;
  std::string with_port = uri.host + ":" +
                          std::to_string(uri.port          ? uri.port
                                         : uri.is_secure() ? 5061
                                                           : 5060);
  return contains(config_.own_hosts, with_port) ||
         (uri.port == 0 && contains(config_.own_hosts, uri.host));
}

bool GatewayRouter::leads_here(std::string_view uri) const {
  const auto parsed = sip::Uri::parse(uri);
  return parsed && parsed->is_sip() && is_own_host(*parsed);
}

RouteSubject GatewayRouter::subject_of(const sip::Message& request, const sip::Flow& from,
                                       const sip::Uri& uri) const {
  RouteSubject subject;
  subject.from_link = from.is_link();
  if (from.is_link()) {
    subject.session = from.session;
    auto session = sessions_.find(from.session);
    if (session != sessions_.end()) {
      subject.session_user = session->second.user;
      subject.address = session->second.address;
    }
  } else {
    const Provider* provider = provider_of(from);
    if (provider) subject.provider = provider->name;
    subject.address = from.remote.address;
  }
  subject.method = request.method_text();
  subject.uri = uri;
  subject.own_domain = is_own_host(uri);
  if (auto caller = request.from()) subject.from = *caller;
  subject.caller_signed = request.has(sip::HeaderId::identity);
  subject.wants_user_privacy =
      request.method() != Method::register_ && asks_privacy(request, "user");
  return subject;
}

std::optional<Route> GatewayRouter::before_rules(const sip::Message& request, const sip::Flow& from,
                                                 const RouteSubject& subject) const {
  bool registers = request.method() == Method::register_;
  if (!from.is_link()) {
    if (registers) return RouteRejection{405, "Providers do not register here"};
    const call::Binding* binding = bindings_.find(subject.uri.user);
    if (!binding) return std::nullopt;
    if (binding->reachable) return RouteTargets{{RouteTarget{binding->flow, binding->contact_uri}}};
    if (waits(request))
      return call::RouteWait{binding->owner, config_.push_wait, kRetryUnreachable_s};
    return RouteRejection{480, "The device's link is down", kRetryUnreachable_s};
  }
  // Nobody speaks for another user of our own domain, by whichever of our names. Addresses of other
  // domains are their registrar's to judge.
  auto caller = sip::Uri::parse(subject.from.uri);
  if (caller && is_own_host(*caller) && !may_use(from, caller->decoded_user())) {
    return RouteRejection{403, "From is not an address of this session"};
  }
  if (caller) {
    if (auto refusal = refuse_account_of_another(from, *caller)) return *refusal;
  }
  bool to_account = accounts_ && registering_provider(subject.uri.host);
  if (registers && (subject.own_domain || to_account)) return call::RouteToRegistrar{};
  return std::nullopt;
}

Route GatewayRouter::decide(const sip::Message& request, const sip::Flow& from, Instant now,
                            RouteTrace* trace) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(request.request_uri());
  if (!uri) return RouteRejection{400, uri.error().reason()};
  if (!is_routable(*uri)) return RouteRejection{416, {}};
  RouteSubject subject = subject_of(request, from, *uri);
  if (std::optional<Route> settled = before_rules(request, from, subject)) {
    if (trace) trace->decided_by = "before the rules";
    return *settled;
  }
  // What a provider sends to an account or trunk of ours goes on as a request for that user.
  if (!from.is_link()) {
    if (std::optional<std::string> user = account_called(request, from, *uri)) {
      subject.uri.user = *user;
    }
  }
  RouteRules::Decision decision = rules_.decide(
      subject, enum_cache_, [this](const sip::Uri& other) { return is_own_host(other); }, now,
      trace);
  if (!decision.lookup.empty()) return call::RoutePending{decision.lookup};
  return decision.rule ? by_rule(*decision.rule, request, subject, now, trace)
                       : without_rule(request, subject, now, trace);
}

Route GatewayRouter::by_rule(const RouteRule& rule, const sip::Message& request,
                             const RouteSubject& subject, Instant now, RouteTrace* trace) {
  if (rule.reject) return *rule.reject;
  const std::string& first = rule.to.front();
  if (first == kToEcho) return call::RouteToService{call::MediaService::echo};
  if (first == kToTone) return call::RouteToService{call::MediaService::tone};
  if (first != kToLocal) {
    return to_providers(rule.to, rule.failover_on, subject, now);
  }
  if (request.method() == Method::register_ && subject.from_link) return call::RouteToRegistrar{};
  static_cast<void>(trace);
  return route_local(request, subject.number(), now);
}

Route GatewayRouter::without_rule(const sip::Message& request, const RouteSubject& subject,
                                  Instant now, RouteTrace* trace) {
  auto note = [&](std::string text) {
    if (!trace) return;
    trace->decided_by = "no rule: " + text;
    trace->note({}, true, std::move(text));
  };
  bool asked_here = subject.own_domain || (!subject.from_link && !subject.uri_changed);
  if (asked_here) {
    note(subject.own_domain ? "the gateway's own domain stays local"
                            : "what a provider sends stays local");
    return route_local(request, subject.number(), now);
  }
  for (const Provider& provider : providers_) {
    if (!contains(provider.domains, subject.uri.host)) continue;
    note("domain \"" + subject.uri.host + "\" belongs to " + provider.name);
    return to_providers({provider.name}, {}, subject, now);
  }
  if (providers_.empty() || !subject.from_link) {
    note("no provider serves the domain");
    return RouteRejection{404, "No provider serves this domain"};
  }
  note("any other domain goes to the first provider");
  return to_providers({providers_.front().name}, {}, subject, now);
}

/// The first that can be reached, with all the others as its alternatives.
Route GatewayRouter::to_providers(const std::vector<std::string>& names,
                                  const std::vector<int>& failover_on, const RouteSubject& subject,
                                  Instant now) const {
  RouteTargets all;
  all.failover_on = failover_on;
  std::optional<Route> otherwise;
  for (const std::string& name : names) {
    const Provider* provider = provider_named(name);
    if (!provider) continue;
    if (subject.method == "INVITE" && admission_.is_full(false, name)) {
      if (!otherwise) otherwise = RouteRejection{503, "Too many calls of provider " + name, 5};
      continue;
    }
    Route route = to_provider(*provider, subject, now);
    if (std::holds_alternative<call::RoutePending>(route)) return route;
    auto* found = std::get_if<RouteTargets>(&route);
    if (!found || found->targets.empty()) {
      if (!otherwise) otherwise = std::move(route);
      continue;
    }
    RouteTarget target = std::move(found->targets.front());
    address_for(*provider, subject, target);
    if (all.targets.empty()) {
      all.targets.push_back(std::move(target));
      continue;
    }
    std::vector<RouteTarget>& places = all.targets.front().alternatives;
    std::vector<RouteTarget> others = std::exchange(target.alternatives, {});
    target.other_provider = true;
    places.push_back(std::move(target));
    std::move(others.begin(), others.end(), std::back_inserter(places));
  }
  if (!all.targets.empty()) return all;
  return otherwise.value_or(RouteRejection{503, "No provider to go to"});
}

Route GatewayRouter::route_local(const sip::Message& request, const std::string& user,
                                 Instant now) {
  if (user.empty()) {
    // The gateway itself is asked: OPTIONS as a sign of life.
    if (request.method() == Method::options) return call::RouteToService{call::MediaService::echo};
    return RouteRejection{404, "No user in the Request-URI"};
  }
  if (user == config_.echo_user) return call::RouteToService{call::MediaService::echo};
  if (user == config_.tone_user) return call::RouteToService{call::MediaService::tone};
  for (const NumberMapping& mapping : config_.numbers) {
    if (mapping.number.match(user)) return ring_users(request, mapping.users, now);
  }
  return ring_users(request, {user}, now);
}

/// Every device of all of them, in parallel (RFC 3261 §16.6).
Route GatewayRouter::ring_users(const sip::Message& request, const std::vector<std::string>& users,
                                Instant now) {
  RouteTargets targets;
  bool busy = false;
  for (const std::string& user : users) {
    if (!registrar_) break;
    if (request.method() == Method::invite && admission_.is_full(true, user)) {
      busy = true;
      continue;
    }
    RouteTargets devices = to_devices(registrar_->devices(user, now));
    targets.failover_on = devices.failover_on;
    std::move(devices.targets.begin(), devices.targets.end(), std::back_inserter(targets.targets));
  }
  if (!targets.targets.empty()) return targets;
  if (busy) return RouteRejection{486, "The user has as many calls as it may have"};
  for (const std::string& user : users) {
    if (!knows_user(user)) continue;
    if (waits(request)) return call::RouteWait{user, config_.push_wait, kRetryUnreachable_s};
    return RouteRejection{480, "The user has no registered device", kRetryUnreachable_s};
  }
  return RouteRejection{404, "No such user"};
}

/// Whether somebody is worth waking for it: a person calls or writes.
bool GatewayRouter::waits(const sip::Message& request) const {
  return config_.push_wait > Duration::zero() &&
         (request.method() == Method::invite || request.method() == Method::message);
}

bool GatewayRouter::knows_user(const std::string& user) const {
  return (registrar_ && registrar_->knows(user)) || contains(config_.local_users, user) ||
         std::any_of(sessions_.begin(), sessions_.end(),
                     [&](const auto& entry) { return contains(entry.second.aors, user); }) ||
         (directory_has_ && directory_has_(user));
}

}  // namespace isthmus::provider
