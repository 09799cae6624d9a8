#include "app/user_directory.hpp"

#include "base/limits.hpp"
#include "ops/registrar_config_keys.hpp"

namespace isthmus::app {

UserDirectory::UserDirectory(const ops::GatewayConfig& config,
                             std::unique_ptr<store::UserStore> store)
    : realm_(config.domain), store_(std::move(store)) {
  for (const ops::UserConfig& user : config.users) {
    configured_[user.name] = {user.name, ops::sip_secrets_of(user, realm_), user.aors};
  }
}

std::optional<provider::SipUser> UserDirectory::find_sip_user(std::string_view name) {
  auto configured = configured_.find(name);
  if (configured != configured_.end()) {
    if (configured->second.secrets.empty()) return std::nullopt;
    return configured->second;
  }
  if (!store_) return std::nullopt;
  std::optional<store::StoredUser> stored = store_->find(name);
  // Hashes that were made for another domain fit no password in this one.
  if (!stored || stored->realm != realm_ || stored->secrets.empty()) return std::nullopt;
  return provider::SipUser{stored->name, stored->secrets, stored->aors};
}

bool UserDirectory::has_user(std::string_view name) {
  if (!store_ || name.size() > limits::kUserNameBytes) return false;
  return store_->has_address(name);
}

}  // namespace isthmus::app
