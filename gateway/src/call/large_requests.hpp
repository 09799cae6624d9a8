#pragma once
#include <unordered_map>

#include "base/address.hpp"
#include "base/time.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// Requests that are too large for UDP (RFC 3261 §18.1.1): they go by TCP, whose congestion control
/// and retransmission a fragmented datagram lacks. Places that refuse TCP get them by UDP after
/// all, and are remembered for a while, because each attempt may take a connection timeout.
class LargeRequests {
 public:
  /// @param limit  bytes that may go by UDP; 0: any number
  bool by_tcp(const sip::Message& request, const sip::Flow& flow, std::size_t limit, Instant now);
  /// Whether that place has refused TCP not long ago.
  bool refused(const sip::Flow& flow, Instant now) const;
  void on_flow_failed(const sip::Flow& flow, Instant now);

 private:
  std::unordered_map<Endpoint, Instant, EndpointHash> refused_;  ///< until when
};

}  // namespace isthmus::call
