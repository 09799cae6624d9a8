#include "ua/events.hpp"

namespace isthmus::ua {

const char* to_text(CallState state) {
  switch (state) {
    case CallState::calling:
      return "calling";
    case CallState::incoming:
      return "incoming";
    case CallState::ringing:
      return "ringing";
    case CallState::early_media:
      return "early media";
    case CallState::connected:
      return "connected";
    case CallState::held:
      return "held";
    case CallState::ended:
      return "ended";
  }
  return "unknown";
}

const char* to_text(RegistrationState state) {
  switch (state) {
    case RegistrationState::unregistered:
      return "unregistered";
    case RegistrationState::registering:
      return "registering";
    case RegistrationState::registered:
      return "registered";
    case RegistrationState::failed:
      return "failed";
  }
  return "unknown";
}

const char* to_text(EndCause cause) {
  switch (cause) {
    case EndCause::none:
      return "none";
    case EndCause::local:
      return "local";
    case EndCause::remote:
      return "remote";
    case EndCause::refused:
      return "refused";
    case EndCause::timeout:
      return "timeout";
    case EndCause::link_lost:
      return "link lost";
    case EndCause::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace isthmus::ua
