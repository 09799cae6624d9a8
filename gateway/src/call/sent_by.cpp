#include "call/sent_by.hpp"

namespace isthmus::call {

const SentBy& sent_by_of(const std::vector<SentBy>& listeners, const sip::Flow& flow) {
  const bool ipv6 = !flow.remote.address.is_v4();
  const auto fits = [&](const SentBy& listener) {
    return 2 * (listener.transport == flow.transport) + (listener.ipv6 == ipv6);
  };
  if (flow.local < listeners.size() && fits(listeners[flow.local]) == 3) {
    return listeners[flow.local];
  }
  const SentBy* best = &listeners.front();
  for (const SentBy& listener : listeners) {
    if (fits(listener) > fits(*best)) best = &listener;
  }
  return *best;
}

}  // namespace isthmus::call
