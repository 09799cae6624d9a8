#include "event_queue.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>

namespace phone {
namespace {

volatile std::sig_atomic_t signals = 0;

/// Signals are looked for this often: a handler may not wake a condition variable.
constexpr auto kLook = std::chrono::milliseconds(50);

/// A person's second Ctrl-C; a group of processes may be sent one twice in a moment.
constexpr std::time_t kImpatient = 1;
volatile std::sig_atomic_t first_at = 0;

std::sig_atomic_t whole_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // one of the few calls that a handler may make
  return static_cast<std::sig_atomic_t>(now.tv_sec);
}

void on_signal(int) {
  if (signals != 0 && whole_seconds() - first_at >= kImpatient) std::_Exit(130);
  if (signals == 0) first_at = whole_seconds();
  signals = 1;
}

}  // namespace

EventQueue::EventQueue() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

void EventQueue::put(Event event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  ready_.notify_one();
}

isthmus::ClientHandlers EventQueue::handlers(bool take_calls) {
  isthmus::ClientHandlers to;
  to.on_connection = [this](const auto& event) { put(Connection{event}); };
  to.on_registration = [this](const auto& event) { put(Registration{event}); };
  to.on_call = [this](auto call, const auto& event) { put(CallChange{call, event}); };
  to.on_dtmf = [this](auto call, char digit) { put(Digit{call, digit}); };
  to.on_statistics = [this](auto call, const auto& all) { put(Statistics{call, all}); };
  if (take_calls) {
    to.on_incoming_call = [this](auto call, const auto& info) { put(Incoming{call, info}); };
  }
  return to;
}

std::optional<Event> EventQueue::next(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (signals_seen_ != signals) {
      signals_seen_ = signals;
      return Interrupted{};
    }
    if (!events_.empty()) {
      Event event = std::move(events_.front());
      events_.pop_front();
      return event;
    }
    const auto now = Clock::now();
    if (now >= until) return std::nullopt;
    ready_.wait_until(lock, std::min(until, now + kLook));
  }
}

}  // namespace phone
