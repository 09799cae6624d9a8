#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "ops/config.hpp"
#include "ops/log.hpp"
#include "ops/metrics.hpp"

namespace isthmus::ops {

/// Parameters of a request's query, decoded; of a name given twice, the last.
using AdminQuery = std::map<std::string, std::string>;

/// What the admin server shows; the wiring implements it. Called on the server's executor, so a
/// source that belongs to a shard is called on the shard's thread. Must not block.
class AdminSource {
 public:
  virtual ~AdminSource() = default;
  /// False before everything listens and while draining: /healthz then says 503.
  virtual bool serving() const = 0;
  virtual boost::json::value status() const = 0;
  virtual boost::json::value sessions() const = 0;
  virtual boost::json::value calls() const = 0;
  virtual boost::json::value registrations() const = 0;
  /// Providers with their hosts; null for a program that has none.
  virtual boost::json::value providers() const { return nullptr; }
  /// Registrations of our own at providers.
  virtual boost::json::value upstreams() const { return boost::json::array(); }
  /// Where a request of these parameters (uri, from, source, method) would go, and why.
  virtual boost::json::value route(const AdminQuery& query) const {
    static_cast<void>(query);
    return {};
  }
};

struct AdminError {
  std::string text;  ///< "127.0.0.1:8080: Address already in use"
};

/// Read-only HTTP/1.1 for operators: GET and HEAD of /metrics (Prometheus), /healthz, and JSON
/// under /api/v1/{status,sessions,calls,registrations,providers,upstreams,route?uri=…}. Without
/// authentication, hence on loopback unless configured otherwise; on loopback, requests whose Host
/// is a name other than "localhost" get 403, so that no web page reaches it by DNS rebinding. At
/// most limits::kAdminConnections connections, bounded requests.
class AdminServer {
 public:
  /// `source` and `metrics` must outlive the server. Nothing happens before `listen`.
  AdminServer(boost::asio::any_io_executor executor, const AdminSource& source, Metrics& metrics,
              Log log);
  ~AdminServer();  ///< stops
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// @param port  0: any free one (the caller leaves the server out when the configuration says 0)
  /// @return the port
  Result<std::uint16_t, AdminError> listen(const IpAddress& address, std::uint16_t port);
  /// Closes the listener and all connections. On the executor's thread.
  void stop();

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace isthmus::ops
