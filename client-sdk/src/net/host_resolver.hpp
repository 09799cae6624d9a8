#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::net {

/// Finds the addresses of one host: by the system (hosts file, mDNS and all that it has), or by DNS
/// servers that were named. Destroying it abandons the search. On the io_context's thread.
class HostResolver {
 public:
  /// @param found    in the order to be tried, at most limits::kResolvedAddresses
  /// @param problem  in words, when there are none
  using Done = std::function<void(std::vector<Endpoint> found, std::string problem)>;

  /// @param servers  empty: as the system does it
  /// @param done     called once, never from within the constructor
  HostResolver(boost::asio::io_context& io, const std::vector<Endpoint>& servers,
               const std::string& host, std::uint16_t port, Done done);
  ~HostResolver();
  HostResolver(const HostResolver&) = delete;
  HostResolver& operator=(const HostResolver&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace isthmus::net
