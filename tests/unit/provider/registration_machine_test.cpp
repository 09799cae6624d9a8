// Every input in every state of the registration machine.
#include <gtest/gtest.h>

#include <array>

#include "provider/registration_machine.hpp"

namespace isthmus::provider {
namespace {

using State = RegistrationMachine::State;
using Input = RegistrationMachine::Input;
using Send = RegistrationMachine::Send;

constexpr std::array kStates = {State::off,        State::registering, State::registered,
                                State::refreshing, State::waiting,     State::leaving,
                                State::removing,   State::returning};
constexpr std::array kInputs = {Input::start,    Input::stop,  Input::renew,  Input::timer,
                                Input::accepted, Input::again, Input::refused};

/// Leads a new machine to that state.
RegistrationMachine in(State state) {
  RegistrationMachine machine;
  auto feed = [&](std::initializer_list<Input> inputs) {
    for (Input input : inputs) machine.on(input, false);
  };
  switch (state) {
    case State::off:
      break;
    case State::registering:
      feed({Input::start});
      break;
    case State::registered:
      feed({Input::start, Input::accepted});
      break;
    case State::refreshing:
      feed({Input::start, Input::accepted, Input::timer});
      break;
    case State::waiting:
      feed({Input::start, Input::refused});
      break;
    case State::leaving:
      feed({Input::start, Input::stop});
      break;
    case State::removing:
      feed({Input::start, Input::accepted, Input::stop});
      break;
    case State::returning:
      feed({Input::start, Input::accepted, Input::stop, Input::start});
      break;
  }
  return machine;
}

struct Row {
  State state;
  Input input;
  bool bound;
  State next;
  Send send;
};

/// What is not listed changes nothing and sends nothing.
constexpr Row kRows[] = {
    {State::off, Input::start, false, State::registering, Send::registration},
    {State::off, Input::start, true, State::registering, Send::registration},

    {State::registering, Input::stop, false, State::leaving, Send::nothing},
    {State::registering, Input::stop, true, State::leaving, Send::nothing},
    {State::registering, Input::accepted, false, State::registered, Send::nothing},
    {State::registering, Input::accepted, true, State::registered, Send::nothing},
    {State::registering, Input::again, false, State::registering, Send::registration},
    {State::registering, Input::again, true, State::registering, Send::registration},
    {State::registering, Input::refused, false, State::waiting, Send::nothing},
    {State::registering, Input::refused, true, State::waiting, Send::nothing},

    {State::registered, Input::stop, false, State::removing, Send::removal},
    {State::registered, Input::stop, true, State::removing, Send::removal},
    {State::registered, Input::renew, false, State::refreshing, Send::registration},
    {State::registered, Input::renew, true, State::refreshing, Send::registration},
    {State::registered, Input::timer, false, State::refreshing, Send::registration},
    {State::registered, Input::timer, true, State::refreshing, Send::registration},

    {State::refreshing, Input::stop, false, State::leaving, Send::nothing},
    {State::refreshing, Input::stop, true, State::leaving, Send::nothing},
    {State::refreshing, Input::accepted, false, State::registered, Send::nothing},
    {State::refreshing, Input::accepted, true, State::registered, Send::nothing},
    {State::refreshing, Input::again, false, State::refreshing, Send::registration},
    {State::refreshing, Input::again, true, State::refreshing, Send::registration},
    {State::refreshing, Input::refused, false, State::waiting, Send::nothing},
    {State::refreshing, Input::refused, true, State::waiting, Send::nothing},

    {State::waiting, Input::stop, false, State::off, Send::nothing},
    {State::waiting, Input::stop, true, State::removing, Send::removal},
    {State::waiting, Input::renew, false, State::registering, Send::registration},
    {State::waiting, Input::renew, true, State::refreshing, Send::registration},
    {State::waiting, Input::timer, false, State::registering, Send::registration},
    {State::waiting, Input::timer, true, State::refreshing, Send::registration},

    {State::leaving, Input::start, false, State::registering, Send::nothing},
    {State::leaving, Input::start, true, State::refreshing, Send::nothing},
    {State::leaving, Input::accepted, false, State::removing, Send::removal},
    {State::leaving, Input::accepted, true, State::removing, Send::removal},
    {State::leaving, Input::again, false, State::off, Send::nothing},
    {State::leaving, Input::again, true, State::removing, Send::removal},
    {State::leaving, Input::refused, false, State::off, Send::nothing},
    {State::leaving, Input::refused, true, State::removing, Send::removal},

    {State::removing, Input::start, false, State::returning, Send::nothing},
    {State::removing, Input::start, true, State::returning, Send::nothing},
    {State::removing, Input::accepted, false, State::off, Send::nothing},
    {State::removing, Input::accepted, true, State::off, Send::nothing},
    {State::removing, Input::again, false, State::removing, Send::removal},
    {State::removing, Input::again, true, State::removing, Send::removal},
    {State::removing, Input::refused, false, State::off, Send::nothing},
    {State::removing, Input::refused, true, State::off, Send::nothing},

    {State::returning, Input::stop, false, State::removing, Send::nothing},
    {State::returning, Input::stop, true, State::removing, Send::nothing},
    {State::returning, Input::accepted, false, State::registering, Send::registration},
    {State::returning, Input::accepted, true, State::registering, Send::registration},
    {State::returning, Input::again, false, State::registering, Send::registration},
    {State::returning, Input::again, true, State::registering, Send::registration},
    {State::returning, Input::refused, false, State::registering, Send::registration},
    {State::returning, Input::refused, true, State::registering, Send::registration},
};

TEST(RegistrationMachine, every_input_in_every_state) {
  std::size_t listed = 0;
  for (State state : kStates) {
    for (Input input : kInputs) {
      for (bool bound : {false, true}) {
        RegistrationMachine machine = in(state);
        ASSERT_EQ(machine.state(), state);
        State next = state;
        Send send = Send::nothing;
        for (const Row& row : kRows) {
          if (row.state != state || row.input != input || row.bound != bound) continue;
          next = row.next;
          send = row.send;
          ++listed;
        }
        bool was_open = machine.open();
        EXPECT_EQ(machine.on(input, bound), send)
            << to_text(state) << ", input " << static_cast<int>(input) << ", bound " << bound;
        EXPECT_EQ(machine.state(), next)
            << to_text(state) << ", input " << static_cast<int>(input) << ", bound " << bound;
        // RFC 3261 §10.2: no REGISTER while another one is open, but as the next step of that one.
        bool ended = input == Input::accepted || input == Input::again || input == Input::refused;
        EXPECT_FALSE(was_open && !ended && send != Send::nothing);
      }
    }
  }
  EXPECT_EQ(listed, std::size(kRows));
}

}  // namespace
}  // namespace isthmus::provider
