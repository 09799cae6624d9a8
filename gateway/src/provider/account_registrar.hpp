#pragma once
#include <functional>
#include <optional>
#include <string>

#include "call/bridge.hpp"
#include "provider/upstream_registrations.hpp"

namespace isthmus::provider {

/// Answers REGISTERs of clients for the domain of a provider at which this gateway registers by
/// itself: the client's device is taken into the built-in registrar as that account's user, and
/// calls of the account find it there. REGISTERs for our own domain pass as they are. Pure.
class AccountRegistrar final : public call::RegisterHandler {
 public:
  /// @param provider_of  name of the provider that a domain belongs to; empty: none
  AccountRegistrar(std::string domain, call::RegisterHandler& registrar,
                   const UpstreamRegistrations& accounts,
                   std::function<std::string(std::string_view domain)> provider_of, Random& random)
      : domain_(std::move(domain)),
        registrar_(registrar),
        accounts_(accounts),
        provider_of_(std::move(provider_of)),
        random_(random) {}

  sip::Message on_register(const sip::Message& request, const sip::Flow& flow,
                           Instant now) override;
  std::optional<sip::Message> challenge(sip::Message& request, const sip::Flow& flow,
                                        Instant now) override {
    return registrar_.challenge(request, flow, now);
  }

 private:
  std::string domain_;
  call::RegisterHandler& registrar_;
  const UpstreamRegistrations& accounts_;
  std::function<std::string(std::string_view)> provider_of_;
  Random& random_;
};

}  // namespace isthmus::provider
