#pragma once
#include "base/time.hpp"

namespace isthmus::sip {

/// Timer values (RFC 3261 Table 4, RFC 6026).
struct TransactionTimers {
  Duration t1 = milliseconds(500);
  Duration t2 = seconds(4);
  Duration t4 = seconds(5);
  Duration timer_c = seconds(180);  ///< proxy INVITE timeout (§16.6); bounds an INVITE that only rings

  Duration timeout() const { return 64 * t1; }   ///< B, F, H, J, L, M
  Duration timer_d(bool reliable) const { return reliable ? Duration::zero() : Duration(seconds(32)); }
};

}  // namespace isthmus::sip
