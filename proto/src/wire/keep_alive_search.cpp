#include "wire/keep_alive_search.hpp"

#include <algorithm>

namespace isthmus::wire {

KeepAliveSearch::KeepAliveSearch(KeepAliveBounds bounds)
    : bounds_(bounds), hold_(std::clamp(bounds.first, bounds.least, bounds.most)) {
  settled_ = fixed();
}

void KeepAliveSearch::on_pong(Instant now) {
  if (traffic_ || fixed()) return;
  if (settled_ && now < recheck_at_) return;
  if (settled_) {  // NATs change their minds, and networks their NATs
    settled_ = false;
    too_long_.reset();
    recheck_ = std::min(2 * recheck_, kLastRecheck);
    hold_ =
        std::min(passed_ * 5 / 4, bounds_.most);  // one failure at most tells that nothing changed
    return;
  }
  passed_ = std::max(passed_, hold_);
  choose(now);
}

void KeepAliveSearch::on_missed(Instant now) {
  if (traffic_) return;
  ++lost_;
  if (fixed()) return;
  too_long_ = hold_;
  if (passed_ == Duration{} || hold_ <= passed_) {  // what was good is no longer
    passed_ = {};
    settled_ = false;
    hold_ = std::max(hold_ / 2, bounds_.least);
    return;
  }
  choose(now);
}

void KeepAliveSearch::choose(Instant now) {
  if (!too_long_ || *too_long_ <= passed_) {
    too_long_.reset();
    if (passed_ >= bounds_.most) return settle(bounds_.most, now);
    hold_ = std::min(passed_ * 3 / 2, bounds_.most);
    return;
  }
  if (*too_long_ - passed_ <= passed_ / 4) return settle(passed_ * 9 / 10, now);
  hold_ = passed_ + (*too_long_ - passed_) / 2;
}

void KeepAliveSearch::settle(Duration at, Instant now) {
  settled_ = true;
  hold_ = std::max(at, bounds_.least);
  recheck_at_ = now + recheck_;
}

}  // namespace isthmus::wire
