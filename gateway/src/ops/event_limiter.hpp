#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "session/limiter.hpp"

namespace isthmus::ops {

/// Bounds how many log lines one event may cause, whoever causes it. Pure; single-threaded.
class EventLimiter {
 public:
  EventLimiter();

  struct Verdict {
    bool pass = false;
    std::uint64_t suppressed = 0;  ///< lines of this event held back since the last that passed
  };
  Verdict admit(std::string_view event, Instant now);

 private:
  session::KeyedLimiter buckets_;
  std::map<std::string, std::uint64_t, std::less<>> suppressed_;
};

}  // namespace isthmus::ops
