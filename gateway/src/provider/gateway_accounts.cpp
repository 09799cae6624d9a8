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

/// The account by which requests of a caller go to that provider: that of the From address, if it
/// is one of our domain or of the provider's, which were both checked against the session. A From
/// that is anonymous (RFC 3323 §4.1.1.3), or names somebody elsewhere, says nothing of whose
/// account it is; then it is the session's own: of its user, or of the first of its addresses that
/// has one. Null: none, and no trunk.
const UpstreamAccount* GatewayRouter::account_for(const Provider& provider,
                                                  std::string_view caller_uri,
                                                  std::optional<std::uint64_t> session) const {
  if (!accounts_) return nullptr;
  Result<sip::Uri, sip::Fault> caller = sip::Uri::parse(caller_uri);
  bool ours = caller && (is_own_host(*caller) || belongs_to(provider, caller->host));
  const UpstreamAccount* account =
      accounts_->find(provider.name, ours ? caller->decoded_user() : std::string());
  if (account && !account->trunk()) return account;
  auto identity = session ? sessions_.find(*session) : sessions_.end();
  if (identity == sessions_.end()) return account;
  const SessionIdentity& who = identity->second;
  auto own = [&](const std::string& aor) {
    const UpstreamAccount* found = accounts_->find(provider.name, aor);
    return found && found->aor == aor ? found : nullptr;
  };
  if (may_use(sip::Flow::link(*session), who.user)) {
    if (const UpstreamAccount* found = own(who.user)) return found;
  }
  for (const std::string& aor : who.aors) {
    if (const UpstreamAccount* found = aor.empty() ? nullptr : own(aor)) return found;
  }
  return account;
}

std::optional<RouteRejection> GatewayRouter::use_account(const Provider& provider,
                                                         const RouteSubject& subject,
                                                         RouteTarget& target) const {
  if (!accounts_ || !provider.registers_itself) return std::nullopt;
  const UpstreamAccount* account = account_for(provider, subject.from.uri, subject.session);
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
  const Provider* provider = accounts_ ? provider_of(from) : nullptr;
  if (!provider || !provider->registers_itself) return std::nullopt;
  const UpstreamAccount* account = accounts_->by_contact(provider->name, uri.decoded_user());
  if (account && !account->trunk()) return account->aor;
  const UpstreamAccount* trunk = accounts_->find(provider->name, {});
  if (!trunk) return std::nullopt;
  return inbound_user(request, provider->inbound_user, trunk->contact_user);
}

std::optional<call::Credentials> GatewayRouter::credentials_for(const sip::Flow& to,
                                                                std::string_view caller_uri,
                                                                const sip::Flow* on_behalf) const {
  const Provider* provider = accounts_ && !to.is_link() ? provider_of(to) : nullptr;
  if (!provider) return std::nullopt;
  std::optional<std::uint64_t> session;
  if (on_behalf && on_behalf->is_link()) session = on_behalf->session;
  const UpstreamAccount* account = account_for(*provider, caller_uri, session);
  if (!account || account->password.empty()) return std::nullopt;
  return call::Credentials{account->auth_user, account->password};
}

}  // namespace isthmus::provider
