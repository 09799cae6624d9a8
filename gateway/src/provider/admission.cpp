#include "provider/admission.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::provider {

namespace {

constexpr unsigned kBurst_s = 5;  // an office whose power comes back registers all at once
constexpr Duration kRetryCalls = seconds(5);  // when the next call may have ended

/// An IPv6 host has a /64 to choose its addresses from.
std::string source_key(const IpAddress& source) {
  if (source.is_v4()) return "s " + source.to_string();
  auto bytes = source.bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return "s " + IpAddress::v6(bytes).to_string();
}

struct Kind {
  std::uint32_t AdmissionLimits::*limit;
  AdmissionReason account, source;
  const char *prefix, *what;
};

Kind kind_of(std::string_view method) {
  if (method == "INVITE") {
    return {&AdmissionLimits::call_attempts_per_s, AdmissionReason::account_call_attempts,
            AdmissionReason::source_call_attempts, "i ", "call attempts"};
  }
  if (method == "REGISTER") {
    return {&AdmissionLimits::registrations_per_s, AdmissionReason::account_registrations,
            AdmissionReason::source_registrations, "r ", "registrations"};
  }
  return {&AdmissionLimits::requests_per_s, AdmissionReason::account_requests,
          AdmissionReason::source_requests, "o ", "requests"};
}

}  // namespace

std::string_view to_text(AdmissionReason reason) {
  switch (reason) {
    case AdmissionReason::account_calls:
      return "account_calls";
    case AdmissionReason::account_call_attempts:
      return "account_call_attempts";
    case AdmissionReason::account_registrations:
      return "account_registrations";
    case AdmissionReason::account_requests:
      return "account_requests";
    case AdmissionReason::source_call_attempts:
      return "source_call_attempts";
    case AdmissionReason::source_registrations:
      return "source_registrations";
    case AdmissionReason::source_requests:
      return "source_requests";
    case AdmissionReason::count_:
      break;
  }
  return "";
}

std::string Admission::key_of(bool is_user, std::string_view name) {
  return (is_user ? "u " : "p ") + std::string(name);
}

const AdmissionLimits& Admission::limits_of(bool is_user, std::string_view name) const {
  const auto& own = is_user ? config_.users : config_.providers;
  auto found = own.find(name);
  if (found != own.end()) return found->second;
  return is_user ? config_.user : config_.provider;
}

std::optional<Duration> Admission::take(const std::string& key, std::uint32_t per_s, Instant now) {
  if (per_s == 0) return std::nullopt;
  auto found = by_rate_.find(per_s);
  if (found == by_rate_.end()) {
    session::KeyedLimiter::Rate rate{per_s * kBurst_s, Duration(seconds(1)) / per_s,
                                     limits::kAdmissionKeys};
    found = by_rate_.emplace(per_s, session::KeyedLimiter(rate)).first;
  }
  return found->second.take(key, now);
}

std::optional<call::RouteRejection> Admission::refuse(AdmissionReason reason, std::string text,
                                                      Duration wait) {
  ++refused_[static_cast<std::size_t>(reason)];
  auto retry_s = std::chrono::ceil<seconds>(wait).count();
  return call::RouteRejection{503, std::move(text),
                              static_cast<unsigned>(std::max<seconds::rep>(1, retry_s))};
}

std::optional<call::RouteRejection> Admission::admit(std::string_view method, const Party& party,
                                                     Instant now) {
  const char* who = party.is_user ? "this user" : "this provider";
  if (method == "INVITE" && is_full(party.is_user, party.name)) {
    return refuse(AdmissionReason::account_calls, std::string("Too many calls of ") + who,
                  kRetryCalls);
  }
  Kind kind = kind_of(method);
  if (party.source) {
    auto wait = take(kind.prefix + source_key(*party.source), config_.source.*kind.limit, now);
    if (wait) {
      return refuse(kind.source,
                    std::string("Too many ") + kind.what + " a second from this address", *wait);
    }
  }
  if (party.name.empty()) return std::nullopt;
  auto wait = take(kind.prefix + key_of(party.is_user, party.name),
                   limits_of(party.is_user, party.name).*kind.limit, now);
  if (!wait) return std::nullopt;
  return refuse(kind.account, std::string("Too many ") + kind.what + " a second of " + who, *wait);
}

bool Admission::is_full(bool is_user, std::string_view name) const {
  if (name.empty()) return false;
  std::uint32_t most = limits_of(is_user, name).calls;
  return most > 0 && calls_of(is_user, name) >= most;
}

std::size_t Admission::calls_of(bool is_user, std::string_view name) const {
  auto found = calls_.find(key_of(is_user, name));
  return found == calls_.end() ? 0 : found->second;
}

void Admission::call_began(std::uint64_t call, std::array<Owner, 2> owners) {
  call_ended(call);  // told again: the owners are others now
  for (const Owner& owner : owners) {
    if (!owner.name.empty()) ++calls_[key_of(owner.is_user, owner.name)];
  }
  open_[call] = std::move(owners);
}

void Admission::call_ended(std::uint64_t call) {
  auto found = open_.find(call);
  if (found == open_.end()) return;
  for (const Owner& owner : found->second) {
    auto count = calls_.find(key_of(owner.is_user, owner.name));
    if (count != calls_.end() && --count->second == 0) calls_.erase(count);
  }
  open_.erase(found);
}

StrangerTable::Verdict StrangerTable::on_packet(const IpAddress& source, Instant now,
                                                bool answerable) {
  auto found = by_source_.find(source);
  if (found == by_source_.end()) {
    if (entries_.size() >= limits::kStrangers) {
      by_source_.erase(entries_.back().source);
      entries_.pop_back();
    }
    entries_.push_front({source, 0, now, now - limits::kStrangerForgotten});
    found = by_source_.emplace(source, entries_.begin()).first;
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  Entry& entry = *found->second;
  if (now - entry.seen >= limits::kStrangerForgotten) entry.refused = 0;
  entry.seen = now;
  ++entry.refused;
  if (now - second_began_ >= seconds(1)) {
    second_began_ = now;
    answers_in_second_ = 0;
  }
  // Sources are easily forged: all of them together get no more than one could.
  bool answer = answerable && entry.refused <= answers_ &&
                answers_in_second_ < limits::kFaultAnswersPerSecond;
  if (answer) ++answers_in_second_;
  Verdict verdict{answer, now - entry.logged >= limits::kStrangerLogInterval, entry.refused};
  if (verdict.log) entry.logged = now;
  ++(verdict.answer ? answered_ : silenced_);
  return verdict;
}

}  // namespace isthmus::provider
