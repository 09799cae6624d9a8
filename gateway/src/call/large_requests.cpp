#include "call/large_requests.hpp"

#include "base/limits.hpp"

namespace isthmus::call {
namespace {

constexpr Duration kRefusalLife = std::chrono::minutes(10);
constexpr std::size_t kViaBytes = 120;  // the Via that is still to come on top

}  // namespace

bool LargeRequests::by_tcp(const sip::Message& request, const sip::Flow& flow, std::size_t limit,
                           Instant now) {
  if (flow.transport != sip::Transport::udp || limit == 0) return false;
  if (request.most_bytes() + kViaBytes <= limit) return false;  // spares the writing of most
  if (request.serialize().size() + kViaBytes <= limit) return false;
  return !refused(flow, now);
}

bool LargeRequests::refused(const sip::Flow& flow, Instant now) const {
  const auto found = refused_.find(flow.remote);
  return found != refused_.end() && now < found->second;
}

void LargeRequests::on_flow_failed(const sip::Flow& flow, Instant now) {
  if (flow.transport != sip::Transport::tcp || flow.connection != 0) return;
  if (refused_.size() >= limits::kRefusedTcp) {
    std::erase_if(refused_, [now](const auto& entry) { return entry.second <= now; });
    if (refused_.size() >= limits::kRefusedTcp) refused_.clear();
  }
  refused_[flow.remote] = now + kRefusalLife;
}

}  // namespace isthmus::call
