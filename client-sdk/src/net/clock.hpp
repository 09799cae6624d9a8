#pragma once
#include <chrono>

#include "base/time.hpp"

namespace isthmus::net {

/// The two clocks, for the rooms that do I/O. Pure code is told the time instead.
inline Instant clock_now() {
  return std::chrono::steady_clock::now();
}
inline WallSeconds wall_now() {
  return std::chrono::floor<seconds>(std::chrono::system_clock::now());
}

}  // namespace isthmus::net
