#include "session/limiter.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::session {
namespace {

std::string source_key(const IpAddress& source) {
  if (source.is_v4()) return source.to_string();
  auto bytes = source.bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return IpAddress::v6(bytes).to_string();
}

}  // namespace

std::optional<Duration> KeyedLimiter::take(std::string_view key, Instant now) {
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= rate_.most_keys && !recent_.empty()) {
      buckets_.erase(recent_.back().key);
      recent_.pop_back();
    }
    recent_.push_front({std::string(key), rate_.burst * rate_.refill, now});
    found = buckets_.emplace(recent_.front().key, recent_.begin()).first;
  } else {
    recent_.splice(recent_.begin(), recent_, found->second);
  }
  Bucket& bucket = *found->second;
  if (now > bucket.filled) {
    bucket.credit = std::min(rate_.burst * rate_.refill, bucket.credit + (now - bucket.filled));
    bucket.filled = now;
  }
  if (bucket.credit >= rate_.refill) {
    bucket.credit -= rate_.refill;
    return std::nullopt;
  }
  return std::chrono::ceil<milliseconds>(rate_.refill - bucket.credit);
}

void KeyedLimiter::refund(std::string_view key) {
  auto found = buckets_.find(key);
  if (found == buckets_.end()) return;  // made room for others meanwhile
  Bucket& bucket = *found->second;
  bucket.credit = std::min(rate_.burst * rate_.refill, bucket.credit + rate_.refill);
}

AuthenticationGuard::AuthenticationGuard()
    : by_source_({limits::kAuthBurstPerSource, limits::kAuthRefillPerSource, limits::kAuthKeys}),
      by_user_({limits::kAuthBurstPerUser, limits::kAuthRefillPerUser, limits::kAuthKeys}) {}

std::optional<Duration> AuthenticationGuard::begin(const IpAddress& source, std::string_view user,
                                                   Instant now) {
  std::string from = source_key(source);
  if (auto wait = by_source_.take(from, now)) return wait;
  if (user.empty()) return std::nullopt;
  user = user.substr(0, limits::kUserNameBytes);  // a remote party chooses what is remembered here
  auto wait = by_user_.take(user, now);
  if (wait) by_source_.refund(from);  // it was not judged
  return wait;
}

void AuthenticationGuard::succeeded(const IpAddress& source, std::string_view user) {
  by_source_.refund(source_key(source));
  if (!user.empty()) by_user_.refund(user.substr(0, limits::kUserNameBytes));
}

}  // namespace isthmus::session
