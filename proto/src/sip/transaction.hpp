#pragma once
#include "base/time.hpp"

namespace isthmus::sip {

/// Timer values (RFC 3261 Table 4, RFC 6026).
struct TransactionTimers {
  Duration t1 = milliseconds(500);
  Duration t2 = seconds(4);
  Duration t4 = seconds(5);
  Duration timer_c =
      seconds(180);  ///< proxy INVITE timeout (§16.6); bounds an INVITE that only rings
  Duration trying =
      milliseconds(200);  ///< a silent user's INVITE is answered 100 after this (§17.2.1)

  Duration timeout() const { return 64 * t1; }  ///< B, F, H, J, L, M
  Duration timer_d(bool reliable) const {
    return reliable ? Duration::zero() : Duration(seconds(32));
  }
  /// K and I: how long repeats of a message may still be on their way.
  Duration linger(bool reliable) const { return reliable ? Duration::zero() : t4; }
};

/// Where a timer of a machine stands that is not running.
inline constexpr Instant kNever = Instant::max();

}  // namespace isthmus::sip
