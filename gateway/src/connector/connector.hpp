#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/bridge_host.hpp"
#include "app/link_metrics.hpp"
#include "net/client_connection.hpp"
#include "net/system_random.hpp"
#include "ops/admin_http.hpp"
#include "ops/config.hpp"
#include "provider/connector_router.hpp"

namespace isthmus::connector {

/// The connector: plain SIP/UDP and RTP toward phones on the local network, one link to the gateway
/// for all of them. The bridge, the transport and the media relay are the gateway's own; the link
/// is the SDK's. One thread.
class Connector final : public net::ConnectionHandler,
                        public ops::AdminSource,
                        public app::LinkPort {
 public:
  Connector(boost::asio::io_context& io, ops::ConnectorConfig config, const std::string& state_dir,
            ops::Log log);
  ~Connector() override;

  /// Opens the sockets and begins to dial. @return all that failed, in words; empty: running.
  std::vector<std::string> start();
  /// Ends calls, lets the last messages out, then calls `done`.
  void drain(std::function<void()> done);
  /// Reads the certificate of SIP over TLS again (SIGHUP); connections that stand keep theirs.
  void reload_certificates();

 private:
  void on_established(const wire::WelcomeInfo& welcome) override;
  void on_sip(std::string message) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_link_lost(wire::CloseCode code, const std::string& reason,
                    Duration will_retry_in) override;
  void on_link_back(const wire::WelcomeInfo& welcome, Duration gap) override;
  void on_go_away(const std::string& reason, Duration deadline) override;
  bool may_leave() const override { return host_.bridge().call_count() == 0; }
  void on_closed(wire::CloseCode code, const std::string& reason,
                 std::optional<Duration> will_retry_in) override;

  void send_sip(std::string_view message) override;
  void send_media(std::uint32_t channel, ByteView bytes) override;
  Endpoint remote() const override { return gateway_address_; }

  bool serving() const override { return serving_; }
  boost::json::value status() const override;
  boost::json::value sessions() const override;
  boost::json::value calls() const override;
  boost::json::value registrations() const override;
  void collect_metrics();
  std::optional<std::string> make_connection();
  void end_session();
  app::LinkTotals link_totals() const;  ///< of the present or last session

  boost::asio::io_context& io_;
  ops::ConnectorConfig config_;
  ops::Log log_;
  ops::Metrics metrics_;
  net::SystemRandom random_;
  Instant started_;
  call::BindingTable bindings_;
  provider::ConnectorRouter router_;
  std::string instance_;  ///< our host name on links, kept across restarts
  app::BridgeHost host_;
  std::unique_ptr<net::ClientConnection> connection_;
  std::unique_ptr<ops::AdminServer> admin_;
  std::uint64_t session_ =
      0;  ///< counts established sessions; the bridge's name for the present one
  std::uint64_t resumes_ = 0;
  bool up_ = false, serving_ = false;
  Endpoint gateway_address_;
  app::LinkTotals ended_links_;
  boost::asio::steady_timer drain_timer_;
};

}  // namespace isthmus::connector
