#include "ops/event_limiter.hpp"

#include "base/limits.hpp"

namespace isthmus::ops {

EventLimiter::EventLimiter()
    : buckets_({limits::kLogBurstPerEvent, limits::kLogRefillPerEvent, limits::kLogEvents}) {}

EventLimiter::Verdict EventLimiter::admit(std::string_view event, Instant now) {
  auto held = suppressed_.find(event);
  if (buckets_.take(event, now)) {
    if (held != suppressed_.end()) {
      ++held->second;
    } else if (suppressed_.size() < limits::kLogEvents) {
      suppressed_.emplace(event, 1);
    }
    return {false, 0};
  }
  if (held == suppressed_.end()) return {true, 0};
  Verdict verdict{true, held->second};
  suppressed_.erase(held);
  return verdict;
}

}  // namespace isthmus::ops
