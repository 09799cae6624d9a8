#include "provider/upstream_registrations.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::provider {

using State = RegistrationMachine::State;

namespace {

/// A phone that changes networks is back within this; its provider need not hear of it.
constexpr Duration kLinger = seconds(60);
/// Accounts of a provider that came back do not all ask at once: ten a second, or within half a
/// minute if there are more.
constexpr Duration kRenewSpreadEach = milliseconds(100), kRenewSpread = seconds(30);

bool is_off(State state) {
  return state == State::off || state == State::removing || state == State::leaving;
}

}  // namespace

std::string UpstreamRegistrations::key(std::string_view provider, std::string_view user) {
  std::string text(provider);
  text += ' ';
  text += to_lower(user);
  return text;
}

void UpstreamRegistrations::add(UpstreamAccount account) {
  std::size_t index = entries_.size();
  Entry entry;
  if (account.when != RegisterWhen::never) {
    RegistrationConfig config;
    config.registrar = "sip:" + account.domain;
    config.aor = "sip:" + account.user + "@" + account.domain;
    config.auth_user = account.auth_user;
    config.password = account.password;
    config.contact_user = account.contact_user;
    config.expires_s = account.expires_s;
    config.instance = account.instance;
    entry.client = std::make_unique<RegistrationClient>(std::move(config), random_);
  }
  by_user_.emplace(key(account.provider, account.user), index);
  by_contact_.emplace(key(account.provider, account.contact_user), index);
  if (account.trunk()) {
    trunks_.emplace(account.provider, index);
  } else {
    by_aor_.emplace(key(account.provider, account.aor), index);
  }
  entry.account = std::move(account);
  entries_.push_back(std::move(entry));
}

void UpstreamRegistrations::start(std::string_view provider, Instant now, UpstreamActions& out) {
  if (stopped_) return;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.account.provider != provider || entry.started) continue;
    entry.started = true;
    if (entry.account.when != RegisterWhen::always) continue;
    entry.wanted = true;
    due_.set(i, now);
  }
  run(now, out);
}

void UpstreamRegistrations::update_presence(
    const std::function<bool(const std::string& aor)>& present, Instant now, UpstreamActions& out) {
  if (stopped_) return;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (!entry.started || entry.account.when != RegisterWhen::when_present) continue;
    bool there = present(entry.account.aor);
    if (there) {
      entry.leave_at.reset();
      if (!entry.wanted) due_.set(i, now);
      entry.wanted = true;
    } else if (entry.wanted && !entry.leave_at) {
      entry.leave_at = now + kLinger;
      schedule(i);
    }
  }
  run(now, out);
}

void UpstreamRegistrations::on_response(std::size_t index, const sip::Message* response,
                                        const sip::Flow& flow, Instant now, UpstreamActions& out) {
  if (index >= entries_.size() || open_ == 0) return;
  --open_;
  act(index, entries_[index].client->on_response(response, flow, now), now, out);
  run(now, out);
}

void UpstreamRegistrations::renew(std::string_view provider, Instant now) {
  auto accounts = std::count_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.account.provider == provider;
  });
  Duration spread = std::min(kRenewSpread, accounts * kRenewSpreadEach);
  auto spread_ms = std::chrono::duration_cast<milliseconds>(spread).count();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (!entry.client || entry.account.provider != provider || !entry.wanted) continue;
    entry.renewing = true;
    Instant at = now + milliseconds(random_.u64() % static_cast<std::uint64_t>(spread_ms));
    auto next = entry.client->next_deadline();
    if (!next || at < *next) due_.set(i, at);
  }
}

void UpstreamRegistrations::on_timeout(Instant now, UpstreamActions& out) {
  run(now, out);
}

std::optional<Instant> UpstreamRegistrations::next_deadline() const {
  if (open_ >= limits::kOpenRegistrations) return std::nullopt;  // an answer comes first
  return due_.next();
}

void UpstreamRegistrations::stop(Instant now, UpstreamActions& out) {
  stopped_ = true;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    entry.wanted = false;
    entry.leave_at.reset();
    due_.clear(i);
    if (entry.client) act(i, entry.client->stop(now), now, out);
  }
}

