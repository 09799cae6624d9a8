#pragma once
#include <cstdint>
#include <optional>

#include "base/time.hpp"

namespace isthmus::wire {

/// A client that looks for its keep-alive interval goes no further, up or down.
inline constexpr Duration kLeastSearchedKeepAlive = seconds(5);
inline constexpr Duration kMostSearchedKeepAlive = seconds(120);
/// A Pong that was held back may come so much later, lost and repeated on its way; then a Ping
/// asks.
inline constexpr Duration kHeldPongLate = seconds(3);
inline constexpr Duration kHeldPongEarly = milliseconds(500);  ///< clocks and timers differ

/// Between which intervals a client looks for its own. All three alike: it is fixed.
struct KeepAliveBounds {
  Duration first, least, most;
};

/// Finds how long a link may be silent before a NAT on the way forgets it, and keeps to somewhat
/// less. Each Ping asks for a Pong after so long a silence: a Pong that comes shows that the way
/// back stood, which no traffic of the client's own could show, since that opens it again. Pure.
///
///     searching: ×1.5 after each success, half-way between the two after a failure
///        │  the longest that passed and the shortest that failed are close: 9/10 of the former
///        ▼
///     settled ──a Pong fails──▶ searching from the half; ──after kRecheck, doubling──▶ searching
///     on
///
/// What else was sent or received while the Pong was awaited leaves the question open.
class KeepAliveSearch {
 public:
  static constexpr Duration kRecheck = std::chrono::minutes(30);
  static constexpr Duration kLastRecheck = std::chrono::hours(8);

  explicit KeepAliveSearch(KeepAliveBounds bounds);

  /// How long a silence the next Ping is to ask for.
  Duration hold() const { return hold_; }
  bool settled() const { return settled_; }
  bool fixed() const { return bounds_.least == bounds_.most; }
  std::uint64_t lost() const { return lost_; }  ///< times that the way back was gone

  void on_ping() { traffic_ = false; }  ///< sent, and hold() asked for
  void on_traffic() { traffic_ = true; }
  void on_pong(Instant now);    ///< it came, and not before its time
  void on_missed(Instant now);  ///< it did not

 private:
  void choose(Instant now);
  void settle(Duration at, Instant now);

  KeepAliveBounds bounds_;
  Duration hold_;
  Duration passed_{};                 ///< the longest silence that passed; zero: none yet
  std::optional<Duration> too_long_;  ///< the shortest that did not
  bool settled_ = false, traffic_ = false;
  Instant recheck_at_{};
  Duration recheck_ = kRecheck;
  std::uint64_t lost_ = 0;
};

}  // namespace isthmus::wire
