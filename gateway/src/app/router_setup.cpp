#include "app/router_setup.hpp"

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
  return out;
}

provider::Provider provider_of(const ops::ProviderConfig& config) {
  provider::Provider out;
  out.name = config.name;
  out.domains = config.domains;
  out.user_agent = config.user_agent;
  out.policy.failover_after = config.failover_timeout;
  out.policy.topology_hiding = config.topology_hiding;
  if (out.domains.empty()) out.domains.push_back(config.target.host);
  if (auto address = IpAddress::parse(config.target.host)) {
    out.addresses = {Endpoint{*address, config.target.port_or_default()}};
  }
  return out;
}

}  // namespace isthmus::app
