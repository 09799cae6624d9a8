#pragma once
#include <optional>

#include "base/limits.hpp"
#include "base/time.hpp"

namespace isthmus::net {

/// Whether media passes a UDP link both ways: a handshake proves nothing of it, since a network may
/// let QUIC through and drop all else. Asked by media pings when the link is new, and later when
/// media is sent and none comes back. Pure.
///
///     begin ──▶ asking ──anything by media──▶ proved ──media sent, none heard for kLinkQuiet──┐
///                 ▲ └──none in time──▶ failed (told once; asks on)                            │
///                 └───────────────────────────────────────────────────────────────────────────┘
class MediaProof {
 public:
  enum class Step {
    none,
    ask,     ///< send a media ping
    failed,  ///< none of those sent was answered
  };

  /// A UDP link is in use. @param round_trip  as far as it is known: slow answers are no loss
  void begin(Instant now, std::optional<Duration> round_trip);
  void end();  ///< none is, or none of this kind
  bool active() const { return state_ != State::off; }
  /// Media, not a ping. @return whether next_deadline() is another by it
  bool on_sent(Instant now);
  /// Anything came by media. @return whether that proved what was asked
  bool on_heard(Instant now);
  Step on_timeout(Instant now);
  std::optional<Instant> next_deadline() const;

  /// Since when it has been asked; nothing when it is not.
  std::optional<Instant> asking_since() const;

 private:
  enum class State { off, asking, proved };
  void ask(Instant now, Duration least);

  State state_ = State::off;
  Duration round_trip_{};
  Instant asked_at_{}, next_ask_{}, fail_at_{};
  Instant sent_at_{}, heard_at_{}, check_at_{};
  bool watching_ = false;  ///< media is being sent
};

}  // namespace isthmus::net
