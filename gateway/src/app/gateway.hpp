#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/bridge_host.hpp"
#include "app/link_session.hpp"
#include "app/provider_targets.hpp"
#include "app/push_webhook.hpp"
#include "app/registrar_host.hpp"
#include "app/upstream_driver.hpp"
#include "link/client_listeners.hpp"
#include "net/system_random.hpp"
#include "ops/admin_http.hpp"
#include "ops/config.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"
#include "provider/account_registrar.hpp"
#include "provider/admission.hpp"
#include "provider/gateway_router.hpp"
#include "provider/registrar.hpp"
#include "session/authenticator.hpp"
#include "session/limiter.hpp"
#include "session/waiting_sessions.hpp"

namespace isthmus::app {

inline constexpr const char* kShuttingDown = "Gateway is shutting down";

/// What became of sessions whose links were lost.
struct ResumeCounters {
  std::uint64_t detached = 0, resumed = 0, moved = 0, refused = 0, expired = 0, over_limit = 0;
  std::uint64_t media_without_link = 0;  ///< of sessions that are over
};

/// The gateway: owns the listener, the sessions, the bridge's host, the registrar and the admin
/// server, and wires them together. Everything runs on the io_context's one thread, but that links
/// live on as many threads as links.shards says; passwords are judged on a thread of their own.
class Gateway final : public LinkSessionOwner, public ops::AdminSource {
 public:
  Gateway(boost::asio::io_context& io, ops::GatewayConfig config, std::string state_dir,
          ops::Log log);
  ~Gateway() override;

  /// Opens everything. @return all that failed, in words; empty: serving.
  std::vector<std::string> start();
  /// Takes no more calls and tells clients to leave; when calls are over, or links.drain_s is, ends
  /// what is left, lets the last messages out, then calls `done`.
  void drain(std::function<void()> done);
  /// Reads the certificate again (SIGHUP).
  void reload_certificates();

  std::uint16_t websocket_port() const;
  /// Pin of the certificate if it is self-signed, else empty.
  std::string self_signed_pin() const;

 private:
  void open_listeners(std::vector<std::string>& faults);
  link::UdpListenerOptions udp_options();
  void collect_udp_metrics(const link::UdpListenerCounters& counters);
  void open_admin(std::vector<std::string>& faults);
  void log_certificate(const link::CertificateReport& report);
  bool serves(const Endpoint& source) const;
  void on_link(std::unique_ptr<wire::Link> link);
  bool draining() const { return drain_until_.has_value(); }
  wire::GoAwayInfo go_away_info() const;
  void await_calls();
  void end_all();
  void open_push(std::vector<std::string>& faults);
  bool on_stranger(const Endpoint& source, bool connection);
  /// Once the bridge has come to rest: requests may wait for a device of this user.
  void user_available_soon(const std::string& user);
  void on_tick();
  void add_accounts();
  void start_upstream();
  void tick_upstream();
  void collect_metrics();

  void on_hello(LinkSession& session, const wire::HelloInfo& hello) override;
  void on_sip(LinkSession& session, std::string message) override;
  void on_media(LinkSession& session, std::uint32_t channel, ByteView bytes) override;
  void on_detached(LinkSession& session, wire::CloseCode code, const std::string& reason) override;
  void on_over(LinkSession& session, wire::CloseCode code, const std::string& reason) override;
  wire::WelcomeInfo welcome_for(const LinkSession& session, const LinkSession& link,
                                const std::string& user) const;
  void resume(LinkSession& greeting, const wire::ResumeCredentials& credentials);
  void end_orphans(const session::Identity& identity, const std::string& instance);
  void judge_password(std::uint64_t id, wire::PasswordCredentials credentials);
  void admit(LinkSession& session, session::Identity identity);
  bool refuse_if_full(LinkSession& session);
  void refuse(LinkSession& session, const session::AuthError& error);

  bool serving() const override { return serving_; }
  boost::json::value status() const override;
  boost::json::value sessions() const override;
  boost::json::value calls() const override;
  boost::json::value registrations() const override;
  boost::json::value providers() const override;
  boost::json::value upstreams() const override { return upstream_.status(); }
  boost::json::value route(const ops::AdminQuery& query) const override;

  boost::asio::io_context& io_;
  ops::GatewayConfig config_;
  std::string state_dir_;
  ops::Log log_;
  ops::Metrics metrics_;
  net::SystemRandom random_;
  Instant started_;
  call::BindingTable bindings_;
  std::unique_ptr<provider::GatewayRouter> router_;
  RegistrarHost registrar_host_;
  provider::Registrar* registrar_ = nullptr;  ///< that host's, once started
  BridgeHost host_;
  UpstreamDriver upstream_;
  std::unique_ptr<provider::AccountRegistrar> account_registrar_;
  provider::StrangerTable strangers_;
  std::shared_ptr<PushWebhook> push_;
  session::Authenticator authenticator_;
  session::AuthenticationGuard guard_;
  ProviderTargets targets_;
  std::map<std::uint64_t, std::unique_ptr<LinkSession>> sessions_;
  std::uint64_t next_session_ = 1;
  session::WaitingSessions waiting_;  ///< those that are detached
  wire::ResumeTokens resume_tokens_{random_};
  ResumeCounters resume_counters_;
  std::unique_ptr<link::ClientListeners> listeners_;
  std::unique_ptr<ops::AdminServer> admin_;
  boost::asio::thread_pool password_thread_{1};
  boost::asio::steady_timer drain_timer_;
  std::optional<Instant> drain_until_;  ///< while calls may still end by themselves
  Instant busy_at_{};                   ///< then: when there was last a call
  std::function<void()> drained_;
  std::uint64_t auth_failures_ = 0, sessions_opened_ = 0, sessions_refused_ = 0;
  LinkTotals ended_links_;
  LinkEnds link_ends_;
  std::size_t admitted_ = 0;  ///< of sessions_: those that were welcomed and are not over
  bool serving_ = false;
};

}  // namespace isthmus::app
