#pragma once
#include <chrono>

namespace isthmus {

/// A point on the monotonic clock. Pure code receives it as an argument and never reads a clock, so
/// that whole systems run on virtual time in tests/sim.
using Instant = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Wall-clock time (seconds since 1970-01-01 UTC), for tokens, certificates and Date headers only.
using WallSeconds = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

}  // namespace isthmus
