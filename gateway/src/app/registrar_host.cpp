#include "app/registrar_host.hpp"

#include "net/clock.hpp"
#include "ops/registrar_config.hpp"
#include "session/password_hash.hpp"

namespace isthmus::app {

using net::clock_now;
using net::wall_now;

namespace {

std::uint32_t whole(seconds duration) {
  return static_cast<std::uint32_t>(duration.count());
}

provider::Registrar::Config registrar_config(const ops::GatewayConfig& config) {
  const ops::RegistrarConfig& from = config.registrar;
  provider::Registrar::Config out{config.domain};
  out.policy.default_expires_s = whole(from.default_expires);
  out.policy.min_expires_s = whole(from.min_expires);
  out.policy.max_expires_s = whole(from.max_expires);
  out.policy.path = from.path == ops::RegistrarPath::off      ? provider::PathPolicy::off
                    : from.path == ops::RegistrarPath::strict ? provider::PathPolicy::strict
                                                              : provider::PathPolicy::accept;
  out.service_route = from.service_route;
  out.flow_timer_s = whole(from.flow_timer);
  out.max_contacts_per_flow = config.limits.registrations_per_session;
  return out;
}

}  // namespace

RegistrarHost::RegistrarHost(const ops::GatewayConfig& config, const std::string& state_dir,
                             Random& random, ops::Log log)
    : config_(config),
      path_(ops::database_path(config.registrar, state_dir)),
      random_(random),
      log_(std::move(log)) {}

RegistrarHost::~RegistrarHost() {
  stop();
}

std::optional<std::string> RegistrarHost::start(provider::GatewayRouter& router) {
  registrar_ = std::make_unique<provider::Registrar>(
      registrar_config(config_),
      [&router](const sip::Flow& flow, std::string_view user) {
        return router.may_use(flow, user);
      },
      random_);
  registrar_->set_wall_clock(wall_now(), clock_now());
  if (auto fault = open_database()) return fault;
  router.set_user_directory([this](const std::string& user) { return directory_->has_user(user); });
  if (config_.registrar.authentication == ops::RegistrarAuthentication::digest) {
    sip::DigestServer::Config digest{config_.domain, config_.registrar.algorithms,
                                     config_.registrar.nonce_life};
    gate_ = std::make_unique<provider::DigestGate>(
        std::move(digest), *directory_,
        [&router](const sip::Uri& uri) { return router.is_own_host(uri); }, random_);
    registrar_->set_gate(gate_.get());
  }
  return std::nullopt;
}

std::optional<std::string> RegistrarHost::open_database() {
  std::unique_ptr<store::UserStore> sip_users;
  if (!path_.empty()) {
    auto contacts = store::ContactStore::open(path_);
    if (!contacts) return "registrar.database: " + contacts.error().text;
    contacts_ = std::move(*contacts);
    for (std::unique_ptr<store::UserStore>* users : {&link_users_, &sip_users}) {
      auto opened = store::UserStore::open(path_);
      if (!opened) return "registrar.database: " + opened.error().text;
      *users = std::make_unique<store::UserStore>(std::move(*opened));
    }
    std::size_t restored = registrar_->restore(contacts_->take_loaded(), clock_now());
    if (restored > 0) log_.info("registrations_restored", {{"contacts", restored}});
    registrar_->set_store(contacts_.get());
  }
  directory_ = std::make_unique<UserDirectory>(config_, std::move(sip_users));
  return std::nullopt;
}

void RegistrarHost::tick() {
  registrar_->set_wall_clock(wall_now(), clock_now());
  registrar_->expire(clock_now());
  if (!contacts_) return;
  contacts_->flush();
  report_writes();
}

/// A disk that is full stays full for a while: it is told once, and when it is over.
void RegistrarHost::report_writes() {
  store::ContactStore::Report report = contacts_->report();
  if (report.fault && !write_fault_told_) {
    log_.error("registrar_database_not_written",
               {{"problem", *report.fault},
                {"advice", "registrations go on in memory and are written when it works again"}});
  } else if (!report.fault && write_fault_told_) {
    log_.info("registrar_database_written_again", {{"failures", report.failures}});
  }
  write_fault_told_ = report.fault.has_value();
}

void RegistrarHost::stop() {
  if (!contacts_) return;
  contacts_->close();
  report_writes();
  if (registrar_) registrar_->set_store(nullptr);
  contacts_.reset();
}

std::optional<session::Account> RegistrarHost::stored_account(std::string_view name) {
  if (!link_users_) return std::nullopt;
  std::optional<store::StoredUser> user = link_users_->find(name);
  if (!user) return std::nullopt;
  auto hash = session::PasswordHash::parse(user->password_hash);
  if (!hash) return std::nullopt;
  return session::Account{user->name, std::move(*hash), user->aors};
}

void RegistrarHost::collect_metrics(ops::Metrics& metrics) const {
  auto set = [&](const char* name, const char* help, std::uint64_t value) {
    metrics.counter(name, help).set(value);
  };
  if (contacts_) {
    store::ContactStore::Report report = contacts_->report();
    set("isthmus_registrar_writes_total", "Batches of registrations written to the database",
        report.batches - report.failures);
    set("isthmus_registrar_write_failures_total",
        "Batches of registrations that could not be written", report.failures);
  }
  if (!gate_) return;
  const provider::DigestGate::Counters& digest = gate_->counters();
  set("isthmus_digest_challenges_total", "Requests that were challenged", digest.challenged);
  set("isthmus_digest_accepted_total", "SIP passwords that were right", digest.accepted);
  set("isthmus_digest_stale_total", "Right SIP passwords on a nonce that was used up",
      digest.stale);
  set("isthmus_digest_wrong_total", "SIP passwords that were wrong", digest.wrong);
  set("isthmus_digest_limited_total", "Requests refused after too many wrong SIP passwords",
      digest.limited);
  set("isthmus_user_lookup_failures_total", "Look-ups that the users' database did not answer",
      directory_->failures());
}

}  // namespace isthmus::app
