#pragma once
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"

namespace isthmus::call {

/// Hosts that the dialogs of calls lead to, by a Contact or a route: their requests in those
/// dialogs come from there, whoever set the dialogs up (RFC 3261 §12.2.1.1). By address alone: a
/// host may send from another port than it listens at, and over TCP does. Each is known as long as
/// a call holds it, and for a while after the last. Internal to the room.
class DialogPeers {
 public:
  using Held = std::vector<IpAddress>;  ///< by one call, what it used last at the end

  /// At most limits::kPeersPerCall: the one that a call has not used for longest gives way.
  void hold(Held& held, const IpAddress& address, Instant now, Duration rest);
  /// The call is over: each stays known for `rest`, so that what is on its way ends well. At most
  /// limits::kRestingPeers do: the oldest give way.
  void release(Held& held, Instant now, Duration rest);
  bool knows(const IpAddress& address, Instant now) const;
  std::size_t size() const { return hosts_.size(); }

 private:
  struct Host {
    std::size_t calls = 0;
    Instant until{};  ///< without any
  };
  struct AddressHash {
    std::size_t operator()(const IpAddress& address) const {
      return EndpointHash{}(Endpoint{address, 0});
    }
  };

  void release(const IpAddress& address, Instant until);
  void forget_oldest();
  void expire(Instant now);

  std::unordered_map<IpAddress, Host, AddressHash> hosts_;
  std::deque<std::pair<Instant, IpAddress>> resting_;  ///< in the order in which they fall due
};

}  // namespace isthmus::call
