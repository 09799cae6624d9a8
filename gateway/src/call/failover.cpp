#include "call/failover.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::call {

Failover::Failover(const RouteTarget& first, std::vector<int> statuses)
    : left_(first.alternatives.begin(), first.alternatives.end()),
      statuses_(std::move(statuses)),
      attempts_left_(limits::kAttemptsPerRequest - 1) {}

std::optional<RouteTarget> Failover::next(HopFailure failure, int status) {
  bool host = failure != HopFailure::response || status == 503;
  bool provider = host || std::find(statuses_.begin(), statuses_.end(), status) != statuses_.end();
  if (!provider) return std::nullopt;
  if (!host) {  // the provider has answered: its other hosts would say the same
    while (!left_.empty() && !left_.front().other_provider) left_.pop_front();
  }
  if (exhausted()) return std::nullopt;
  --attempts_left_;
  RouteTarget target = std::move(left_.front());
  left_.pop_front();
  left_.insert(left_.begin(), target.alternatives.begin(), target.alternatives.end());
  target.alternatives.clear();
  return target;
}

void Failover::put_first(std::vector<RouteTarget> targets) {
  left_.insert(left_.begin(), std::make_move_iterator(targets.begin()),
               std::make_move_iterator(targets.end()));
}

HopOutcome outcome_of(HopFailure failure, int status) {
  if (failure == HopFailure::timeout) return HopOutcome::timeout;
  if (failure == HopFailure::unreachable) return HopOutcome::unreachable;
  return status == 503 ? HopOutcome::unavailable : HopOutcome::answered;
}

sip::Message answer_for(HopFailure failure, const sip::Message& request, std::string_view tag) {
  bool timeout = failure == HopFailure::timeout;
  return sip::Message::response_to(request, timeout ? 408 : 503,
                                   timeout ? "No answer from the next hop" : "Next hop unreachable",
                                   tag);
}

unsigned retry_after_of(const sip::Message& response) {
  std::string_view value = response.get(sip::HeaderId::retry_after).value_or("");
  return parse_number<unsigned>(value.substr(0, value.find_first_not_of("0123456789"))).value_or(0);
}

void put_headers(const RouteTarget& target, sip::Message& request) {
  for (const auto& [name, value] : target.headers) request.set(name, value);
}

Duration patience(const LegPolicy& policy, bool invite) {
  return invite ? policy.failover_after : 2 * policy.failover_after;
}

}  // namespace isthmus::call