/// Lets those that are due act, as many as may be open at once.
void UpstreamRegistrations::run(Instant now, UpstreamActions& out) {
  while (open_ < limits::kOpenRegistrations) {
    std::optional<std::size_t> index = due_.take_due(now);
    if (!index) return;
    act(*index, next_step(entries_[*index], now), now, out);
  }
}

std::optional<sip::Message> UpstreamRegistrations::next_step(Entry& entry, Instant now) {
  RegistrationClient& client = *entry.client;
  if (entry.leave_at && *entry.leave_at <= now) {
    entry.leave_at.reset();
    entry.wanted = false;
    return client.stop(now);
  }
  if (entry.wanted && is_off(client.state())) return client.start(now);
  if (entry.renewing) {
    entry.renewing = false;
    if (auto request = client.renew(now)) return request;
  }
  return client.on_timeout(now);
}

/// What every step ends with: its REGISTER goes out, the next moment is set, a change is told.
void UpstreamRegistrations::act(std::size_t index, std::optional<sip::Message> request, Instant now,
                                UpstreamActions& out) {
  Entry& entry = entries_[index];
  if (request) {
    ++open_;
    out.sends.push_back({index, std::move(*request), entry.client->redirect()});
  }
  schedule(index);
  report(index, now, out);
}

void UpstreamRegistrations::schedule(std::size_t index) {
  const Entry& entry = entries_[index];
  std::optional<Instant> next = entry.client->next_deadline();
  if (entry.leave_at && (!next || *entry.leave_at < *next)) next = entry.leave_at;
  if (next) {
    due_.set(index, *next);
  } else {
    due_.clear(index);
  }
}

/// Only what an operator would want to hear: that it is registered, that it is not and why.
void UpstreamRegistrations::report(std::size_t index, Instant now, UpstreamActions& out) {
  Entry& entry = entries_[index];
  State state = entry.client->state();
  bool registered = entry.client->bound(now) && !is_off(state);
  const std::string& error = entry.client->last_error();
  bool told_all = registered == entry.reported && error == entry.reported_error;
  if (told_all || (state == State::registering && !registered && error.empty())) return;
  entry.reported = registered;
  entry.reported_error = error;
  out.changes.push_back({index, registered, error});
}

const UpstreamAccount* UpstreamRegistrations::find(std::string_view provider,
                                                   std::string_view user) const {
  std::string name = key(provider, user);
  auto found = by_user_.find(name);
  if (found != by_user_.end()) return &entries_[found->second].account;
  found = by_aor_.find(name);
  if (found != by_aor_.end()) return &entries_[found->second].account;
  found = trunks_.find(provider);
  return found == trunks_.end() ? nullptr : &entries_[found->second].account;
}

const UpstreamAccount* UpstreamRegistrations::by_contact(std::string_view provider,
                                                         std::string_view contact_user) const {
  auto found = by_contact_.find(key(provider, contact_user));
  return found == by_contact_.end() ? nullptr : &entries_[found->second].account;
}

const std::vector<std::string>& UpstreamRegistrations::service_route(
    const UpstreamAccount& account) const {
  static const std::vector<std::string> kNone;
  auto found = by_contact_.find(key(account.provider, account.contact_user));
  if (found == by_contact_.end() || !entries_[found->second].client) return kNone;
  return entries_[found->second].client->service_route();
}

std::vector<UpstreamRegistrations::Status> UpstreamRegistrations::status(Instant now) const {
  std::vector<Status> list;
  for (const Entry& entry : entries_) {
    if (!entry.client) continue;
    const RegistrationClient& client = *entry.client;
    Status status{&entry.account,    client.state(),      client.bound(now), {}, {},
                  client.failures(), &client.last_error()};
    if (status.registered) status.left = *client.bound_until() - now;
    if (client.state() == State::waiting && client.next_deadline())
      status.next_try = std::max(Duration::zero(), *client.next_deadline() - now);
    list.push_back(status);
  }
  return list;
}

}  // namespace isthmus::provider
