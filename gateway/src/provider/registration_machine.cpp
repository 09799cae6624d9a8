#include "provider/registration_machine.hpp"

namespace isthmus::provider {

// RFC 3261 §10.2. "send" is a REGISTER with our expiry, "remove" one with expiry 0.
//
//            start/send                accepted
//     off ──────────────▶ registering ─────────▶ registered ──timer, renew/send──▶ refreshing
//      ▲                   ▲  │   │ refused         │   ▲                             │   │
//      │        timer/send │  │   ▼                 │   └─────────accepted────────────┘   │
//      │                 waiting ◀──────────────────┼──────────────refused────────────────┘
//      │                   │ stop, bound/remove     │ stop/remove
//      │  accepted,        ▼                        │          stop from registering,
//      └──refused─────── removing ◀─────────────────┘          refreshing ──▶ leaving
//                          │  ▲                                     │
//                    start ▼  │ stop                                │ accepted/remove
//                        returning ──its end/send──▶ registering    └──▶ removing
//
// `again` sends once more and stays, wherever a REGISTER is open and still wanted.

using State = RegistrationMachine::State;
using Send = RegistrationMachine::Send;

Send RegistrationMachine::on(Input input, bool bound) {
  switch (state_) {
    case State::off:
      return off(input);
    case State::registering:
    case State::refreshing:
      return registering(input, state_);
    case State::registered:
      return registered(input);
    case State::waiting:
      return waiting(input, bound);
    case State::leaving:
      return leaving(input, bound);
    case State::removing:
      return removing(input);
    case State::returning:
      return returning(input);
  }
  return Send::nothing;
}

bool RegistrationMachine::open() const {
  return state_ != State::off && state_ != State::registered && state_ != State::waiting;
}

Send RegistrationMachine::off(Input input) {
  if (input != Input::start) return Send::nothing;
  return enter(State::registering, Send::registration);
}

/// Registering and refreshing differ in what stands meanwhile, not in what comes next.
Send RegistrationMachine::registering(Input input, State same) {
  switch (input) {
    case Input::accepted:
      return enter(State::registered, Send::nothing);
    case Input::again:
      return enter(same, Send::registration);
    case Input::refused:
      return enter(State::waiting, Send::nothing);
    case Input::stop:
      return enter(State::leaving, Send::nothing);
    case Input::start:
    case Input::renew:
    case Input::timer:
      return Send::nothing;
  }
  return Send::nothing;
}

Send RegistrationMachine::registered(Input input) {
  switch (input) {
    case Input::timer:
    case Input::renew:
      return enter(State::refreshing, Send::registration);
    case Input::stop:
      return enter(State::removing, Send::removal);
    case Input::start:
    case Input::accepted:
    case Input::again:
    case Input::refused:
      return Send::nothing;
  }
  return Send::nothing;
}

Send RegistrationMachine::waiting(Input input, bool bound) {
  switch (input) {
    case Input::timer:
    case Input::renew:
      return enter(bound ? State::refreshing : State::registering, Send::registration);
    case Input::stop:
      return bound ? enter(State::removing, Send::removal) : enter(State::off, Send::nothing);
    case Input::start:
    case Input::accepted:
    case Input::again:
    case Input::refused:
      return Send::nothing;
  }
  return Send::nothing;
}

Send RegistrationMachine::leaving(Input input, bool bound) {
  switch (input) {
    case Input::accepted:
      return enter(State::removing, Send::removal);
    case Input::again:  // not accepted: only what stood before is to be removed
    case Input::refused:
      return bound ? enter(State::removing, Send::removal) : enter(State::off, Send::nothing);
    case Input::start:
      return enter(bound ? State::refreshing : State::registering, Send::nothing);
    case Input::stop:
    case Input::renew:
    case Input::timer:
      return Send::nothing;
  }
  return Send::nothing;
}

Send RegistrationMachine::removing(Input input) {
  switch (input) {
    case Input::accepted:
    case Input::refused:  // it will lapse by itself
      return enter(State::off, Send::nothing);
    case Input::again:
      return Send::removal;
    case Input::start:
      return enter(State::returning, Send::nothing);
    case Input::stop:
    case Input::renew:
    case Input::timer:
      return Send::nothing;
  }
  return Send::nothing;
}

Send RegistrationMachine::returning(Input input) {
  switch (input) {
    case Input::accepted:
    case Input::refused:
    case Input::again:  // the removal is not wanted any more
      return enter(State::registering, Send::registration);
    case Input::stop:
      return enter(State::removing, Send::nothing);
    case Input::start:
    case Input::renew:
    case Input::timer:
      return Send::nothing;
  }
  return Send::nothing;
}

std::string_view to_text(State state) {
  switch (state) {
    case State::off:
      return "off";
    case State::registering:
      return "registering";
    case State::registered:
      return "registered";
    case State::refreshing:
      return "refreshing";
    case State::waiting:
      return "waiting";
    case State::leaving:
      return "leaving";
    case State::removing:
      return "removing";
    case State::returning:
      return "returning";
  }
  return "";
}

}  // namespace isthmus::provider
