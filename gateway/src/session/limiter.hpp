#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/time.hpp"

namespace isthmus::session {

/// Token buckets by key, for what may be tried a few times and then slowly. At most `most_keys`
/// buckets: the one used longest ago makes room. Pure; single-threaded.
class KeyedLimiter {
 public:
  struct Rate {
    unsigned burst;   ///< tokens of a full bucket
    Duration refill;  ///< time for one token
    std::size_t most_keys;
  };
  explicit KeyedLimiter(Rate rate) : rate_(rate) {}

  /// Takes a token.
  /// @return nothing if there was one, else how long until there is (rounded up to whole
  /// milliseconds)
  std::optional<Duration> take(std::string_view key, Instant now);
  /// Gives a token back: what was tried did not count after all.
  void refund(std::string_view key);
  std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    std::string key;
    Duration credit;  ///< a token is worth rate_.refill: whole numbers, no rounding
    Instant filled;
  };
  using Buckets = std::list<Bucket>;  ///< most recently used first

  Rate rate_;
  Buckets recent_;
  std::map<std::string_view, Buckets::iterator> buckets_;  ///< views of the list's keys
};

/// How often credentials may be tried: by source address (IPv6 by /64, what one subscriber gets)
/// and by user name. An attempt takes a token of both before it is judged, so that attempts judged
/// in parallel on a thread pool all count; a success gives them back.
///
///     if (auto wait = guard.begin(source, user, now)) reject with retry-after *wait
///     else judge; on success guard.succeeded(source, user)
///
/// Tokens (JWT) name no user before they are verified: pass "".
class AuthenticationGuard {
 public:
  AuthenticationGuard();
  std::optional<Duration> begin(const IpAddress& source, std::string_view user, Instant now);
  void succeeded(const IpAddress& source, std::string_view user);

 private:
  KeyedLimiter by_source_, by_user_;
};

}  // namespace isthmus::session
