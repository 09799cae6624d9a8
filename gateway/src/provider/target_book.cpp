#include "provider/target_book.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"

namespace isthmus::provider {

namespace {

std::vector<TargetKey> keys_of(const std::vector<TargetGroup>& groups) {
  std::vector<TargetKey> keys;
  for (const TargetGroup& group : groups) {
    for (const Endpoint& endpoint : group.endpoints) keys.push_back({group.transport, endpoint});
  }
  return keys;
}

void consider(std::optional<Instant>& next, std::optional<Instant> other) {
  if (other && (!next || *other < *next)) next = other;
}

/// The last look-up went well or badly not long ago.
bool fresh(const TargetLocator& locator, Instant now) {
  if (!locator.settled() || locator.asking()) return false;
  std::optional<Instant> again = locator.next_deadline();
  return !again || *again > now;
}

}  // namespace

void TargetBook::add_provider(const std::string& name, TargetName target, Duration probe_interval,
                              Duration failover_after) {
  bool gives_up = failover_after > Duration::zero();
  TargetHealth::Config health{
      probe_interval,
      gives_up ? std::min(failover_after, config_.request_timeout) : config_.request_timeout};
  auto [added, is_new] =
      providers_.emplace(std::piecewise_construct, std::forward_as_tuple(name),
                         std::forward_as_tuple(TargetLocator(std::move(target), config_.reach),
                                               TargetHealth(health, random_)));
  if (is_new) added->second.identity = static_cast<std::uint32_t>(providers_.size());
}

std::uint32_t TargetBook::identity_of(std::string_view provider) const {
  auto found = providers_.find(provider);
  return found == providers_.end() ? 0 : found->second.identity;
}

std::string_view TargetBook::provider_of(std::uint32_t identity) const {
  for (const auto& [name, provider] : providers_) {
    if (identity != 0 && provider.identity == identity) return name;
  }
  return {};
}

void TargetBook::on_timeout(Instant now) {
  news_ = true;
  for (auto& [name, provider] : providers_) {
    bool was_settled = provider.locator.settled();
    provider.locator.on_timeout(now, work_.questions);
    if (!was_settled && provider.locator.settled()) settle(name, provider, now);
    std::vector<TargetKey> due;
    std::vector<TargetChange> changes;
    provider.health.on_timeout(now, due, changes);
    for (TargetChange& change : changes) work_.changes.push_back({name, change});
    for (const TargetKey& target : due) {
      const TargetName& uri = provider.locator.name();
      work_.probes.push_back({name,
                              {target.transport, target.endpoint, uri.host,
                               target.transport == sip::Transport::tls ? provider.identity : 0},
                              uri.to_string()});
    }
  }
}

void TargetBook::on_answer(const dns::Question& question, const dns::Answer& answer, Instant now) {
  news_ = true;
  for (auto& [name, provider] : providers_) {
    if (provider.locator.on_answer(question, answer, now, work_.questions)) {
      settle(name, provider, now);
    }
  }
  for (auto& [key, place] : located_) {
    if (place.locator.on_answer(question, answer, now, work_.questions)) {
      work_.located.push_back(key);
    }
  }
}

void TargetBook::settle(const std::string& name, ProviderState& provider, Instant now) {
  provider.health.set_targets(keys_of(provider.locator.groups()), now);
  work_.resolved.push_back(name);
}

void TargetBook::on_outcome(const sip::Flow& to, call::HopOutcome outcome, unsigned retry_after_s,
                            Instant now) {
  if (to.is_link()) return;
  for (auto& [name, provider] : providers_) {
    if (!provider.health.has({to.transport, to.remote})) continue;
    if (to.identity != 0 && to.identity != provider.identity) continue;
    news_ = true;
    std::vector<TargetChange> changes;
    provider.health.on_outcome({to.transport, to.remote}, outcome, retry_after_s, now, changes);
    for (TargetChange& change : changes) work_.changes.push_back({name, change});
  }
}

void TargetBook::on_probe_ended(const Probe& probe, bool answered, Instant now) {
  auto provider = providers_.find(probe.provider);
  if (provider == providers_.end()) return;
  news_ = true;
  provider->second.health.on_probe_ended({probe.candidate.transport, probe.candidate.endpoint},
                                         answered, now);
}

void TargetBook::lookup(std::string_view key, Instant now) {
  news_ = true;
  auto found = located_.find(key);
  if (found == located_.end()) {
    Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(key);
    std::optional<TargetName> name = uri ? TargetName::of_uri(*uri) : std::nullopt;
    if (!name) {
      work_.located.emplace_back(key);
      return;
    }
    make_room(now);
    found =
        located_.emplace(key, Located{TargetLocator(std::move(*name), config_.reach), now}).first;
  }
  found->second.used = now;
  TargetLocator& locator = found->second.locator;
  locator.on_timeout(now, work_.questions);
  if (!locator.asking()) work_.located.emplace_back(key);
}

/// Forgets what has not been used for longest. One that is being looked up counts as ended, so that
/// nobody waits for it.
void TargetBook::make_room(Instant now) {
  if (located_.size() < limits::kLocatedNames) return;
  std::erase_if(located_, [&](const auto& entry) {
    const TargetLocator& locator = entry.second.locator;
    return !locator.asking() && locator.expires() <= now;
  });
  if (located_.size() < limits::kLocatedNames) return;
  auto oldest =
      std::min_element(located_.begin(), located_.end(),
                       [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  if (oldest->second.locator.asking()) work_.located.push_back(oldest->first);
  located_.erase(oldest);
}

std::optional<Instant> TargetBook::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& [name, provider] : providers_) {
    consider(next, provider.locator.next_deadline());
    consider(next, provider.health.next_deadline());
  }
  return next;
}

TargetBook::Work TargetBook::take_work() {
  news_ = false;
  return std::exchange(work_, {});
}

TargetBook::Choice TargetBook::choose(std::string_view provider, Instant now) {
  Choice choice;
  auto found = providers_.find(provider);
  if (found == providers_.end()) return choice;
  const ProviderState& state = found->second;
  std::vector<Candidate> all = in_order(state.locator.groups(), random_);
  choice.located = !all.empty();
  Duration wait = Duration::max();
  for (Candidate& candidate : all) {
    TargetKey key{candidate.transport, candidate.endpoint};
    if (candidate.transport == sip::Transport::tls) candidate.identity = state.identity;
    if (state.health.alive(key)) {
      choice.live.push_back(std::move(candidate));
    } else {
      wait = std::min(wait, state.health.until_probe(key, now));
    }
  }
  if (choice.located && choice.live.empty()) {
    // The probe takes a moment, too.
    choice.retry_after_s = static_cast<unsigned>(std::chrono::ceil<seconds>(wait).count()) + 1;
  }
  return choice;
}

std::vector<Endpoint> TargetBook::addresses_of(std::string_view provider) const {
  std::vector<Endpoint> addresses;
  auto found = providers_.find(provider);
  if (found == providers_.end()) return addresses;
  for (const TargetKey& key : keys_of(found->second.locator.groups())) {
    if (std::find(addresses.begin(), addresses.end(), key.endpoint) == addresses.end()) {
      addresses.push_back(key.endpoint);
    }
  }
  return addresses;
}

bool TargetBook::dead(const Candidate& candidate) const {
  TargetKey key{candidate.transport, candidate.endpoint};
  return std::any_of(providers_.begin(), providers_.end(),
                     [&](const auto& entry) { return !entry.second.health.alive(key); });
}

/// Whom a place that a message named is taken for over TLS: the provider that the dialog is with,
/// else the first of the configuration whose host it is.
std::uint32_t TargetBook::identity_at(const Candidate& candidate, const sip::Flow& near) const {
  if (candidate.transport != sip::Transport::tls) return 0;
  std::uint32_t found = 0;
  for (const auto& [name, provider] : providers_) {
    if (!provider.health.has({candidate.transport, candidate.endpoint})) continue;
    if (provider.identity == near.identity) return near.identity;
    if (found == 0 || provider.identity < found) found = provider.identity;
  }
  return found;
}

std::vector<sip::Flow> TargetBook::flows_of(const std::vector<TargetGroup>& groups,
                                            const TargetName& name, const sip::Flow& near) {
  std::vector<Candidate> candidates = in_order(groups, random_);
  if (candidates.size() > 1)
    std::stable_partition(candidates.begin(), candidates.end(),
                          [&](const Candidate& candidate) { return !dead(candidate); });
  std::vector<sip::Flow> flows;
  for (Candidate& candidate : candidates) {
    candidate.identity = identity_at(candidate, near);
    sip::Flow flow = candidate.flow();
    // The connection that the dialog runs over serves, when the URI does not ask for another
    // transport (RFC 5923 §4 speaks for the reuse).
    bool same_place = candidate.endpoint == near.remote && !near.is_link();
    if (same_place && !name.transport && !name.secure) flow = near;
    if (flow.transport == near.transport) flow.local = near.local;
    flows.push_back(flow);
  }
  return flows;
}

std::vector<sip::Flow> TargetBook::locate(std::string_view uri_text, const sip::Flow& near,
                                          Instant now, std::string& lookup) {
  lookup.clear();
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(uri_text);
  std::optional<TargetName> name = uri ? TargetName::of_uri(*uri) : std::nullopt;
  if (!name) return {};
  if (std::optional<IpAddress> address = IpAddress::parse(name->host)) {
    return flows_of(groups_at(*address, *name, config_.reach), *name, near);
  }
  std::string key = name->to_string();
  auto found = located_.find(key);
  if (found != located_.end() && fresh(found->second.locator, now)) {
    found->second.used = now;
    return flows_of(found->second.locator.groups(), found->second.locator.name(), near);
  }
  lookup = std::move(key);
  return {};
}

std::vector<sip::Flow> TargetBook::secure_hosts(std::string_view provider, Instant now,
                                                std::string& lookup) {
  lookup.clear();
  std::vector<sip::Flow> flows;
  for (const Candidate& candidate : choose(provider, now).live) {
    if (candidate.transport == sip::Transport::tls) flows.push_back(candidate.flow());
  }
  auto found = providers_.find(provider);
  if (!flows.empty() || found == providers_.end()) return flows;
  TargetName name = found->second.locator.name();
  if (name.transport || name.port != 0 || name.secure || IpAddress::parse(name.host)) return flows;
  name.secure = true;
  flows = locate(name.to_string(), {}, now, lookup);
  for (sip::Flow& flow : flows) flow.identity = found->second.identity;
  return flows;
}

const std::vector<TargetGroup>* TargetBook::located(std::string_view key) const {
  auto found = located_.find(key);
  return found == located_.end() ? nullptr : &found->second.locator.groups();
}

}  // namespace isthmus::provider
