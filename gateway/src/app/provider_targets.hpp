#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/bridge_host.hpp"
#include "base/random.hpp"
#include "net/deadline_timer.hpp"
#include "net/dns.hpp"
#include "ops/config.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"
#include "provider/gateway_router.hpp"
#include "provider/target_book.hpp"

namespace isthmus::app {

/// Keeps the hosts of the providers up to date: asks the DNS what the TargetBook wants to know,
/// sends its probes, tells the router, the log and the metrics, and answers the bridge's look-ups,
/// those of telephone numbers (ENUM) included. One thread.
class ProviderTargets {
 public:
  ProviderTargets(boost::asio::io_context& io, const ops::GatewayConfig& config, BridgeHost& host,
                  Random& random, ops::Log log, ops::Metrics& metrics);
  ~ProviderTargets();
  ProviderTargets(const ProviderTargets&) = delete;
  ProviderTargets& operator=(const ProviderTargets&) = delete;

  /// After the host has started. The router knows the providers already.
  /// @return what failed, in words.
  std::optional<std::string> start(provider::GatewayRouter& router);
  void stop();

  /// A host of that provider answers again: it may have restarted, and forgotten what it knew.
  std::function<void(const std::string& provider)> on_host_back;

  /// The providers and their hosts, as /api/v1/providers lists them.
  boost::json::array json() const;

 private:
  void lookup(const std::string& key);
  void lookup_number(const std::string& key, const std::string& number);
  void lookup_done(const std::string& key);
  void pump();
  void ask(const dns::Question& question);
  void probe(const provider::TargetBook::Probe& probe);
  void on_resolved(const std::string& name);
  void on_located(const std::string& key);
  void on_change(const provider::TargetBook::Change& change);
  void collect_metrics();
  void collect_failovers();
  const ops::ProviderConfig& config_of(const std::string& provider) const;

  boost::asio::io_context& io_;
  const ops::GatewayConfig& config_;
  BridgeHost& host_;
  BatchedRandom random_;
  ops::Log log_;
  ops::Metrics& metrics_;
  provider::GatewayRouter* router_ = nullptr;
  std::unique_ptr<provider::TargetBook> book_;
  std::unique_ptr<net::Dns> dns_;
  net::DeadlineTimer timer_;
  std::map<std::string, std::string> problems_;  ///< by provider, as they were logged
  std::set<Endpoint> judged_by_config_;          ///< TLS hosts of providers
  bool pumping_ = false;
};

}  // namespace isthmus::app
