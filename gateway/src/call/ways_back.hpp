#pragma once
#include <unordered_map>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "sip/flow.hpp"

namespace isthmus::call {

/// Peers that speak UDP and name a place in their Contact where TCP is to be spoken: whence they
/// were heard, in case nobody listens there. RFC 3263 §4.1 has the URI decide, and so it does; but
/// a dialog whose ACK and BYE go nowhere is of no use to either side. TLS has no such way: what was
/// to be kept secret does not go in the clear.
class WaysBack {
 public:
  void note(const sip::Flow& tcp, const sip::Flow& udp) {
    if (ways_.size() >= limits::kRefusedTcp && !ways_.contains(tcp.remote))
      ways_.erase(ways_.begin());
    ways_[tcp.remote] = udp;
  }
  /// @return null: there is none.
  const sip::Flow* of(const sip::Flow& flow) const {
    if (flow.transport != sip::Transport::tcp || flow.connection != 0) return nullptr;
    const auto found = ways_.find(flow.remote);
    return found == ways_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<Endpoint, sip::Flow, EndpointHash> ways_;
};

}  // namespace isthmus::call
