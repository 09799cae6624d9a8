#include "ops/config_checks.hpp"

#include <map>
#include <set>

#include "base/text.hpp"
#include "ops/config_registration.hpp"
#include "ops/registrar_config_keys.hpp"
#include "ops/routing_config_keys.hpp"
#include "ops/sip_config_keys.hpp"

namespace isthmus::ops {
namespace {

std::string at(const char* list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

std::string in_quotes(const std::string& text) {
  return "\"" + text + "\"";
}

void check_certificate(CheckSink& sink) {
  bool certificate = sink.given("listen.websocket.certificate");
  bool key = sink.given("listen.websocket.private_key");
  if (certificate && !key) {
    sink.fault("listen.websocket.certificate", "has no listen.websocket.private_key beside it",
               "both or none");
  }
  if (key && !certificate) {
    sink.fault("listen.websocket.private_key", "has no listen.websocket.certificate beside it",
               "both or none");
  }
}

void check_users(GatewayConfig& config, CheckSink& sink) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.users.size(); ++i) {
    UserConfig& user = config.users[i];
    if (!user.name.empty() && !names.insert(user.name).second) {
      sink.fault(at("users", i) + ".name", "is " + in_quotes(user.name) + ", as of another user",
                 "a name of its own");
    }
    check_sip_secrets(at("users", i), sink);
    if (!sink.given(at("users", i) + ".aors")) user.aors = {user.name};
    if (!sink.given(at("users", i) + ".limits")) user.limits = config.limits.user;
    for (const std::string& aor : user.aors) {
      bool taken = (config.services.echo && aor == config.services.echo_user) ||
                   (config.services.tone && aor == config.services.tone_user);
      if (!taken) continue;
      std::string key = at("users", i) + (sink.given(at("users", i) + ".aors") ? ".aors" : ".name");
      sink.fault(key, "is " + in_quotes(aor) + ", which a service answers",
                 "another name, or another one in services");
    }
  }
}

void check_services(const ServicesConfig& services, CheckSink& sink) {
  if (services.echo && services.tone && services.echo_user == services.tone_user) {
    sink.fault("services.tone_user",
               "is " + in_quotes(services.tone_user) + ", as services.echo_user",
               "a name of its own");
  }
}

void check_tokens(const TokensConfig& tokens, CheckSink& sink) {
  bool described = sink.given("tokens.issuer") || sink.given("tokens.audience");
  bool keys_given = sink.given("tokens.hmac_secrets") || sink.given("tokens.ed25519_public_keys");
  if (described && !keys_given && !tokens.enabled()) {
    sink.fault("tokens", "has no key to verify tokens with",
               "tokens.hmac_secrets or tokens.ed25519_public_keys");
  }
}

void check_providers(GatewayConfig& config, CheckSink& sink) {
  std::set<std::string> names;
  std::map<std::string, std::string> domains;
  for (std::size_t i = 0; i < config.providers.size(); ++i) {
    ProviderConfig& provider = config.providers[i];
    if (!sink.given(at("providers", i) + ".limits")) provider.limits = config.limits.provider;
    check_registration(provider, at("providers", i), sink);
    check_provider_transport(provider, at("providers", i), sink);
    const SessionTimerConfig& timer = provider.session_timer;
    if (timer.expires > seconds(0) && timer.expires < timer.min) {
      sink.fault(at("providers", i) + ".session_timer.expires_s",
                 "is shorter than min_s, " + std::to_string(timer.min.count()),
                 "min_s or more, or 0");
    }
    if (provider.name == "local" || provider.name == "links" || provider.name == "providers") {
      sink.fault(at("providers", i) + ".name",
                 "is " + in_quotes(provider.name) + ", which means something else in routes",
                 "another name");
    } else if (!provider.name.empty() && !names.insert(provider.name).second) {
      sink.fault(at("providers", i) + ".name",
                 "is " + in_quotes(provider.name) + ", as of another provider",
                 "a name of its own");
    }
    for (const std::string& domain : provider.domains) {
      std::string key = at("providers", i) + ".domains";
      if (iequals(domain, config.domain)) {
        sink.fault(key, "holds " + in_quotes(domain) + ", the gateway's own domain",
                   "the provider's domains");
      } else if (!domains.emplace(to_lower(domain), provider.name).second) {
        sink.fault(key, "holds " + in_quotes(domain) + ", which belongs to a provider already",
                   "each domain once");
      }
    }
  }
}

void check_credentials(CheckSink& sink) {
  auto both = [&](const std::string& a, const std::string& b) {
    if (!sink.given(a) || !sink.given(b)) return;
    sink.fault(b, "is given beside " + a, "one of the two");
  };
  both("gateway.password", "gateway.password_file");
  both("gateway.token", "gateway.token_file");
  bool token = sink.given("gateway.token") || sink.given("gateway.token_file");
  bool password = sink.given("gateway.password") || sink.given("gateway.password_file");
  bool user = sink.given("gateway.user");
  if (token && (user || password)) {
    sink.fault("gateway", "has a token and a user or password", "one kind of credentials");
  } else if (!token && user != password) {
    sink.fault("gateway", user ? "has a user without a password" : "has a password without a user",
               "user with password or password_file, or token or token_file");
  } else if (!token && !user) {
    sink.fault("gateway", "has no credentials",
               "user with password or password_file, or token or token_file");
  }
}

}  // namespace

void check(GatewayConfig& config, CheckSink& sink) {
  check_certificate(sink);
  check_sip(config.sip, config.media, sink);
  check_users(config, sink);
  check_services(config.services, sink);
  check_registrar(config, sink);
  check_tokens(config.tokens, sink);
  check_providers(config, sink);
  check_routing(config, sink);
}

void check(ConnectorConfig& config, CheckSink& sink) {
  check_credentials(sink);
  int ways = (sink.given("gateway.trust.ca_file") ? 1 : 0) +
             (sink.given("gateway.trust.pin") ? 1 : 0) + (config.gateway.trust.insecure ? 1 : 0);
  if (ways > 1) {
    sink.fault("gateway.trust", "says several things", "one of ca_file, pin and insecure");
  }
  check_sip(config.sip, config.media, sink);
}

}  // namespace isthmus::ops
