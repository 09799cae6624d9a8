#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "call/binding_table.hpp"
#include "call/router.hpp"
#include "provider/admission.hpp"
#include "provider/enum_cache.hpp"
#include "provider/failover_counts.hpp"
#include "provider/header_policy.hpp"
#include "provider/inbound_user.hpp"
#include "provider/registrar.hpp"
#include "provider/route_rules.hpp"
#include "provider/target_book.hpp"
#include "provider/upstream_registrations.hpp"

namespace isthmus::provider {

/// Who stands behind a link.
struct SessionIdentity {
  std::string user;
  std::vector<std::string>
      aors;  ///< user parts it may register and call as in our domain; "*": any
  std::optional<IpAddress> address{};  ///< that its link comes from
  bool trusted = false;                ///< what it says of identities is believed (RFC 3325 §2.3)
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
  bool registers_itself = false;  ///< the gateway does, by accounts or a trunk; clients do so here
  InboundUser inbound_user = InboundUser::request_uri;  ///< of a trunk
  HeaderPolicy headers{};
};

/// Routing of the gateway: links on one side, providers on the other, the built-in registrar and
/// services between.
///
/// A token of a pass-through registration in a provider's Request-URI finds its device at once. For
/// all else the ordered rules decide (route_rules.hpp). Where none does: our own domain, and
/// whatever a provider sends, goes to services, the number map and registered users; another domain
/// goes to the provider that names it, then to the first provider.
class GatewayRouter final : public call::Router {
 public:
  struct Config {
    std::string domain;
    std::string echo_user, tone_user;  ///< empty: service off
    std::vector<RouteRule> routes{};
    std::vector<std::string> own_hosts{};  ///< "host" and "host:port" that mean this gateway
    std::vector<NumberMapping> numbers{};
    std::vector<std::string> local_users{};  ///< that exist though no device of theirs was seen
    Admission::Config limits{};
    Duration push_wait{};  ///< how long a request waits for a user's device; zero: not at all
  };
  GatewayRouter(Config config, call::BindingTable& bindings)
      : config_(std::move(config)),
        rules_(std::move(config_.routes)),
        admission_(std::move(config_.limits)),
        bindings_(bindings) {}

  /// "host" and "host:port" that mean this gateway, known once its sockets are open.
  void set_own_hosts(std::vector<std::string> hosts) { config_.own_hosts = std::move(hosts); }
  void set_registrar(const Registrar* registrar) { registrar_ = registrar; }
  /// Asked for users of our domain whom neither the configuration nor a session nor a registration
  /// knows. Must not block for long: it is asked for each call to such a name.
  void set_user_directory(std::function<bool(const std::string&)> has_user) {
    directory_has_ = std::move(has_user);
  }
  void set_link_policy(const call::LegPolicy& policy) { link_policy_ = policy; }
  /// What the gateway is known as at its providers; must outlive the router.
  void set_accounts(const UpstreamRegistrations* accounts) { accounts_ = accounts; }
  void set_providers(std::vector<Provider> providers) { providers_ = std::move(providers); }
  const std::vector<Provider>& providers() const { return providers_; }
  /// Where the hosts of the providers come from; without it, requests go to `Provider::addresses`.
  void set_targets(TargetBook* targets) { targets_ = targets; }
  /// Where a provider's requests may come from, by now.
  void set_addresses(std::string_view provider, std::vector<Endpoint> addresses);
  std::vector<sip::Flow> flows_to(std::string_view provider, Instant now) const;
  /// Filled by the gateway after an "enum:" lookup, read by routing.
  EnumCache& enum_cache() { return enum_cache_; }
  void add_session(std::uint64_t session, SessionIdentity identity) {
    sessions_[session] = std::move(identity);
  }
  void remove_session(std::uint64_t session) { sessions_.erase(session); }

