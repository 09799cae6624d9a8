#include "provider/target_health.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::provider {

using call::HopOutcome;

namespace {

constexpr Duration kProbeDeadEvery = seconds(5);  // after the last probe of a dead host ended
constexpr Duration kAnotherChance = seconds(60);  // to a host that may ignore OPTIONS

}  // namespace

std::string TargetKey::to_string() const {
  return sip::Flow{transport, endpoint, 0, 0}.to_string();
}

/// Between 9/10 and 11/10 of it, so that probes of many hosts do not fall together.
Duration TargetHealth::spread(Duration interval) {
  return interval * (900 + random_.u64() % 201) / 1000;
}

void TargetHealth::set_targets(const std::vector<TargetKey>& targets, Instant now) {
  std::erase_if(targets_, [&](const auto& entry) {
    return std::find(targets.begin(), targets.end(), entry.first) == targets.end();
  });
  for (const TargetKey& target : targets) {
    auto [entry, added] = targets_.try_emplace(target);
    if (!added) continue;
    entry->second.since = now;
    if (config_.probe_interval > Duration::zero()) entry->second.probe_at = now;
  }
}

bool TargetHealth::alive(const TargetKey& target) const {
  auto found = targets_.find(target);
  return found == targets_.end() || found->second.alive;
}

Duration TargetHealth::until_probe(const TargetKey& target, Instant now) const {
  auto found = targets_.find(target);
  if (found == targets_.end() || found->second.alive) return {};
  const State& state = found->second;
  if (state.probing) return kProbeDeadEvery;
  return std::max(Duration::zero(), std::min(state.probe_at, state.chance_at) - now);
}

void TargetHealth::die(const TargetKey& target, State& state, std::string_view why, Instant now,
                       std::vector<TargetChange>& changes) {
  state.probe_at = std::max(now, state.unavailable_until);
  if (!state.answered_probe && state.answers > 0) {
    state.chance_at = std::max(now + kAnotherChance, state.unavailable_until);
  }
  if (!state.alive) return;
  state.alive = false;
  state.since = now;
  state.why = why;
  changes.push_back({target, false, why});
}

void TargetHealth::revive(const TargetKey& target, State& state, std::string_view why, Instant now,
                          std::vector<TargetChange>& changes) {
  state.chance_at = Instant::max();
  if (state.alive) return;
  state.alive = true;
  state.since = now;
  state.why = why;
  if (!state.probing) {
    bool probed = config_.probe_interval > Duration::zero();
    state.probe_at = probed ? now + spread(config_.probe_interval) : Instant::max();
  }
  changes.push_back({target, true, why});
}

void TargetHealth::on_outcome(const TargetKey& target, HopOutcome outcome, unsigned retry_after_s,
                              Instant now, std::vector<TargetChange>& changes) {
  auto found = targets_.find(target);
  if (found == targets_.end()) return;
  State& state = found->second;
  if (outcome == HopOutcome::answered) {
    ++state.answers;
    state.last_answer = now;
    // What was sent before it asked for a pause may be answered in that pause.
    if (now >= state.unavailable_until) revive(target, state, "answered", now, changes);
    return;
  }
  ++state.failures;
  bool was_alive = state.alive;
  if (outcome == HopOutcome::timeout) {
    bool answered_since = state.last_answer && now - *state.last_answer < config_.request_timeout;
    if (state.alive && answered_since) {
      if (!state.probing) state.probe_at = now;
      return;
    }
    if (was_alive) die(target, state, "timeout", now, changes);
  } else if (outcome == HopOutcome::unreachable) {
    if (was_alive) die(target, state, "unreachable", now, changes);
  } else {
    state.last_answer = now;
    if (retry_after_s > 0) {
      seconds pause = std::min(seconds(retry_after_s), limits::kMostRetryAfter);
      state.unavailable_until = std::max(state.unavailable_until, now + pause);
    }
    if (was_alive || retry_after_s > 0) die(target, state, "unavailable", now, changes);
  }
}

void TargetHealth::on_probe_ended(const TargetKey& target, bool answered, Instant now) {
  auto found = targets_.find(target);
  if (found == targets_.end()) return;
  State& state = found->second;
  state.probing = false;
  state.answered_probe |= answered;
  if (state.alive) {
    bool probed = config_.probe_interval > Duration::zero();
    state.probe_at = probed ? now + spread(config_.probe_interval) : Instant::max();
  } else {
    state.probe_at = std::max(now + spread(kProbeDeadEvery), state.unavailable_until);
  }
}

void TargetHealth::on_timeout(Instant now, std::vector<TargetKey>& probes,
                              std::vector<TargetChange>& changes) {
  for (auto& [target, state] : targets_) {
    if (!state.alive && state.chance_at <= now) {
      revive(target, state, "another chance", now, changes);
    }
    if (state.probing || state.probe_at > now) continue;
    state.probing = true;
    probes.push_back(target);
  }
}

std::optional<Instant> TargetHealth::next_deadline() const {
  Instant next = Instant::max();
  for (const auto& [target, state] : targets_) {
    if (!state.probing) next = std::min(next, state.probe_at);
    if (!state.alive) next = std::min(next, state.chance_at);
  }
  if (next == Instant::max()) return std::nullopt;
  return next;
}

}  // namespace isthmus::provider
