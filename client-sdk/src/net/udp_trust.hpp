#pragma once
#include <optional>

#include "base/random.hpp"
#include "base/time.hpp"

namespace isthmus::net {

/// When a client that has both kinds of link to choose from tries UDP. A network may let the
/// handshake through and drop what follows, at once or some seconds later, again and again: each
/// time costs a gap in every call. Pure.
///
///     trusted ──on_down of a link that served──▶ trusted (a change of network, a blackout)
///        │  └──on_down of one that did not, or not for long──▶ distrusted, for a time that doubles
///        └──on_trial_failed──▶ trusted; the next trial beside a WebSocket comes later, doubling
///
/// A UDP link that served for kStable, and another network, begin anew.
class UdpTrust {
 public:
  static constexpr Duration kFirst = seconds(5);  ///< to the first trial beside a WebSocket
  static constexpr Duration kLast = seconds(600);
  static constexpr Duration kStable = seconds(60);
  /// A network that sorts packets by what they are will do so for long, and each trial costs a gap.
  static constexpr Duration kAfterMedia = seconds(60);

  /// @param random  spreads the times by a quarter to either side
  explicit UdpTrust(Random& random) : random_(random) {}

  /// A UDP link carries the session from now.
  void on_up(Instant now);
  /// Media passed it both ways.
  void on_proved() { proved_ = true; }
  /// It was lost, or left because nothing passed any more; ignored when there was none.
  /// @param media_alone  the rest did pass: UDP as such is not what this network lets through
  void on_down(Instant now, bool media_alone);
  /// It was given up for reasons of its session.
  void on_over() { up_since_.reset(); }
  /// An attempt at UDP beside a WebSocket came to nothing.
  void on_trial_failed(Instant now);
  void on_network_changed();

  /// May an attempt at a link include UDP?
  bool trusted(Instant now) const { return now >= not_before_; }
  /// For a session that has just come to a WebSocket: when UDP is to be tried beside it.
  Instant next_trial(Instant now);

 private:
  Duration jittered(Duration wait);
  void double_wait();

  Random& random_;
  Duration wait_ = kFirst;
  Instant not_before_{};
  std::optional<Instant> trial_at_;
  std::optional<Instant> up_since_;
  bool proved_ = false;
};

}  // namespace isthmus::net
