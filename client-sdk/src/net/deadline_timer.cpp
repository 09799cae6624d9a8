#include "net/deadline_timer.hpp"

#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace isthmus::net {

struct DeadlineTimer::State {
  boost::asio::steady_timer timer;
  std::function<void()> on_due;
  std::optional<Instant> armed_for;
};

DeadlineTimer::DeadlineTimer(boost::asio::io_context& io, std::function<void()> on_due)
    : state_(std::make_shared<State>(
          State{boost::asio::steady_timer(io), std::move(on_due), std::nullopt})) {}

DeadlineTimer::~DeadlineTimer() = default;

void DeadlineTimer::arm(std::optional<Instant> deadline) {
  if (!deadline || (state_->armed_for && *state_->armed_for <= *deadline)) return;
  state_->armed_for = deadline;
  state_->timer.expires_at(*deadline);
  state_->timer.async_wait(
      [weak = std::weak_ptr(state_), at = *deadline](const boost::system::error_code& error) {
        const auto state = weak.lock();
        // A wait that was over when the timer was cancelled or armed anew comes without an error.
        if (error || !state || state->armed_for != at) return;
        state->armed_for.reset();
        state->on_due();
      });
}

void DeadlineTimer::cancel() {
  state_->armed_for.reset();
  state_->timer.cancel();
}

}  // namespace isthmus::net
