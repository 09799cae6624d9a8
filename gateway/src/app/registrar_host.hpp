#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "app/user_directory.hpp"
#include "base/random.hpp"
#include "ops/config.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"
#include "provider/digest_gate.hpp"
#include "provider/gateway_router.hpp"
#include "provider/registrar.hpp"
#include "session/authenticator.hpp"
#include "store/contact_store.hpp"
#include "store/user_store.hpp"

namespace isthmus::app {

/// The gateway's own domain: the built-in registrar with its database, its users and their SIP
/// passwords. Of the gateway's thread, but for stored_account().
class RegistrarHost {
 public:
  RegistrarHost(const ops::GatewayConfig& config, const std::string& state_dir, Random& random,
                ops::Log log);
  ~RegistrarHost();
  RegistrarHost(const RegistrarHost&) = delete;
  RegistrarHost& operator=(const RegistrarHost&) = delete;

  /// Opens the database and takes over the contacts of the last run. @param router must outlive
  /// this.
  /// @return what failed, naming the key and the file
  std::optional<std::string> start(provider::GatewayRouter& router);
  provider::Registrar& registrar() { return *registrar_; }
  const provider::Registrar& registrar() const { return *registrar_; }
  /// About once a second: expiries, the wall clock, and what is to be written.
  void tick();
  /// Writes what is not written yet, and waits for it.
  void stop();
  void collect_metrics(ops::Metrics& metrics) const;

  /// Account of a user of the database who may open links. From one other thread.
  std::optional<session::Account> stored_account(std::string_view name);

 private:
  std::optional<std::string> open_database();
  void report_writes();

  const ops::GatewayConfig& config_;
  std::string path_;  ///< of the database; empty: none
  Random& random_;
  ops::Log log_;
  std::unique_ptr<store::ContactStore> contacts_;
  std::unique_ptr<store::UserStore> link_users_;  ///< of the thread that judges passwords
  std::unique_ptr<UserDirectory> directory_;
  std::unique_ptr<provider::DigestGate> gate_;
  std::unique_ptr<provider::Registrar> registrar_;
  bool write_fault_told_ = false;
};

}  // namespace isthmus::app
