#include "app/gateway.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "app/key_log.hpp"
#include "app/router_setup.hpp"
#include "app/state_secret.hpp"
#include "app/version.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace asio = boost::asio;
using net::clock_now;
using net::wall_now;

namespace {

std::vector<session::Account> accounts_of(const ops::GatewayConfig& config) {
  std::vector<session::Account> accounts;
  for (const ops::UserConfig& user : config.users) {
    if (auto hash = session::PasswordHash::parse(user.password_hash)) {
      accounts.push_back({user.name, *hash, user.aors});
    }
  }
  return accounts;
}

session::TokenVerifier verifier_of(const ops::TokensConfig& tokens) {
  if (!tokens.enabled()) return {};
  session::TokenVerifier::Policy policy;
  policy.issuer = tokens.issuer;
  policy.audience = tokens.audience;
  policy.leeway = tokens.leeway;
  for (const ops::Secret& secret : tokens.hmac_secrets) {
    policy.hmac_keys.push_back({to_bytes(as_bytes(secret.reveal()))});
  }
  for (const std::string& key : tokens.ed25519_public_keys) {
    policy.ed25519_keys.push_back({to_bytes(as_bytes(key))});
  }
  return session::TokenVerifier(std::move(policy));
}

/// Whom the SIP socket will mostly speak to, by which our own address is found. Names of providers
/// are not resolved yet when the socket opens; they are taken to lie where the default route leads,
/// for which an address that no one has stands (RFC 5737).
std::optional<Endpoint> toward_providers(const std::vector<ops::ProviderConfig>& providers) {
  for (const ops::ProviderConfig& provider : providers) {
    if (auto address = IpAddress::parse(provider.target.host)) {
      return Endpoint{*address, provider.target.port_or_default()};
    }
  }
  if (providers.empty()) return std::nullopt;
  return Endpoint{IpAddress::v4(0xC0000201), 5060};
}

BridgeHostOptions host_options(const ops::GatewayConfig& config) {
  BridgeHostOptions options;
  options.sip = config.sip;
  options.media = config.media;
  options.timers = config.timers;
  options.link_host = kLinkHost;
  options.max_calls = config.limits.calls;
  options.max_calls_per_session = config.limits.calls_per_session;
  options.max_bindings_per_session = config.limits.registrations_per_session;
  options.toward = toward_providers(config.providers);
  return options;
}

}  // namespace

Gateway::Gateway(asio::io_context& io, ops::GatewayConfig config, std::string state_dir,
                 ops::Log log)
    : io_(io),
      config_(std::move(config)),
      state_dir_(std::move(state_dir)),
      log_(std::move(log)),
      started_(clock_now()),
      bindings_(load_or_make_secret(state_dir_, "contact-key", random_)),
      registrar_host_(config_, state_dir_, random_, log_),
      host_(io, host_options(config_), random_, log_, metrics_),
      upstream_(io, host_, log_, random_),
      strangers_(config_.limits.stranger_answers),
      authenticator_(
          accounts_of(config_), verifier_of(config_.tokens),
          [this](std::string_view user) { return registrar_host_.stored_account(user); }),
      targets_(io, config_, host_, random_, log_, metrics_),
      drain_timer_(io) {}

Gateway::~Gateway() {
  password_thread_.join();
}

std::vector<std::string> Gateway::start() {
  std::vector<std::string> faults;
  router_ = std::make_unique<provider::GatewayRouter>(router_config(config_), bindings_);
  if (auto fault = registrar_host_.start(*router_)) faults.push_back(*fault);
  registrar_ = &registrar_host_.registrar();
  router_->set_registrar(registrar_);
  // Also when a link comes back with all its devices, which name no user.
  registrar_->on_available = [this](std::string_view user) {
    user_available_soon(std::string(user));
  };
  call::LegPolicy link_policy;
  link_policy.topology_hiding = config_.links.topology_hiding;
  router_->set_link_policy(link_policy);
  add_accounts();
  auto fault = host_.start(*router_, bindings_, account_registrar_.get(),
                           [this](const Endpoint& source) { return serves(source); });
  if (fault) {
    faults.push_back(*fault);
  } else {
    router_->set_own_hosts(host_.own_hosts());
    host_.on_tick = [this] { on_tick(); };
    host_.on_stranger = [this](const Endpoint& source, bool connection) {
      return on_stranger(source, connection);
    };
  }
  std::vector<provider::Provider> providers;
  for (const ops::ProviderConfig& provider : config_.providers) {
    if (auto wrong = transport::SipStream::check(tls_peer_of(provider))) {
      faults.push_back("provider " + provider.name + ": " + *wrong);
    }
    providers.push_back(provider_of(config_, provider));
  }
  router_->set_providers(std::move(providers));
  open_listeners(faults);
  open_push(faults);
  open_admin(faults);
  if (!fault) {
    if (auto problem = targets_.start(*router_)) faults.push_back(*problem);
  }
  if (!faults.empty()) return faults;
  start_upstream();
  metrics_.before_scrape([this] { collect_metrics(); });
  serving_ = true;
  listeners_->run();
  const auto udp = listeners_->udp_local();
  log_.info("serving", {{"version", kVersion},
                        {"websocket", listeners_->local().to_string()},
                        {"udp", udp ? udp->to_string() : "off"},
                        {"shards", config_.links.shards},
                        {"sip_udp", host_.sip_address().to_string()},
                        {"domain", config_.domain},
                        {"providers", config_.providers.size()}});
  return faults;
}

