#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "base/address.hpp"

namespace boost::asio {
class io_context;
}

namespace isthmus::net {

/// Notices that addresses, interfaces or routes of this machine change (Linux, netlink). Does
/// nothing where there is no such notice. On the io_context's thread.
class NetworkWatch {
 public:
  /// @param changed  called a moment after something changed: once for all that comes together.
  /// Not called after destruction, which it may do itself.
  NetworkWatch(boost::asio::io_context& io, std::function<void()> changed);
  ~NetworkWatch();
  NetworkWatch(const NetworkWatch&) = delete;
  NetworkWatch& operator=(const NetworkWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The address that this machine would speak to `remote` from now; nothing where no way leads
/// there.
std::optional<IpAddress> source_toward(boost::asio::io_context& io, const Endpoint& remote);

}  // namespace isthmus::net
