#include "app/router_setup.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace isthmus::app {

using provider::RouteSource;

namespace {

std::vector<provider::UserPattern> patterns_of(const std::vector<std::string>& texts) {
  std::vector<provider::UserPattern> patterns;
  for (const std::string& text : texts) {
    if (auto pattern = provider::UserPattern::parse(text)) patterns.push_back(std::move(*pattern));
  }
  return patterns;
}

RouteSource source_of(const std::string& text) {
  if (text == "links") return {RouteSource::Kind::links};
  if (text == "providers") return {RouteSource::Kind::any_provider};
  // A provider may not be named like an address: its name holds no dot and no colon.
  if (auto network = Network::parse(text)) return {RouteSource::Kind::network, {}, *network};
  return {RouteSource::Kind::provider, text};
}

provider::UserRewrite rewrite_of(const ops::UserRewriteConfig& config) {
  provider::UserRewrite rewrite{config.strip, config.prefix, config.user};
  rewrite.provider_domain = config.domain == "provider";
  if (!rewrite.provider_domain) rewrite.domain = config.domain;
  return rewrite;
}

provider::RouteRule rule_of(const ops::RouteConfig& config, std::size_t index) {
  provider::RouteRule rule;
  rule.name = "routes[" + std::to_string(index) + "]";
  if (!config.name.empty()) rule.name += " " + config.name;
  for (const std::string& source : config.match.source) {
    rule.match.sources.push_back(source_of(source));
  }
  rule.match.users = config.match.user;
  rule.match.methods = config.match.method;
  rule.match.domain = config.match.domain;
  rule.match.user_prefix = config.match.user_prefix;
  rule.match.numbers = patterns_of(config.match.number);
  rule.match.callers = patterns_of(config.match.caller);
  rule.rewrite = rewrite_of(config.rewrite);
  rule.caller = rewrite_of(config.caller);
  rule.use_enum = config.use_enum;
  rule.to = config.to;
  rule.failover_on.assign(config.failover_on.begin(), config.failover_on.end());
  if (config.reject.status != 0) {
    rule.reject = call::RouteRejection{static_cast<int>(config.reject.status), config.reject.reason,
                                       static_cast<unsigned>(config.reject.retry_after.count())};
  }
  return rule;
}

provider::AdmissionLimits limits_of(const ops::AccountLimitsConfig& config) {
  return {config.calls, config.call_attempts_per_s, config.registrations_per_s,
          config.requests_per_s};
}

provider::Admission::Config admission_config(const ops::GatewayConfig& config) {
  provider::Admission::Config out;
  out.user = limits_of(config.limits.user);
  out.provider = limits_of(config.limits.provider);
  out.source = limits_of(config.limits.source);
  for (const ops::UserConfig& user : config.users) out.users[user.name] = limits_of(user.limits);
  for (const ops::ProviderConfig& provider : config.providers) {
    out.providers[provider.name] = limits_of(provider.limits);
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> pairs_of(const std::vector<std::string>& lines) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (std::string_view line : lines) {
    std::size_t colon = line.find(':');
    pairs.emplace_back(trim(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  return pairs;
}

provider::HeaderEdits edits_of(const ops::HeaderEditsConfig& config) {
  return {pairs_of(config.rename), config.remove, pairs_of(config.set), pairs_of(config.add)};
}

provider::RedirectionForm form_of(ops::RedirectionForm form) {
  switch (form) {
    case ops::RedirectionForm::pass:
      return provider::RedirectionForm::pass;
    case ops::RedirectionForm::diversion:
      return provider::RedirectionForm::diversion;
    case ops::RedirectionForm::history_info:
      return provider::RedirectionForm::history_info;
    case ops::RedirectionForm::both:
      return provider::RedirectionForm::both;
  }
  return provider::RedirectionForm::pass;
}

provider::HeaderPolicy headers_of(const ops::HeadersConfig& config) {
  provider::HeaderPolicy policy;
  policy.trusted = config.trusted;
  policy.assert_identity = config.assert_identity;
  policy.apply_privacy = config.apply_privacy;
  policy.anonymous_from = config.anonymous_from;
  policy.strip_diversion = config.diversion == ops::HeaderUse::strip;
  policy.strip_history_info = config.history_info == ops::HeaderUse::strip;
  policy.redirections = form_of(config.redirections);
  policy.strip_software = config.software == ops::HeaderUse::strip;
  policy.to_provider = edits_of(config.to_provider);
  policy.from_provider = edits_of(config.from_provider);
  return policy;
}

provider::InboundUser inbound_user_of(ops::InboundUser place) {
  switch (place) {
    case ops::InboundUser::to:
      return provider::InboundUser::to;
    case ops::InboundUser::p_called_party_id:
      return provider::InboundUser::p_called_party_id;
    case ops::InboundUser::request_uri:
      break;
  }
  return provider::InboundUser::request_uri;
}

call::DtmfForm form_of(ops::Dtmf dtmf) {
  switch (dtmf) {
    case ops::Dtmf::info:
      return call::DtmfForm::info;
    case ops::Dtmf::rfc4733:
      return call::DtmfForm::rfc4733;
    case ops::Dtmf::pass:
      break;
  }
  return call::DtmfForm::pass;
}

/// Who registers at that provider, and how often.
void set_registration(provider::Provider& provider, const ops::RegistrationConfig& config) {
  provider.registers_itself = config.mode != ops::RegistrationMode::passthrough;
  provider.inbound_user = inbound_user_of(config.inbound_user);
  if (provider.registers_itself) return;
  provider.policy.client_refresh = config.client_refresh;
  provider.policy.register_expires = config.register_expires;
}

}  // namespace

provider::GatewayRouter::Config router_config(const ops::GatewayConfig& config) {
  provider::GatewayRouter::Config out;
  out.domain = config.domain;
  if (config.services.echo) out.echo_user = config.services.echo_user;
  if (config.services.tone) out.tone_user = config.services.tone_user;
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    out.routes.push_back(rule_of(config.routes[i], i));
  }
  for (const ops::NumberConfig& entry : config.numbers) {
    auto number = provider::UserPattern::parse(entry.number);
    if (number) out.numbers.push_back({std::move(*number), entry.users});
  }
  for (const ops::UserConfig& user : config.users) {
    for (const std::string& aor : user.aors) {
      if (aor != "*") out.local_users.push_back(aor);
    }
  }
  out.push_wait = config.push.wait;
  out.limits = admission_config(config);
  return out;
}

std::vector<std::string> configured_hosts(const ops::GatewayConfig& config) {
  std::vector<std::string> hosts = {std::string(kLinkHost)};
  auto add = [&](const IpAddress& address) {
    if (address.is_unspecified()) return;
    hosts.push_back(Endpoint{address, config.sip.udp.port}.to_string());
    if (config.sip.udp.port == 5060) hosts.push_back(address.to_uri_host());
  };
  add(config.sip.udp.address);
  if (config.sip.udp.advertised_address) add(*config.sip.udp.advertised_address);
  return hosts;
}

provider::SessionIdentity identity_of(const ops::GatewayConfig& config, std::string user,
                                      std::vector<std::string> aors, const IpAddress& address) {
  bool trusted = std::any_of(
      config.users.begin(), config.users.end(),
      [&](const ops::UserConfig& known) { return known.name == user && known.trusted; });
  return {std::move(user), std::move(aors), address, trusted};
}

provider::Provider provider_of(const ops::GatewayConfig& gateway,
                               const ops::ProviderConfig& config) {
  provider::Provider out;
  out.name = config.name;
  out.domains = config.domains;
  out.user_agent = config.user_agent;
  out.headers = headers_of(config.headers);
  out.policy.failover_after = config.failover_timeout;
  out.policy.topology_hiding = config.topology_hiding;
  out.policy.follow_redirects = config.redirects == ops::Redirects::follow;
  if (config.session_timer.expires > seconds(0)) {
    out.policy.session_expires = config.session_timer.expires;
  }
  out.policy.dtmf = form_of(config.dtmf);
  out.policy.min_session_expires = config.session_timer.min;
  out.policy.datagram_bytes = config.datagram_bytes.value_or(gateway.sip.udp.datagram_bytes);
  out.transport = config.target.transport_or_default();
  set_registration(out, config.registration);
  if (out.domains.empty()) out.domains.push_back(config.target.host);
  if (auto address = IpAddress::parse(config.target.host)) {
    out.addresses = {Endpoint{*address, config.target.port_or_default()}};
  }
  return out;
}

}  // namespace isthmus::app
