#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "call/router.hpp"
#include "sip/flow.hpp"

namespace isthmus::provider {

/// A host of a provider, for its health: an address over a transport.
struct TargetKey {
  sip::Transport transport = sip::Transport::udp;
  Endpoint endpoint;

  std::string to_string() const;  ///< "udp 192.0.2.1:5060"
  auto operator<=>(const TargetKey&) const = default;
};

/// A host died or came back: one log line, one metric.
struct TargetChange {
  TargetKey target;
  bool alive = false;
  std::string_view why;  ///< "timeout", "unreachable", "unavailable", "answered", "another chance"
};

/// Which hosts of a provider answer.
///
///              timeout, refusal, ICMP error, 503
///     alive ───────────────────────────────────────▶ dead ──▶ probed by OPTIONS, after Retry-After
///       ▲  └─ every probe_interval, if there is one ◀──┐  │   if the 503 had one, until
///       └────────────── any final response but 503 ────┴──┘
///
/// A timeout of one request, while the host answered others that were sent no earlier, is taken for
/// that request's own fault: the host is probed at once, and is dead if the probe fails too. A host
/// that answers requests but has never answered a probe may simply ignore OPTIONS: it gets another
/// chance after a while. Requests' outcomes and probes' outcomes come in by the same door. Pure.
class TargetHealth {
 public:
  struct Config {
    Duration probe_interval{};  ///< of hosts that are alive; zero: these are not probed
    /// After which a request counts as unanswered, at the earliest.
    Duration request_timeout = seconds(32);
  };
  TargetHealth(Config config, Random& random) : config_(config), random_(random) {}

  /// The hosts that there are now; those known before keep their state.
  void set_targets(const std::vector<TargetKey>& targets, Instant now);
  bool has(const TargetKey& target) const { return targets_.contains(target); }
  bool alive(const TargetKey& target) const;  ///< true of one that is not known
  /// How long until a dead host is probed again, at most: for Retry-After.
  Duration until_probe(const TargetKey& target, Instant now) const;

  /// A request or probe sent there got its final response, or none.
  void on_outcome(const TargetKey& target, call::HopOutcome outcome, unsigned retry_after_s,
                  Instant now, std::vector<TargetChange>& changes);
  /// A probe ended; its outcome came by on_outcome() before.
  void on_probe_ended(const TargetKey& target, bool answered, Instant now);
  /// @param probes hosts to send OPTIONS to now; each must end with on_probe_ended().
  void on_timeout(Instant now, std::vector<TargetKey>& probes, std::vector<TargetChange>& changes);
  std::optional<Instant> next_deadline() const;

  struct State {
    bool alive = true;
    Instant since{};                     ///< of `alive`
    std::string_view why;                ///< of the last change
    std::optional<Instant> last_answer;  ///< of anything
    bool answered_probe = false;         ///< ever
    bool probing = false;                ///< an OPTIONS is on its way
    Instant probe_at = Instant::max();   ///< the next one
    Instant unavailable_until{};         ///< Retry-After
    Instant chance_at = Instant::max();  ///< see "another chance" above
    std::uint64_t failures = 0, answers = 0;
  };
  const std::map<TargetKey, State>& states() const { return targets_; }

 private:
  void die(const TargetKey& target, State& state, std::string_view why, Instant now,
           std::vector<TargetChange>& changes);
  void revive(const TargetKey& target, State& state, std::string_view why, Instant now,
              std::vector<TargetChange>& changes);
  Duration spread(Duration interval);

  Config config_;
  Random& random_;
  std::map<TargetKey, State> targets_;
};

}  // namespace isthmus::provider
