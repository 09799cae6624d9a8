// GatewayRouter: what changes for providers at which the gateway registers by itself.
#include <algorithm>

#include "base/text.hpp"
#include "provider/gateway_router.hpp"

namespace isthmus::provider {

using call::RouteRejection;
using call::RouteTarget;

namespace {

bool belongs_to(const Provider& provider, std::string_view host) {
  return std::any_of(provider.domains.begin(), provider.domains.end(),
                     [&](const std::string& domain) { return iequals(domain, host); });
}

}  // namespace

const Provider* GatewayRouter::registering_provider(std::string_view domain) const {
  for (const Provider& provider : providers_) {
    if (provider.registers_itself && belongs_to(provider, domain)) return &provider;
  }
  return nullptr;
}

/// Names of accounts are their users' own, as addresses of our domain are.
std::optional<RouteRejection> GatewayRouter::refuse_account_of_another(
    const sip::Flow& from, const sip::Uri& caller) const {
  const Provider* provider = accounts_ ? registering_provider(caller.host) : nullptr;
  if (!provider) return std::nullopt;
  const UpstreamAccount* account = accounts_->find(provider->name, caller.decoded_user());
  std::string owner = account && !account->trunk() ? account->aor : caller.decoded_user();
  if (may_use(from, owner)) return std::nullopt;
  return RouteRejection{403, "From is not an account of this session"};
}

/// Requests from a link to a provider with accounts go by the account of their From address: one of
/// our domain or of the provider's, which were both checked against the session.
std::optional<RouteRejection> GatewayRouter::use_account(const Provider& provider,
                                                         std::string_view caller_uri,
                                                         RouteTarget& target) const {
  if (!accounts_ || !provider.registers_itself) return std::nullopt;
  Result<sip::Uri, sip::Fault> caller = sip::Uri::parse(caller_uri);
  bool ours = caller && (is_own_host(*caller) || belongs_to(provider, caller->host));
  const UpstreamAccount* account =
      accounts_->find(provider.name, ours ? caller->decoded_user() : std::string());
  if (!account) return RouteRejection{403, "The caller has no account at " + provider.name};
  std::string route;  // RFC 3608 §5
  for (const std::string& hop : accounts_->service_route(*account))
    route += (route.empty() ? "" : ", ") + hop;
  if (route.empty()) return std::nullopt;
  target.headers.emplace_back("Route", route);
  for (RouteTarget& other : target.alternatives) other.headers.emplace_back("Route", route);
  return std::nullopt;
}

/// From as the provider knows its account.
void GatewayRouter::dress_as_account(sip::Message& request, const Provider& provider) const {
  if (!accounts_ || !provider.registers_itself) return;
  Result<sip::NameAddr, sip::Fault> from = request.from();
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(from ? from->uri : std::string());
  if (!uri || !(is_own_host(*uri) || belongs_to(provider, uri->host))) return;
  const UpstreamAccount* account = accounts_->find(provider.name, uri->decoded_user());
  if (!account || account->trunk() || account->client_from) return;
  from->uri = "sip:" + account->user + "@" + account->domain;
  request.set(sip::HeaderId::from, from->to_string());
}

std::optional<std::string> GatewayRouter::account_called(const sip::Message& request,
                                                         const sip::Flow& from,
                                                         const sip::Uri& uri) const {
  const Provider* provider = accounts_ ? provider_at(from.remote) : nullptr;
  if (!provider || !provider->registers_itself) return std::nullopt;
  const UpstreamAccount* account = accounts_->by_contact(provider->name, uri.decoded_user());
  if (account && !account->trunk()) return account->aor;
  const UpstreamAccount* trunk = accounts_->find(provider->name, {});
  if (!trunk) return std::nullopt;
  return inbound_user(request, provider->inbound_user, trunk->contact_user);
}

std::optional<call::Credentials> GatewayRouter::credentials_for(const sip::Flow& to,
                                                                std::string_view user) const {
  const Provider* provider = accounts_ && !to.is_link() ? provider_at(to.remote) : nullptr;
  if (!provider) return std::nullopt;
  const UpstreamAccount* account = accounts_->find(provider->name, user);
  if (!account || account->password.empty()) return std::nullopt;
  return call::Credentials{account->auth_user, account->password};
}

}  // namespace isthmus::provider
