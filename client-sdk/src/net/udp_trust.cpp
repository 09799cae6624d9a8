#include "net/udp_trust.hpp"

#include <algorithm>

namespace isthmus::net {

void UdpTrust::on_up(Instant now) {
  up_since_ = now;
  proved_ = false;
  trial_at_.reset();
}

void UdpTrust::on_down(Instant now, bool media_alone) {
  if (!up_since_) return;
  const bool served = proved_ && now - *up_since_ >= kStable;
  up_since_.reset();
  if (served) wait_ = kFirst;
  if (served && !media_alone) return;
  if (media_alone) wait_ = std::max(wait_, kAfterMedia);
  not_before_ = now + jittered(wait_);
  trial_at_ = not_before_;
  double_wait();
}

void UdpTrust::on_trial_failed(Instant now) {
  trial_at_ = now + jittered(wait_);
  double_wait();
}

void UdpTrust::on_network_changed() {
  wait_ = kFirst;
  not_before_ = {};
  trial_at_.reset();
}

Instant UdpTrust::next_trial(Instant now) {
  if (!trial_at_) trial_at_ = now + jittered(wait_);
  return std::max(*trial_at_, now);
}

void UdpTrust::double_wait() {
  wait_ = std::min(2 * wait_, kLast);
}

Duration UdpTrust::jittered(Duration wait) {
  return std::chrono::duration_cast<Duration>(wait * (0.75 + random_.fraction() / 2));
}

}  // namespace isthmus::net
