#pragma once
#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/address.hpp"
#include "base/time.hpp"
#include "call/router.hpp"
#include "session/limiter.hpp"

namespace isthmus::provider {

/// What one party may do; 0 is no limit.
struct AdmissionLimits {
  std::uint32_t calls = 0;                ///< at once, placed and taken
  std::uint32_t call_attempts_per_s = 0;  ///< INVITEs
  std::uint32_t registrations_per_s = 0;  ///< REGISTERs
  std::uint32_t requests_per_s = 0;       ///< all others outside dialogs
  bool operator==(const AdmissionLimits&) const = default;
};

/// Which limit was met.
enum class AdmissionReason : std::uint8_t {
  account_calls,
  account_call_attempts,
  account_registrations,
  account_requests,
  source_call_attempts,
  source_registrations,
  source_requests,
  count_
};
std::string_view to_text(AdmissionReason reason);  ///< "account_calls", for metrics

/// Limits of new requests by account (a user over all sessions, or a provider) and by source (the
/// address that a client or provider has). Rates are token buckets that hold five seconds' worth,
/// so that an office may start together. Bounded: the party not seen for longest makes room. Pure.
class Admission {
 public:
  struct Config {
    AdmissionLimits user, provider;  ///< of those without limits of their own
    AdmissionLimits source;          ///< `calls` means nothing here
    std::map<std::string, AdmissionLimits, std::less<>> users, providers;  ///< of their own
  };
  struct Party {
    bool is_user = true;  ///< or a provider
    std::string name;     ///< empty: nobody known
    std::optional<IpAddress> source;
  };

  Admission() = default;
  explicit Admission(Config config) : config_(std::move(config)) {}

  /// A new request outside dialogs. @return nothing: it is welcome, and was counted.
  std::optional<call::RouteRejection> admit(std::string_view method, const Party& party,
                                            Instant now);
  /// Whether that user or provider has all the calls it may have.
  bool is_full(bool is_user, std::string_view name) const;

  /// A call began, or is over: counts for both of its owners. Names of users and providers must not
  /// be mistaken for each other, so each is told.
  struct Owner {
    bool is_user = true;
    std::string name;
  };
  void call_began(std::uint64_t call, std::array<Owner, 2> owners);
  void call_ended(std::uint64_t call);
  std::size_t calls_of(bool is_user, std::string_view name) const;

  std::uint64_t refused(AdmissionReason reason) const {
    return refused_[static_cast<std::size_t>(reason)];
  }

 private:
  const AdmissionLimits& limits_of(bool is_user, std::string_view name) const;
  std::optional<call::RouteRejection> refuse(AdmissionReason reason, std::string text,
                                             Duration wait);
  std::optional<Duration> take(const std::string& key, std::uint32_t per_s, Instant now);
  static std::string key_of(bool is_user, std::string_view name);

  Config config_;
  std::map<std::uint32_t, session::KeyedLimiter> by_rate_;
  std::unordered_map<std::string, std::size_t> calls_;  ///< by key_of(); only those with any
  std::unordered_map<std::uint64_t, std::array<Owner, 2>> open_;
  std::array<std::uint64_t, static_cast<std::size_t>(AdmissionReason::count_)> refused_{};
};

/// Who knocks at the SIP port without being of us: scanners, mostly. A source gets a few answers,
/// by which the operator of a misconfigured provider sees what is wrong; from then on silence.
/// Bounded by limits::kStrangers; the one seen longest ago makes room. Pure.
class StrangerTable {
 public:
  explicit StrangerTable(std::uint32_t answers = 3) : answers_(answers) {}

  struct Verdict {
    bool answer = false;        ///< 403; else nothing
    bool log = false;           ///< one line for this source and interval
    std::uint64_t refused = 0;  ///< by this source so far, this one included
  };
  /// @param answerable  a datagram; a connection just ends
  Verdict on_packet(const IpAddress& source, Instant now, bool answerable = true);
  std::uint64_t answered() const { return answered_; }
  std::uint64_t silenced() const { return silenced_; }
  std::size_t size() const { return by_source_.size(); }

 private:
  struct Entry {
    IpAddress source;
    std::uint64_t refused = 0;
    Instant seen{}, logged{};
  };
  std::uint32_t answers_;
  std::list<Entry> entries_;  ///< most recently seen first
  std::map<IpAddress, std::list<Entry>::iterator> by_source_;
  Instant second_began_{};
  std::uint32_t answers_in_second_ = 0;
  std::uint64_t answered_ = 0, silenced_ = 0;
};

}  // namespace isthmus::provider