void Gateway::open_listeners(std::vector<std::string>& faults) {
  link::ClientListenersOptions options;
  options.shards = config_.links.shards;
  link::ListenerOptions& websocket = options.websocket;
  websocket.bind = {config_.websocket.address, config_.websocket.port};
  websocket.certificate.chain_file = config_.websocket.certificate;
  websocket.certificate.key_file = config_.websocket.private_key;
  websocket.certificate.state_directory = state_dir_;
  websocket.certificate.names = config_.websocket.names;
  websocket.max_connections = config_.websocket.max_connections;
  websocket.key_log = config_.websocket.key_log;
  if (websocket.key_log) warn_of_key_log(log_);
  if (config_.udp_link.enabled) {
    options.udp = udp_options();
    options.udp_port = config_.udp_link.port;
  }
  auto opened = link::ClientListeners::open(
      io_, std::move(options),
      [this](std::unique_ptr<wire::Link> link) { on_link(std::move(link)); });
  if (!opened) {
    faults.push_back("listen.websocket: " + opened.error().text);
    return;
  }
  listeners_ = std::move(*opened);
  log_certificate(listeners_->certificate());
  const auto& udp_fault = listeners_->udp_fault();
  if (!udp_fault) return;
  if (config_.udp_link.port) {
    faults.push_back("listen.udp: " + *udp_fault);
  } else {
    log_.warning("udp_links_off",
                 {{"problem", *udp_fault},
                  {"advice", "set listen.udp.port, or listen.udp.enabled to false"}});
  }
}

void Gateway::log_certificate(const link::CertificateReport& report) {
  for (const std::string& warning : report.warnings)
    log_.warning("certificate", {{"problem", warning}});
  if (!report.self_signed) return;
  log_.warning(
      "certificate_self_signed",
      {{"made_now", report.made_now},
       {"pin", report.pin},
       {"advice",
        "clients must be given this pin; set listen.websocket.certificate for a real one"}});
}

void Gateway::open_push(std::vector<std::string>& faults) {
  if (config_.push.url.empty()) return;
  std::string fault;
  push_ = PushWebhook::make(io_, config_.push, config_.domain, log_, metrics_, fault);
  if (!push_) {
    faults.push_back(fault);
    return;
  }
  host_.on_wake = [this](const call::WakeUser& wake) { push_->wake(wake, clock_now()); };
}

bool Gateway::on_stranger(const Endpoint& source, bool connection) {
  provider::StrangerTable::Verdict verdict =
      strangers_.on_packet(source.address, clock_now(), !connection);
  if (verdict.log) {
    log_.warning("sip_stranger",
                 {{"remote", source},
                  {"by", connection ? "connection" : "datagram"},
                  {"refused", verdict.refused},
                  {"advice", "no provider has this address; see providers[].addresses"}});
  }
  return verdict.answer;
}

void Gateway::user_available_soon(const std::string& user) {
  if (config_.push.wait == seconds(0)) return;
  asio::post(io_, [this, user] {
    if (serving_) host_.user_available(user);
  });
}

void Gateway::open_admin(std::vector<std::string>& faults) {
  if (config_.admin.port == 0) return;
  admin_ = std::make_unique<ops::AdminServer>(io_.get_executor(), *this, metrics_, log_);
  auto port = admin_->listen(config_.admin.address, config_.admin.port);
  if (!port) faults.push_back("admin: " + port.error().text);
}

bool Gateway::serves(const Endpoint& source) const {
  if (router_->provider_at(source)) return true;
  for (const ops::ProviderConfig& provider : config_.providers) {
    for (const ops::Network& network : provider.addresses) {
      if (network.contains(source.address)) return true;
    }
  }
  return false;
}

void Gateway::on_link(std::unique_ptr<wire::Link> link) {
  if (!serving_ && !draining()) return;
  std::uint64_t id = next_session_++;
  auto session = std::make_unique<LinkSession>(io_, id, std::move(link), *this);
  LinkSession& started = *session;
  sessions_.emplace(id, std::move(session));
  started.start();
}

