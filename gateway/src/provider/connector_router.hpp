#pragma once
#include <optional>
#include <string>

#include "call/binding_table.hpp"
#include "call/router.hpp"

namespace isthmus::provider {

/// Routing of the connector: phones on the local network on one side, one link to the gateway on
/// the other. Everything from a phone goes to the link; what comes from the link finds its phone by
/// the token of a binding.
class ConnectorRouter final : public call::Router {
 public:
  /// @param own_hosts "host" and "host:port" of the connector: a phone that has it as registrar
  /// means the gateway's domain.
  ConnectorRouter(std::vector<std::string> own_hosts, call::BindingTable& bindings)
      : own_hosts_(std::move(own_hosts)), bindings_(bindings) {}

  void set_own_hosts(std::vector<std::string> hosts) { own_hosts_ = std::move(hosts); }
  void link_up(std::uint64_t session, std::string sip_domain) {
    session_ = session;
    sip_domain_ = std::move(sip_domain);
  }
  void link_down() { session_.reset(); }

  call::Route route(const sip::Message& request, const sip::Flow& from, Instant now) override;
  bool follows_targets(const sip::Flow&) const override {
    return false;
  }  // phones answer from where they stand
  /// Links are; behind a phone's flow its owner's network ends, whose local policy it is.
  bool is_secure(const sip::Flow&) const override { return true; }
  std::string owner_of(const sip::Flow& flow) const override;
  call::LegPolicy policy_of(const sip::Flow& flow) const override;
  /// Requests to phones above this go by TCP (RFC 3261 §18.1.1); 0: never.
  void set_datagram_bytes(std::size_t bytes) { datagram_bytes_ = bytes; }

 private:
  bool is_own_host(const sip::Uri& uri) const;

  std::vector<std::string> own_hosts_;
  call::BindingTable& bindings_;
  std::optional<std::uint64_t> session_;
  std::string sip_domain_;
  std::size_t datagram_bytes_ = call::LegPolicy{}.datagram_bytes;
};

}  // namespace isthmus::provider
