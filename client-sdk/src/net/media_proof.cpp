#include "net/media_proof.hpp"

#include <algorithm>

namespace isthmus::net {

namespace {

/// Between pings: so many that a path which loses every sixth packet is not taken for a closed one.
constexpr Duration kAskEvery = milliseconds(90);
/// For a new link's first answer, of which nothing else depends yet.
constexpr Duration kFirstAnswer = milliseconds(1000);

}  // namespace

void MediaProof::begin(Instant now, std::optional<Duration> round_trip) {
  round_trip_ = round_trip.value_or(Duration{});
  watching_ = false;
  ask(now, kFirstAnswer);
}

void MediaProof::end() {
  state_ = State::off;
  watching_ = false;
}

void MediaProof::ask(Instant now, Duration least) {
  state_ = State::asking;
  asked_at_ = now;
  next_ask_ = now;
  fail_at_ = now + std::max(least, 3 * round_trip_);
}

bool MediaProof::on_sent(Instant now) {
  sent_at_ = now;
  if (watching_ || state_ == State::off) return false;
  watching_ = true;
  heard_at_ = now;
  check_at_ = now + limits::kLinkQuiet;
  return true;
}

bool MediaProof::on_heard(Instant now) {
  heard_at_ = now;
  if (state_ != State::asking) return false;
  state_ = State::proved;
  check_at_ = now + limits::kLinkQuiet;
  return true;
}

MediaProof::Step MediaProof::on_timeout(Instant now) {
  if (state_ == State::asking) {
    if (now >= fail_at_) {
      ask(now, limits::kLinkProbeLife);  // the other link may not come about
      return Step::failed;
    }
    if (now < next_ask_) return Step::none;
    next_ask_ = now + kAskEvery;
    return Step::ask;
  }
  if (state_ != State::proved || !watching_ || now < check_at_) return Step::none;
  watching_ = now - sent_at_ < limits::kLinkQuiet;
  if (!watching_) return Step::none;
  if (now - heard_at_ >= limits::kLinkQuiet) {
    ask(now, limits::kLinkProbeLife);
    next_ask_ = now + kAskEvery;
    return Step::ask;
  }
  check_at_ = now + limits::kLinkQuiet / 4;
  return Step::none;
}

std::optional<Instant> MediaProof::next_deadline() const {
  if (state_ == State::asking) return std::min(next_ask_, fail_at_);
  if (state_ == State::proved && watching_) return check_at_;
  return std::nullopt;
}

std::optional<Instant> MediaProof::asking_since() const {
  if (state_ != State::asking) return std::nullopt;
  return asked_at_;
}

}  // namespace isthmus::net
