#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ops/config.hpp"
#include "provider/digest_gate.hpp"
#include "store/user_store.hpp"

namespace isthmus::app {

/// SIP users: those of the configuration, then those of the database, as they are at that moment.
class UserDirectory final : public provider::SipUserDirectory {
 public:
  /// @param store  null: there is no database
  UserDirectory(const ops::GatewayConfig& config, std::unique_ptr<store::UserStore> store);

  std::optional<provider::SipUser> find_sip_user(std::string_view name) override;
  /// Whether the database holds a user of that name or address; those of the configuration are
  /// known without it. Reads the whole table, so ask it last.
  bool has_user(std::string_view name);
  /// Look-ups that the database did not answer.
  std::uint64_t failures() const { return store_ ? store_->failures() : 0; }

 private:
  std::string realm_;
  std::map<std::string, provider::SipUser, std::less<>> configured_;
  std::unique_ptr<store::UserStore> store_;
};

}  // namespace isthmus::app
