#pragma once
#include <string>

#include "sip/flow.hpp"

namespace isthmus::call {

/// The ACK of a 2xx as it went out, to go again with every repeated 2xx (RFC 3261 §13.2.2.4).
struct SentAck {
  sip::Flow hop;   ///< where it belongs when TCP is refused,
  sip::Flow flow;  ///< and the way it took: TCP when it is too large for UDP, or its Contact asks
  std::string bytes{};
  bool empty() const { return bytes.empty(); }
};

}  // namespace isthmus::call