  call::Route route(const sip::Message& request, const sip::Flow& from, Instant now) override {
    return decide(request, from, now, nullptr);
  }
  std::optional<call::RouteRejection> admit(const sip::Message& request, const sip::Flow& from,
                                            Instant now) override;
  void on_call(std::uint64_t call, const sip::Flow& caller, const sip::Flow& callee,
               bool over) override;
  const Admission& admission() const { return admission_; }
  /// The same decision, and how it came about.
  call::Route explain(const sip::Message& request, const sip::Flow& from, Instant now,
                      RouteTrace& trace) {
    return decide(request, from, now, &trace);
  }
  bool follows_targets(const sip::Flow& flow) const override { return !flow.is_link(); }
  std::string owner_of(const sip::Flow& flow) const override;
  call::LegPolicy policy_of(const sip::Flow& flow) const override;
  std::optional<call::Credentials> credentials_for(const sip::Flow& to, std::string_view caller_uri,
                                                   const sip::Flow* on_behalf) const override;
  void dress(sip::Message& message, const sip::Flow& to, const sip::Flow* from) const override;
  bool leads_here(std::string_view uri) const override;
  std::vector<sip::Flow> locate(std::string_view uri, const sip::Flow& near, Instant now,
                                std::string& lookup) override;
  void on_outcome(const sip::Flow& to, call::HopOutcome outcome, unsigned retry_after_s,
                  Instant now) override;
  void on_moved(const sip::Flow& from, const sip::Flow& to, call::HopOutcome why) override;
  const FailoverCounts& failovers() const { return failovers_; }

  /// Whether this session may use a user part of our domain as its own.
  bool may_use(const sip::Flow& flow, std::string_view user) const;
  /// Whether the URI's host means this gateway: its domain, or a name or address of its own.
  bool is_own_host(const sip::Uri& uri) const;
  /// By address and port, else by address alone.
  const Provider* provider_at(const Endpoint& endpoint) const;
  /// Whether a provider has that address, which others may have too.
  bool is_host_of(std::string_view provider, const Endpoint& endpoint) const;
  /// By the identity of its TLS connection where it has one, else by where it leads.
  const Provider* provider_of(const sip::Flow& flow) const;
  /// The provider of that domain, if the gateway registers there by itself.
  const Provider* registering_provider(std::string_view domain) const;

 private:
  call::Route decide(const sip::Message& request, const sip::Flow& from, Instant now,
                     RouteTrace* trace);
  HeaderParty party_of(const sip::Flow& flow) const;
  Admission::Owner account_of(const sip::Flow& flow) const;
  RouteSubject subject_of(const sip::Message& request, const sip::Flow& from,
                          const sip::Uri& uri) const;
  /// What is settled before any rule is asked.
  std::optional<call::Route> before_rules(const sip::Message& request, const sip::Flow& from,
                                          const RouteSubject& subject) const;
  call::Route by_rule(const RouteRule& rule, const sip::Message& request,
                      const RouteSubject& subject, Instant now, RouteTrace* trace);
  call::Route without_rule(const sip::Message& request, const RouteSubject& subject, Instant now,
                           RouteTrace* trace);
  call::Route route_local(const sip::Message& request, const std::string& user, Instant now);
  call::Route ring_users(const sip::Message& request, const std::vector<std::string>& users,
                         Instant now);
  bool waits(const sip::Message& request) const;
  bool knows_user(const std::string& user) const;
  call::Route to_provider(const Provider& provider, const RouteSubject& subject, Instant now) const;
  call::Route to_providers(const std::vector<std::string>& names,
                           const std::vector<int>& failover_on, const RouteSubject& subject,
                           Instant now) const;
  const Provider* provider_named(std::string_view name) const;
  std::optional<call::RouteRejection> refuse_account_of_another(const sip::Flow& from,
                                                                const sip::Uri& caller) const;
  const UpstreamAccount* account_for(const Provider& provider, std::string_view caller_uri,
                                     std::optional<std::uint64_t> session) const;
  std::optional<call::RouteRejection> use_account(const Provider& provider,
                                                  const RouteSubject& subject,
                                                  call::RouteTarget& target) const;
  void dress_as_account(sip::Message& request, const Provider& provider) const;
  /// The user or number that a request to an account or trunk of ours is for.
  std::optional<std::string> account_called(const sip::Message& request, const sip::Flow& from,
                                            const sip::Uri& uri) const;

  Config config_;
  RouteRules rules_;
  Admission admission_;
  call::BindingTable& bindings_;
  const Registrar* registrar_ = nullptr;
  std::function<bool(const std::string&)> directory_has_;
  call::LegPolicy link_policy_;
  const UpstreamRegistrations* accounts_ = nullptr;
  std::vector<Provider> providers_;
  TargetBook* targets_ = nullptr;
  FailoverCounts failovers_;
  EnumCache enum_cache_;
  std::map<std::uint64_t, SessionIdentity> sessions_;
};

}  // namespace isthmus::provider
