#pragma once
#include <array>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "call/router.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// Session-Expires (RFC 4028 §4).
struct SessionExpires {
  seconds interval{};
  std::optional<bool> uac_refreshes;  ///< by its refresher parameter

  static std::optional<SessionExpires> of(const sip::Message& message);
  std::string to_string() const;
};

/// The session timer of one leg, as the bridge keeps it there (RFC 4028 §10).
struct SessionTimer {
  seconds interval{};  ///< 0: none runs
  seconds least{};     ///< Min-SE that its requests bear, by our policy or its 422
  bool we_refresh = false;
  Instant refresh_at{}, lapses_at{};

  bool runs() const { return interval > seconds(0); }
  /// A refresh went through: half the interval until we refresh, the whole of it, less a third or
  /// 32 seconds, until the leg counts as dead.
  void restart(Instant now);
  /// The other side grants `granted`. Less than `least` it must not (RFC 4028 §9); should it mean
  /// it all the same, it is refreshed in time, but does not lapse before `least`.
  void grant(seconds granted, bool by_us, Instant now);
  Instant next() const { return we_refresh ? std::min(refresh_at, lapses_at) : lapses_at; }
};

/// What the bridge knows of a leg whose timer it keeps.
struct TimedLeg {
  SessionTimer timer;
  bool knows_update = false;  ///< its Allow says so
  std::string described;      ///< the description that it was given last
  std::string untold;         ///< what the other side says now, and this one has to be offered
  Instant tell_at{};
  unsigned refusals = 0;  ///< 491 to that
};
using TimedLegs = std::array<TimedLeg, 2>;

/// Takes off all that a message says of session timers: they are another leg's.
void take_off_timer(sip::Message& message);
/// Asks for a timer in an INVITE or UPDATE. @param uac_refreshes nothing: the other side chooses.
void ask_for_timer(sip::Message& request, seconds interval, seconds least,
                   std::optional<bool> uac_refreshes);
/// Takes part in the answer to one: the timer as it runs from now on.
/// @param supported by the requester, who can only then be told to refresh.
void grant_timer(sip::Message& response, const SessionTimer& timer, bool supported);
/// The interval that has to be asked for at least: nothing if the request is fine, or its sender
/// could not do otherwise.
std::optional<seconds> too_small(const sip::Message& request, const LegPolicy& policy);

}  // namespace isthmus::call
