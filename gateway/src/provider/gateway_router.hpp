#pragma once
#include <map>
#include <string>
#include <vector>

#include "call/binding_table.hpp"
#include "call/router.hpp"
#include "provider/enum_cache.hpp"
#include "provider/registrar.hpp"

namespace isthmus::provider {

/// Who stands behind a link.
struct SessionIdentity {
  std::string user;
  std::vector<std::string>
      aors;  ///< user parts it may register and call as in our domain; "*": any
};

/// A provider whose address is known by now.
struct Provider {
  std::string name;
  std::vector<std::string> domains;
  std::vector<Endpoint>
      addresses;  ///< [0] is where requests go; all may send to us. Empty: not resolved yet
  std::string user_agent;  ///< replaces User-Agent in requests to it; empty: as the client says
  call::LegPolicy policy{};
  sip::Transport transport = sip::Transport::udp;
};

/// First match decides; empty fields match anything.
struct RouteRule {
  std::string domain, user_prefix;
  std::string to;  ///< a provider's name, or "local"
};

/// Routing of the gateway: links on one side, providers on the other, the built-in registrar and
/// services between.
///
/// From a link: our own domain goes to services, then registered users; another domain goes by the
/// routes, then to the provider that names it, then to the first provider. From a provider: the
/// Request-URI's token finds the binding of a pass-through registration; else its user part is
/// looked up in the built-in registrar and the services.
class GatewayRouter final : public call::Router {
 public:
  struct Config {
    std::string domain;
    std::string echo_user, tone_user;  ///< empty: service off
    std::vector<RouteRule> routes;
    std::vector<std::string> own_hosts;  ///< "host" and "host:port" that mean this gateway
  };
  GatewayRouter(Config config, call::BindingTable& bindings)
      : config_(std::move(config)), bindings_(bindings) {}

  /// "host" and "host:port" that mean this gateway, known once its sockets are open.
  void set_own_hosts(std::vector<std::string> hosts) { config_.own_hosts = std::move(hosts); }
  void set_registrar(const Registrar* registrar) { registrar_ = registrar; }
  void set_link_policy(const call::LegPolicy& policy) { link_policy_ = policy; }
  void set_providers(std::vector<Provider> providers) { providers_ = std::move(providers); }
  const std::vector<Provider>& providers() const { return providers_; }
  /// Filled by the gateway after an "enum:" lookup, read by routing.
  EnumCache& enum_cache() { return enum_cache_; }
  void add_session(std::uint64_t session, SessionIdentity identity) {
    sessions_[session] = std::move(identity);
  }
  void remove_session(std::uint64_t session) { sessions_.erase(session); }

  call::Route route(const sip::Message& request, const sip::Flow& from, Instant now) override;
  bool follows_targets(const sip::Flow& flow) const override { return !flow.is_link(); }
  std::string owner_of(const sip::Flow& flow) const override;
  call::LegPolicy policy_of(const sip::Flow& flow) const override;
  void dress(sip::Message& message, const sip::Flow& to, const sip::Flow* from) const override;

  /// Whether this session may use a user part of our domain as its own.
  bool may_use(const sip::Flow& flow, std::string_view user) const;
  /// By address and port, else by address alone.
  const Provider* provider_at(const Endpoint& endpoint) const;

 private:
  call::Route route_from_link(const sip::Message& request, const sip::Flow& from, Instant now);
  call::Route route_from_network(const sip::Message& request, Instant now);
  call::Route route_local(const sip::Message& request, const std::string& user, Instant now);
  call::Route to_provider(const Provider& provider) const;
  const Provider* provider_named(std::string_view name) const;
  bool is_own_host(const sip::Uri& uri) const;

  Config config_;
  call::BindingTable& bindings_;
  const Registrar* registrar_ = nullptr;
  call::LegPolicy link_policy_;
  std::vector<Provider> providers_;
  EnumCache enum_cache_;
  std::map<std::uint64_t, SessionIdentity> sessions_;
};

}  // namespace isthmus::provider
