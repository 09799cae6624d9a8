#pragma once
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/time.hpp"

namespace isthmus::net {

/// Wakes the owner of a pure core at the core's deadline. A deadline that moves later, as media
/// moves a session's with every packet, costs nothing: the timer fires early, the core finds
/// nothing due, and its owner arms the timer again. Lives on the thread that runs `io`; the
/// callback may destroy it.
class DeadlineTimer {
 public:
  /// @param on_due called from `io`, never from within arm()
  DeadlineTimer(boost::asio::io_context& io, std::function<void()> on_due);
  ~DeadlineTimer();
  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  /// Calls back once, at this time or at an earlier one that is still to come. Nothing as deadline
  /// changes nothing.
  void arm(std::optional<Instant> deadline);
  /// No call comes before the timer is armed again.
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace isthmus::net
