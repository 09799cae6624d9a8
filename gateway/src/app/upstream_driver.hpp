#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <functional>
#include <string>
#include <vector>

#include "app/bridge_host.hpp"
#include "net/deadline_timer.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"
#include "provider/upstream_registrations.hpp"

namespace isthmus::app {

/// Runs the gateway's own registrations on an io_context: REGISTERs go out through the bridge's
/// host, changes to the log, states to the metrics and the admin server. One thread.
class UpstreamDriver {
 public:
  /// Where a provider's REGISTERs go, best first; empty: not known yet.
  using Flows = std::function<std::vector<sip::Flow>(const std::string& provider)>;
  /// Whether an address belongs to that provider: where it may redirect us.
  using Belongs = std::function<bool(const std::string& provider, const Endpoint& address)>;

  UpstreamDriver(boost::asio::io_context& io, BridgeHost& host, ops::Log log, Random& random);

  void add(provider::UpstreamAccount account) { registrations_.add(std::move(account)); }
  void start(Flows flows, Belongs belongs);
  /// About once a second. @param present  whether a user of ours has a session or a device
  void tick(const std::function<bool(const std::string& aor)>& present);
  /// The provider may have forgotten what it knew.
  void renew(const std::string& provider);
  /// Takes all bindings off, which takes a round trip or two; nothing is registered after this.
  void stop();

  const provider::UpstreamRegistrations& registrations() const { return registrations_; }
  boost::json::array status() const;
  void collect(ops::Metrics& metrics) const;

 private:
  void carry_out(provider::UpstreamActions actions);
  void send(provider::SendRegister& request);
  std::vector<sip::Flow> flows_of(const provider::SendRegister& request) const;
  void report(const provider::UpstreamChanged& change);
  void on_timer();

  BridgeHost& host_;
  ops::Log log_;
  provider::UpstreamRegistrations registrations_;
  Flows flows_;
  Belongs belongs_;
  std::vector<std::string> not_started_;  ///< providers whose hosts are not known yet
  net::DeadlineTimer timer_;
};

}  // namespace isthmus::app
