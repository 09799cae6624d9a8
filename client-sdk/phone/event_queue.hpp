#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <variant>

#include <isthmus/client.hpp>

namespace phone {

using Clock = std::chrono::steady_clock;

struct Connection {
  isthmus::ConnectionEvent event;
};
struct Registration {
  isthmus::RegistrationEvent event;
};
struct Incoming {
  isthmus::Call call;
  isthmus::IncomingCallInfo info;
};
struct CallChange {
  isthmus::Call call;
  isthmus::CallEvent event;
};
struct Digit {
  isthmus::Call call;
  char digit;
};
struct Statistics {
  isthmus::Call call;
  isthmus::CallStatistics statistics;
};
struct Interrupted {};  ///< Ctrl-C
using Event =
    std::variant<Connection, Registration, Incoming, CallChange, Digit, Statistics, Interrupted>;

/// Carries the SDK's callbacks and signals over to the main thread.
class EventQueue {
 public:
  EventQueue();  ///< takes SIGINT and SIGTERM; a second one ends the program at once

  /// Handlers that fill the queue, which must outlive the client.
  isthmus::ClientHandlers handlers(bool take_calls);
  /// The next event; nothing when the time is up first.
  std::optional<Event> next(Clock::time_point until);

 private:
  void put(Event event);

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
  int signals_seen_ = 0;
};

}  // namespace phone
