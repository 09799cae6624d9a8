#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "dns/records.hpp"
#include "provider/target_health.hpp"
#include "provider/target_locator.hpp"
#include "sip/flow.hpp"

namespace isthmus::provider {

/// Where each provider is reached at the moment and which of its hosts answer; besides, where the
/// hosts lie that Contacts, Routes and redirections name. Pure: what is to be asked, sent and told
/// is collected, and drained by the owner after every input.
class TargetBook {
 public:
  struct Config {
    Reach reach;
    Duration request_timeout = seconds(32);  ///< 64*T1
  };
  struct Probe {  ///< send OPTIONS there; its outcome comes by on_outcome(), then on_probe_ended()
    std::string provider;
    Candidate candidate;
    std::string uri;  ///< Request-URI: the provider's target
  };
  struct Change {
    std::string provider;
    TargetChange change;
  };
  struct Work {
    std::vector<dns::Question> questions;  ///< each must be answered some time
    std::vector<Probe> probes;
    std::vector<Change> changes;
    std::vector<std::string> resolved;  ///< providers whose look-up came to its end
    std::vector<std::string> located;   ///< keys of lookup() that came to their end
  };

  /// `random` must outlive the book.
  TargetBook(Config config, Random& random) : config_(config), random_(random) {}

  /// Nothing happens before the next on_timeout(). A name given twice is the same provider.
  /// @param failover_after  after which a request that has somewhere else to go gives a host up;
  /// zero: when its transaction ends.
  void add_provider(const std::string& name, TargetName target, Duration probe_interval,
                    Duration failover_after = {});

  void on_timeout(Instant now);
  void on_answer(const dns::Question& question, const dns::Answer& answer, Instant now);
  void on_outcome(const sip::Flow& to, call::HopOutcome outcome, unsigned retry_after_s,
                  Instant now);
  void on_probe_ended(const Probe& probe, bool answered, Instant now);
  /// Asks for a key that locate() gave; Work::located names it when it is known.
  void lookup(std::string_view key, Instant now);
  std::optional<Instant> next_deadline() const;
  /// Whether anything came in since the last take_work(), which may have moved the deadline too.
  bool has_news() const { return news_; }
  Work take_work();

  /// Hosts for one request to a provider, in the order in which to try them.
  struct Choice {
    std::vector<Candidate> live;
    bool located = false;        ///< the provider has hosts, live ones or not
    unsigned retry_after_s = 5;  ///< when none is live
  };
  /// Flow::identity of the provider's TLS connections; 0: no such provider.
  std::uint32_t identity_of(std::string_view provider) const;
  /// The provider that an identity stands for; "": none.
  std::string_view provider_of(std::uint32_t identity) const;
  bool has_provider(std::string_view name) const { return providers_.contains(name); }
  Choice choose(std::string_view provider, Instant now);
  /// Addresses of all of a provider's hosts: where its requests may come from.
  std::vector<Endpoint> addresses_of(std::string_view provider) const;

  /// TLS hosts of a provider, in the order in which to try them, for what must not go in the clear:
  /// of its target those, or, where that is a bare name, what the DNS says of it as a SIPS URI (RFC
  /// 3263 §4.1). @param lookup  as in locate()
  std::vector<sip::Flow> secure_hosts(std::string_view provider, Instant now, std::string& lookup);
  /// See call::Router::locate. Hosts that are known to be dead come last.
  std::vector<sip::Flow> locate(std::string_view uri, const sip::Flow& near, Instant now,
                                std::string& lookup);
  /// Where the name of a key of lookup() leads; null when nothing is known of it.
  const std::vector<TargetGroup>* located(std::string_view key) const;

  struct ProviderState {
    explicit ProviderState(TargetLocator l, TargetHealth h)
        : locator(std::move(l)), health(std::move(h)) {}
    TargetLocator locator;
    TargetHealth health;
    std::uint32_t identity = 0;
  };
  const std::map<std::string, ProviderState, std::less<>>& providers() const { return providers_; }

 private:
  struct Located {
    TargetLocator locator;
    Instant used;
  };

  void settle(const std::string& name, ProviderState& provider, Instant now);
  bool dead(const Candidate& candidate) const;
  std::uint32_t identity_at(const Candidate& candidate, const sip::Flow& near) const;
  std::vector<sip::Flow> flows_of(const std::vector<TargetGroup>& groups, const TargetName& name,
                                  const sip::Flow& near);
  void make_room(Instant now);

  Config config_;
  Random& random_;
  std::map<std::string, ProviderState, std::less<>> providers_;
  std::map<std::string, Located, std::less<>> located_;  ///< by key
  Work work_;
  bool news_ = false;
};

}  // namespace isthmus::provider
