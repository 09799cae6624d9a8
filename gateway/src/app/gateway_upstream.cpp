// Gateway: as what it is known at its providers.
#include <unordered_set>

#include "app/gateway.hpp"
#include "app/state_secret.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace {

provider::RegisterWhen when_of(ops::RegisterWhen when) {
  switch (when) {
    case ops::RegisterWhen::always:
      return provider::RegisterWhen::always;
    case ops::RegisterWhen::none:
      return provider::RegisterWhen::never;
    case ops::RegisterWhen::when_present:
      break;
  }
  return provider::RegisterWhen::when_present;
}

/// A UUID of version 4 (RFC 4122 §4.4) that stays the same across restarts (RFC 5626 §4.1).
std::string instance_urn(const Bytes& secret) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text = "urn:uuid:";
  for (std::size_t i = 0; i < 16; ++i) {
    std::uint8_t byte = i < secret.size() ? secret[i] : std::uint8_t{0};
    if (i == 6) byte = static_cast<std::uint8_t>((byte & 0x0f) | 0x40);
    if (i == 8) byte = static_cast<std::uint8_t>((byte & 0x3f) | 0x80);
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace

void Gateway::add_accounts() {
  for (const ops::ProviderConfig& provider : config_.providers) {
    const ops::RegistrationConfig& config = provider.registration;
    if (config.mode == ops::RegistrationMode::passthrough) continue;
    bool trunk = config.mode == ops::RegistrationMode::trunk;
    std::string instance;
    if (config.outbound)
      instance = instance_urn(load_or_make_secret(state_dir_, "instance-id", random_));
    auto add = [&](const ops::ProviderAccountConfig& account) {
      provider::UpstreamAccount entry;
      entry.provider = provider.name;
      entry.domain = config.domain;
      entry.user = account.user;
      entry.auth_user = account.auth_user;
      entry.password = account.password.reveal();
      // Does not change with restarts, so that the provider's old binding is replaced.
      entry.contact_user = account.contact_user.empty()
                               ? bindings_.token_for("upstream", provider.name, account.user)
                               : account.contact_user;
      if (!trunk) entry.aor = account.aor;
      entry.when = when_of(config.when);
      entry.expires_s = static_cast<std::uint32_t>(config.register_expires.count());
      entry.instance = instance;
      entry.client_from = config.from == ops::AccountFrom::client;
      upstream_.add(std::move(entry));
    };
    if (trunk) add(config.trunk);
    for (const ops::ProviderAccountConfig& account : config.accounts) add(account);
  }
  router_->set_accounts(&upstream_.registrations());
  account_registrar_ = std::make_unique<provider::AccountRegistrar>(
      config_.domain, *registrar_, upstream_.registrations(),
      [this](std::string_view domain) {
        const provider::Provider* found = router_->registering_provider(domain);
        return found ? found->name : std::string();
      },
      random_);
}

void Gateway::start_upstream() {
  targets_.on_host_back = [this](const std::string& provider) {
    host_.bridge().renew_registrations(provider);
    upstream_.renew(provider);
  };
  upstream_.start(
      [this](const std::string& name) { return router_->flows_to(name, net::clock_now()); },
      [this](const std::string& name, const Endpoint& address) {
        return router_->is_host_of(name, address) && serves(address);
      });
}

void Gateway::tick_upstream() {
  std::unordered_set<std::string_view> with_session;
  for (const auto& [id, session] : sessions_) {
    if (!session->established()) continue;
    with_session.insert(session->identity().user);
    for (const std::string& aor : session->identity().aors) with_session.insert(aor);
  }
  upstream_.tick([&](const std::string& user) {
    return with_session.contains(user) || !registrar_->lookup(user, net::clock_now()).empty();
  });
}

}  // namespace isthmus::app
