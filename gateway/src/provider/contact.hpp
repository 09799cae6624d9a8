#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "sip/flow.hpp"

namespace isthmus::provider {

/// One registered device of a user of the built-in registrar, or one of the flows of a device that
/// keeps several (RFC 5626).
struct Contact {
  std::string uri;                ///< as the device wrote it
  std::string instance;           ///< +sip.instance with its quotes (RFC 5626), "" if none
  std::uint32_t reg_id = 0;       ///< 0: the device keeps one flow, and did not number it
  std::string params;             ///< of its Contact as written, but for expires: ";q=0.5;+sip.ice"
  std::vector<std::string> path;  ///< RFC 3327: what requests to it carry as Route, in this order
  std::string user_agent;
  sip::Flow flow;  ///< where it registered from: requests go back there
  std::string call_id;
  std::uint32_t cseq = 0;
  double q = 1.0;  ///< preference, 0..1
  Instant expires{};
  Instant refreshed{};
  bool reachable = true;  ///< its link is up
  std::string host;       ///< of `uri`, lower case: by it a device is known that comes back
};

}  // namespace isthmus::provider