void Gateway::on_hello(LinkSession& session, const wire::HelloInfo& hello) {
  if (const auto* token = std::get_if<wire::ResumeCredentials>(&hello.credentials)) {
    return resume(session, *token);
  }
  if (draining()) {
    session.reject(wire::CloseCode::going_away, kShuttingDown, 2);
    return;
  }
  if (refuse_if_full(session)) return;
  const auto* password = std::get_if<wire::PasswordCredentials>(&hello.credentials);
  std::string user = password ? password->user : std::string();
  if (auto wait = guard_.begin(session.remote().address, user, clock_now())) {
    ++sessions_refused_;
    auto seconds_left = std::chrono::ceil<seconds>(*wait).count();
    session.reject(wire::CloseCode::limit_exceeded, "Too many failed attempts",
                   static_cast<std::uint32_t>(seconds_left));
    return;
  }
  if (password) {
    judge_password(session.id(), *password);
    return;
  }
  auto judged = authenticator_.with_token(std::get<wire::TokenCredentials>(hello.credentials).token,
                                          wall_now());
  if (judged) {
    guard_.succeeded(session.remote().address, {});
    admit(session, std::move(*judged));
  } else {
    refuse(session, judged.error());
  }
}

/// Links that have not said who they are do not count: their number and life have limits of their
/// own, and strangers must not keep users out.
bool Gateway::refuse_if_full(LinkSession& session) {
  if (admitted_ < config_.limits.sessions) return false;
  ++sessions_refused_;
  session.reject(wire::CloseCode::limit_exceeded, "Too many sessions on this gateway", 30);
  return true;
}

/// scrypt takes a tenth of a second: calls must not wait for it.
void Gateway::judge_password(std::uint64_t id, wire::PasswordCredentials credentials) {
  asio::post(password_thread_, [this, id, credentials = std::move(credentials)] {
    auto judged = authenticator_.with_password(credentials.user, credentials.password);
    asio::post(io_, [this, id, judged = std::move(judged), user = credentials.user]() mutable {
      auto found = sessions_.find(id);
      if (found == sessions_.end() || found->second->over()) return;  // it left meanwhile
      if (judged) {
        guard_.succeeded(found->second->remote().address, user);
        admit(*found->second, std::move(*judged));
      } else {
        refuse(*found->second, judged.error());
      }
    });
  });
}

void Gateway::admit(LinkSession& session, session::Identity identity) {
  if (refuse_if_full(session)) return;  // others came while its password was judged
  ++admitted_;
  wire::WelcomeInfo welcome = welcome_for(session, session, identity.user);
  if (config_.links.resume_window > seconds(0)) {
    welcome.resume_token = resume_tokens_.issue({session.id(), wire::ResumeGenerations::kFirst});
  }
  end_orphans(identity, session.instance());
  ++sessions_opened_;
  log_.with({{"session", session.id()}})
      .info("session_established", {{"user", ops::Personal{identity.user}},
                                    {"remote", session.remote()},
                                    {"software", session.software()}});
  router_->add_session(
      session.id(), identity_of(config_, identity.user, identity.aors, session.remote().address));
  host_.session_opened(session.id(), session);
  if (!session.instance().empty()) {
    sip::Flow flow = sip::Flow::link(session.id());
    bindings_.reattach(identity.user, session.instance(), flow);
    registrar_->reattach(session.instance(), flow);
  }
  std::vector<std::string> users = identity.aors;
  users.push_back(identity.user);
  session.accept(std::move(welcome), std::move(identity));
  for (const std::string& user : users) user_available_soon(user);
}

void Gateway::refuse(LinkSession& session, const session::AuthError& error) {
  ++auth_failures_;
  log_.warning("authentication_failed", {{"remote", session.remote()}, {"why", error.text}});
  bool expired = error.token && *error.token == session::TokenFault::expired;
  session.reject(expired ? wire::CloseCode::credentials_expired : wire::CloseCode::unauthorized,
                 error.text, 0);
}

void Gateway::on_sip(LinkSession& session, std::string message) {
  host_.on_link_sip(session.id(), message);
}

void Gateway::on_media(LinkSession& session, std::uint32_t channel, ByteView bytes) {
  host_.on_link_media(session.id(), channel, bytes);
}

void Gateway::on_tick() {
  registrar_host_.tick();
  if (serving_) tick_upstream();
}

void Gateway::reload_certificates() {
  const link::CertificateReload reload = listeners_->reload_certificates();
  if (reload.report) {
    log_.info("certificate_reloaded", {{"pin", reload.report->pin}});
    log_certificate(*reload.report);
  }
  for (const std::string& fault : reload.faults) {
    log_.error("certificate_not_reloaded", {{"problem", fault}});
  }
  if (auto wrong = host_.reload_certificates()) {
    log_.error("certificate_not_reloaded", {{"problem", "sip.tls: " + *wrong}});
  }
}

std::uint16_t Gateway::websocket_port() const {
  return listeners_->local().port;
}
std::string Gateway::self_signed_pin() const {
  const link::CertificateReport& report = listeners_->certificate();
  return report.self_signed ? report.pin : std::string();
}

}  // namespace isthmus::app
