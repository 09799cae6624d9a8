// Gateway: its end.
//
//     serving ──SIGTERM──▶ draining ──no calls and no clients, or links.drain_s──▶ ending ──2 s──▶
//     done
//
// While draining, calls and the links that carry them go on and links may resume; new sessions and
// new calls are refused.
#include <algorithm>

#include "app/gateway.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

using net::clock_now;

namespace {

constexpr Duration kDrainTime = seconds(2);  // BYEs and Closes are on their way in far less
constexpr Duration kDrainPoll = milliseconds(100);
/// For clients without a call to leave: they spread over half a second, and shake hands elsewhere
/// before.
constexpr Duration kLeaveTime = seconds(2);

}  // namespace

void Gateway::drain(std::function<void()> done) {
  if (!serving_) {
    done();
    return;
  }
  serving_ = false;
  drained_ = std::move(done);
  busy_at_ = clock_now();
  drain_until_ = busy_at_ + config_.links.drain;
  log_.info("draining", {{"calls", host_.bridge().call_count()},
                         {"sessions", sessions_.size()},
                         {"for_s", config_.links.drain.count()}});
  upstream_.stop();
  host_.bridge().take_no_more_calls();
  const wire::GoAwayInfo info = go_away_info();
  for (auto& [id, session] : sessions_) session->go_away(info);
  await_calls();
}

wire::GoAwayInfo Gateway::go_away_info() const {
  return {std::max(Duration{}, *drain_until_ - clock_now()), config_.links.drain_gateways,
          kShuttingDown};
}

void Gateway::await_calls() {
  const Instant now = clock_now();
  const bool busy = host_.bridge().call_count() > 0;
  if (busy) busy_at_ = now;
  const bool leaving = !sessions_.empty() && now < busy_at_ + kLeaveTime;
  if (now >= *drain_until_ || (!busy && !leaving)) return end_all();
  drain_timer_.expires_after(kDrainPoll);
  drain_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) await_calls();
  });
}

void Gateway::end_all() {
  log_.info("ending", {{"calls", host_.bridge().call_count()}, {"sessions", sessions_.size()}});
  drain_until_.reset();
  listeners_->close();
  host_.end_all_calls(kShuttingDown);
  for (auto& [id, session] : sessions_) {
    session->close(wire::CloseCode::going_away, kShuttingDown);
  }
  drain_timer_.expires_after(kDrainTime);
  drain_timer_.async_wait([this](boost::system::error_code) {
    if (admin_) admin_->stop();
    targets_.stop();
    if (push_) push_->stop();
    host_.stop();
    registrar_host_.stop();
    log_.info("stopped");
    drained_();
  });
}

}  // namespace isthmus::app
