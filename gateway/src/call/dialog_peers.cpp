#include "call/dialog_peers.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::call {

void DialogPeers::hold(Held& held, const IpAddress& address, Instant now, Duration rest) {
  expire(now);
  auto known = std::find(held.begin(), held.end(), address);
  if (known != held.end()) {
    std::rotate(known, known + 1, held.end());
    return;
  }
  if (held.size() >= limits::kPeersPerCall) {
    release(held.front(), now + rest);
    held.erase(held.begin());
  }
  held.push_back(address);
  ++hosts_[address].calls;
}

void DialogPeers::release(Held& held, Instant now, Duration rest) {
  expire(now);
  for (const IpAddress& address : held) release(address, now + rest);
  held.clear();
}

bool DialogPeers::knows(const IpAddress& address, Instant now) const {
  auto found = hosts_.find(address);
  return found != hosts_.end() && (found->second.calls > 0 || found->second.until > now);
}

void DialogPeers::release(const IpAddress& address, Instant until) {
  Host& host = hosts_[address];
  if (--host.calls > 0) return;
  host.until = until;
  resting_.emplace_back(until, address);
  if (resting_.size() > limits::kRestingPeers) forget_oldest();
}

/// Unless a call holds it again, or it rests since later.
void DialogPeers::forget_oldest() {
  const auto [until, address] = resting_.front();
  resting_.pop_front();
  auto found = hosts_.find(address);
  if (found != hosts_.end() && found->second.calls == 0 && found->second.until <= until)
    hosts_.erase(found);
}

void DialogPeers::expire(Instant now) {
  while (!resting_.empty() && resting_.front().first <= now) forget_oldest();
}

}  // namespace isthmus::call
