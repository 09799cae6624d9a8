#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "call/router.hpp"

namespace isthmus::call {

/// Why a place did not take a request.
enum class HopFailure : std::uint8_t {
  timeout,      ///< nothing was heard from it
  unreachable,  ///< the transport says so
  response,     ///< it answered with a failure
};

/// The places that one request may still go to after the one it is sent to now: other hosts of the
/// same provider after silence, a transport fault or 503 (RFC 3263 §4.3), other providers also
/// after the statuses that the route names. Bounded by limits::kAttemptsPerRequest, whatever the
/// list says.
class Failover {
 public:
  Failover() = default;
  Failover(const RouteTarget& first, std::vector<int> statuses);

  /// The next place after this failure. Nothing: the failure stands.
  /// @param status of the response; 0 with none.
  std::optional<RouteTarget> next(HopFailure failure, int status);
  /// Puts places before all that are left: contacts of a redirection.
  void put_first(std::vector<RouteTarget> targets);
  bool exhausted() const { return left_.empty() || attempts_left_ == 0; }

 private:
  std::deque<RouteTarget> left_;
  std::vector<int> statuses_;
  std::size_t attempts_left_ = 0;
};

/// What a failure says about the place's health.
HopOutcome outcome_of(HopFailure failure, int status);
/// The answer to a request that nobody took: 408 after a timeout, 503 after a transport fault
/// (RFC 3261 §8.1.3.1). Without Server.
/// @param tag  for its To
sip::Message answer_for(HopFailure failure, const sip::Message& request, std::string_view tag);
/// Retry-After in seconds; 0 when there is none (RFC 3261 §20.33: a comment and parameters may
/// follow).
unsigned retry_after_of(const sip::Message& response);
/// Puts the headers of a target on a request, replacing those of the same name.
void put_headers(const RouteTarget& target, sip::Message& request);
/// How long a request waits for any response at all while there is another place for it. Requests
/// other than INVITE get no 100, so an answer may take longer; twice the time then.
/// @return zero: as long as the transaction lives.
Duration patience(const LegPolicy& policy, bool invite);

}  // namespace isthmus::call
