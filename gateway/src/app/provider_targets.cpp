#include "app/provider_targets.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json/object.hpp>

#include "app/admin_json.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "net/clock.hpp"

namespace isthmus::app {

namespace json = boost::json;
using net::clock_now;
using provider::TargetBook;

namespace {

provider::TargetName name_of(const ops::SipTarget& target) {
  provider::TargetName name;
  auto address = IpAddress::parse(target.host);
  name.host = address ? address->to_string() : to_lower(target.host);
  if (name.host.ends_with('.')) name.host.pop_back();
  name.port = target.port;
  name.transport = target.transport;
  return name;
}

json::object host_json(const provider::TargetGroup& group, const Endpoint& endpoint,
                       const provider::TargetHealth& health, Instant now) {
  provider::TargetKey key{group.transport, endpoint};
  json::object host{{"host", group.host},
                    {"transport", to_lower(sip::to_text(group.transport))},
                    {"address", endpoint.to_string()},
                    {"priority", group.rank & 0xFFFFu},
                    {"weight", group.weight}};
  auto found = health.states().find(key);
  if (found == health.states().end()) return host;
  const provider::TargetHealth::State& state = found->second;
  host["alive"] = state.alive;
  host["since_s"] = as_seconds(now - state.since);
  host["why"] = state.why;
  host["answers"] = state.answers;
  host["failures"] = state.failures;
  host["probe_under_way"] = state.probing;
  if (state.probe_at != Instant::max() && !state.probing) {
    host["next_probe_s"] = std::max(0.0, as_seconds(state.probe_at - now));
  }
  return host;
}

}  // namespace

ProviderTargets::ProviderTargets(boost::asio::io_context& io, const ops::GatewayConfig& config,
                                 BridgeHost& host, Random& random, ops::Log log,
                                 ops::Metrics& metrics)
    : io_(io),
      config_(config),
      host_(host),
      random_(random),
      log_(std::move(log)),
      metrics_(metrics),
      timer_(io, [this] {
        book_->on_timeout(clock_now());
        pump();
      }) {}

ProviderTargets::~ProviderTargets() {
  stop();
}

std::optional<std::string> ProviderTargets::start(provider::GatewayRouter& router) {
  net::DnsOptions options;
  options.servers = config_.dns.servers;
  options.timeout = config_.dns.timeout;
  options.tries = config_.dns.tries;
  auto dns = net::Dns::open(io_, std::move(options));
  if (!dns) return "dns: " + dns.error();
  dns_ = std::move(*dns);
  router_ = &router;
  book_ = std::make_unique<TargetBook>(TargetBook::Config{host_.reach(), 64 * config_.timers.t1},
                                       random_);
  for (const ops::ProviderConfig& provider : config_.providers) {
    book_->add_provider(provider.name, name_of(provider.target), provider.probe_interval,
                        provider.failover_timeout);
    host_.set_tls_identity(book_->identity_of(provider.name), tls_peer_of(provider));
  }
  router.set_targets(book_.get());
  host_.on_lookup = [this](const std::string& key) { lookup(key); };
  host_.after_input = [this] {
    if (book_->has_news()) pump();
  };
  metrics_.before_scrape([this] { collect_metrics(); });
  book_->on_timeout(clock_now());
  pump();
  return std::nullopt;
}

void ProviderTargets::stop() {
  timer_.cancel();
  dns_.reset();
  host_.on_lookup = nullptr;
  host_.after_input = nullptr;
}

const ops::ProviderConfig& ProviderTargets::config_of(const std::string& name) const {
  return *std::find_if(config_.providers.begin(), config_.providers.end(),
                       [&](const ops::ProviderConfig& provider) { return provider.name == name; });
}

void ProviderTargets::lookup(const std::string& key) {
  if (auto number = provider::EnumCache::number_of_key(key)) {
    lookup_number(key, *number);
  } else {
    book_->lookup(key, clock_now());
    pump();
  }
}

/// A number that cannot be looked up, or at which the DNS fails, counts as one without records for
/// a moment: the request goes on by the next route.
void ProviderTargets::lookup_number(const std::string& key, const std::string& number) {
  auto known = [this, key, number](std::vector<dns::NaptrRecord> records, Duration life) {
    Instant now = clock_now();
    Duration kept = std::clamp<Duration>(life, limits::kDnsLeastLife, limits::kDnsMostLife);
    router_->enum_cache().set(number, std::move(records), now + kept, now);
    lookup_done(key);
  };
  auto domain = provider::EnumCache::domain_of(number, config_.enumeration.suffix);
  if (!domain) return known({}, limits::kDnsMostLife);
  dns_->ask({dns::Type::naptr, to_lower(*domain)},
            [known](const dns::Question&, const dns::Answer& answer) {
              known(answer.naptr, answer.ttl);
            });
}

/// Later, not from within the bridge's actions that asked.
void ProviderTargets::lookup_done(const std::string& key) {
  boost::asio::post(io_, [this, key] {
    if (dns_) host_.lookup_done(key);
  });
}

/// Does what the book wants done, and what follows from that.
void ProviderTargets::pump() {
  if (pumping_ || !dns_) return;
  pumping_ = true;
  while (book_->has_news()) {
    TargetBook::Work work = book_->take_work();
    for (const dns::Question& question : work.questions) ask(question);
    for (const std::string& name : work.resolved) on_resolved(name);
    for (const TargetBook::Change& change : work.changes) on_change(change);
    for (const TargetBook::Probe& due : work.probes) probe(due);
    for (const std::string& key : work.located) on_located(key);
  }
  pumping_ = false;
  timer_.arm(book_->next_deadline());
}

void ProviderTargets::ask(const dns::Question& question) {
  dns_->ask(question, [this](const dns::Question& asked, const dns::Answer& answer) {
    book_->on_answer(asked, answer, clock_now());
    pump();
  });
}

void ProviderTargets::probe(const TargetBook::Probe& probe) {
  sip::Message request = sip::Message::request("OPTIONS", probe.uri);
  std::string host = host_.sip_advertised().to_uri_host();
  request.add(sip::HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  request.add(sip::HeaderId::from, "<sip:" + host + ">;tag=" + random_.token(12));
  request.add(sip::HeaderId::to, "<" + probe.uri + ">");
  request.add(sip::HeaderId::call_id, random_.token(24));
  request.add(sip::HeaderId::cseq, "1 OPTIONS");
  request.add(sip::HeaderId::accept, "application/sdp");
  request.add(sip::HeaderId::user_agent, "Isthmus");
  // How it ended, the bridge tells the router (on_outcome).
  host_.send_own({std::move(request), {probe.candidate.flow()}},
                 [this, probe](const call::OwnResponse& response) {
                   book_->on_probe_ended(probe, response.response.has_value(), clock_now());
                   pump();
                 });
}

void ProviderTargets::on_resolved(const std::string& name) {
  const provider::TargetLocator& locator = book_->providers().find(name)->second.locator;
  router_->set_addresses(name, book_->addresses_of(name));
  for (const provider::TargetGroup& group : locator.groups()) {
    if (group.transport != sip::Transport::tls) continue;
    transport::TlsPeer peer = tls_peer_of(config_of(name));
    for (const Endpoint& endpoint : group.endpoints) {
      if (judged_by_config_.insert(endpoint).second) host_.set_tls_peer(endpoint, peer);
    }
  }
  std::string& logged = problems_[name];
  if (locator.problem() == logged) return;
  logged = locator.problem();
  if (logged.empty()) {
    log_.info("provider_resolved", {{"provider", name}, {"groups", locator.groups().size()}});
  } else {
    log_.warning("provider_not_resolved", {{"provider", name},
                                           {"problem", logged},
                                           {"addresses_in_use", book_->addresses_of(name).size()}});
  }
}

/// A next hop that a message named. Its certificate is judged by that name, unless it is a host of
/// a provider, of which the configuration says more.
void ProviderTargets::on_located(const std::string& key) {
  if (const std::vector<provider::TargetGroup>* groups = book_->located(key)) {
    for (const provider::TargetGroup& group : *groups) {
      if (group.transport != sip::Transport::tls) continue;
      transport::TlsPeer peer;
      peer.name = group.tls_name;
      for (const Endpoint& endpoint : group.endpoints) {
        if (!judged_by_config_.contains(endpoint)) host_.set_tls_peer(endpoint, peer);
      }
    }
  }
  lookup_done(key);
}

void ProviderTargets::on_change(const TargetBook::Change& change) {
  const provider::TargetChange& what = change.change;
  ops::LogLevel level = what.alive ? ops::LogLevel::info : ops::LogLevel::warning;
  log_.write(level, what.alive ? "provider_host_alive" : "provider_host_dead",
             {{"provider", change.provider},
              {"transport", sip::to_text(what.target.transport)},
              {"host", what.target.endpoint},
              {"why", what.why}});
  if (what.alive && on_host_back) on_host_back(change.provider);
}

json::array ProviderTargets::json() const {
  json::array list;
  if (!book_) return list;
  Instant now = clock_now();
  for (const auto& [name, state] : book_->providers()) {
    json::array hosts;
    for (const provider::TargetGroup& group : state.locator.groups()) {
      for (const Endpoint& endpoint : group.endpoints) {
        hosts.push_back(host_json(group, endpoint, state.health, now));
      }
    }
    json::object entry{{"name", name},
                       {"target", state.locator.name().to_string()},
                       {"problem", state.locator.problem()},
                       {"hosts", std::move(hosts)}};
    if (state.locator.settled() && state.locator.expires() != Instant::max()) {
      entry["expires_s"] = as_seconds(state.locator.expires() - now);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

/// Every series is there from the start, so that rates of the first one are seen.
void ProviderTargets::collect_failovers() {
  static const provider::FailoverCounts::Counts kNone;
  const auto& counted = router_->failovers().by_provider();
  for (const ops::ProviderConfig& provider : config_.providers) {
    auto found = counted.find(provider.name);
    const provider::FailoverCounts::Counts& counts = found == counted.end() ? kNone : found->second;
    for (std::size_t i = 0; i < provider::FailoverCounts::kWhys; ++i) {
      std::string why(provider::to_text(static_cast<call::HopOutcome>(i)));
      for (bool host : {true, false}) {
        metrics_
            .counter(
                "isthmus_provider_failovers_total",
                "Requests that left a provider's host for another host of it, or for another "
                "provider",
                {{"provider", provider.name}, {"to", host ? "host" : "provider"}, {"why", why}})
            .set((host ? counts.to_host : counts.to_provider)[i]);
      }
    }
  }
}

void ProviderTargets::collect_metrics() {
  static constexpr const char* kUp = "isthmus_provider_target_up";
  static constexpr const char* kFailures = "isthmus_provider_target_failures_total";
  // Hosts come and go with the DNS.
  metrics_.forget(kUp);
  metrics_.forget(kFailures);
  for (const auto& [name, state] : book_->providers()) {
    for (const auto& [target, health] : state.health.states()) {
      ops::Labels labels{{"provider", name}, {"target", target.to_string()}};
      metrics_.gauge(kUp, "Whether a provider's host gets requests (1) or is skipped (0)", labels)
          .set(health.alive ? 1 : 0);
      metrics_
          .counter(kFailures, "Requests that a provider's host answered with silence or 503",
                   labels)
          .set(health.failures);
    }
  }
  collect_failovers();
  if (!dns_) return;
  const net::Dns::Counters& dns = dns_->counters();
  auto set = [&](const char* metric, const char* help, std::uint64_t value) {
    metrics_.counter(metric, help).set(value);
  };
  set("isthmus_dns_queries_total", "Questions sent to the DNS", dns.queries);
  set("isthmus_dns_cached_total", "Questions answered from what was known", dns.cached);
  set("isthmus_dns_failures_total", "Questions that no DNS server answered soundly", dns.failures);
  set("isthmus_dns_refused_total", "Questions not asked because a limit was reached", dns.refused);
}

}  // namespace isthmus::app
