#pragma once
#include <cstdint>
#include <string_view>

namespace isthmus::provider {

/// When to send which REGISTER for one address of record at a registrar upstream (RFC 3261 §10.2),
/// without messages and timers. Only one REGISTER is open at a time (§10.2: none before the
/// previous one has ended). The diagram stands in the .cpp file.
class RegistrationMachine {
 public:
  enum class State : std::uint8_t {
    off,          ///< not wanted, nothing sent
    registering,  ///< a REGISTER is open; no binding is known to stand
    registered,
    refreshing,  ///< a REGISTER is open; the binding stands
    waiting,     ///< it failed; the timer runs until the next try
    leaving,     ///< a REGISTER is open that is not wanted any more
    removing,    ///< the removal is open
    returning,   ///< the removal is open, and the registration is wanted again
  };
  enum class Input : std::uint8_t {
    start,     ///< wanted
    stop,      ///< not wanted any more
    renew,     ///< the registrar may have forgotten, or can be reached again
    timer,     ///< refresh or retry is due
    accepted,  ///< 2xx
    again,     ///< the same once more, in another form: 401 with an answer, 423, 3xx
    refused,   ///< any other final response, or none
  };
  enum class Send : std::uint8_t { nothing, registration, removal };

  /// @param bound  whether the registrar may still hold our binding
  Send on(Input input, bool bound);
  State state() const { return state_; }
  /// A REGISTER of either kind is open.
  bool open() const;

 private:
  Send off(Input input);
  Send registering(Input input, State same);
  Send registered(Input input);
  Send waiting(Input input, bool bound);
  Send leaving(Input input, bool bound);
  Send removing(Input input);
  Send returning(Input input);
  Send enter(State state, Send send) {
    state_ = state;
    return send;
  }

  State state_ = State::off;
};

std::string_view to_text(RegistrationMachine::State state);

}  // namespace isthmus::provider
