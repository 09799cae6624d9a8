#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "base/address.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "net/gateway_places.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::net {

/// Asks the DNS where the gateways are that URLs name by a domain alone (gateway_srv.hpp), for all
/// of them at once. With a setting of c-ares of its own, so that one after a change of network asks
/// that network's servers. Destroying it abandons the look-up. On the io_context's thread.
class GatewayLookup {
 public:
  struct Found {
    std::vector<Place> places;  ///< in order; none: the DNS says that there is no gateway
    Duration life{};            ///< how long that holds
    bool failed = false;        ///< nothing was answered: what an earlier one found is better
  };
  /// Called once, never from within the constructor.
  using Done = std::function<void(Found)>;

  /// Is there anything to ask about these?
  static bool needed(const std::vector<Place>& configured);

  /// @param servers  empty: the system's
  GatewayLookup(boost::asio::io_context& io, const std::vector<Endpoint>& servers,
                std::vector<Place> configured, Random& random, Done done);
  ~GatewayLookup();
  GatewayLookup(const GatewayLookup&) = delete;
  GatewayLookup& operator=(const GatewayLookup&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace isthmus::net
