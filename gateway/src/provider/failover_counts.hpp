#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "call/router.hpp"

namespace isthmus::provider {

/// How often requests left a host of a provider for another place, by why they did. Pure.
class FailoverCounts {
 public:
  static constexpr std::size_t kWhys = static_cast<std::size_t>(call::HopOutcome::unavailable) + 1;
  struct Counts {
    std::array<std::uint64_t, kWhys> to_host{};      ///< of the same provider, by HopOutcome
    std::array<std::uint64_t, kWhys> to_provider{};  ///< another one
  };

  void note(const std::string& provider, bool same_provider, call::HopOutcome why) {
    Counts& counts = by_provider_[provider];
    ++(same_provider ? counts.to_host : counts.to_provider)[static_cast<std::size_t>(why)];
  }
  const std::map<std::string, Counts>& by_provider() const { return by_provider_; }

 private:
  std::map<std::string, Counts> by_provider_;  ///< providers of the configuration only
};

/// A label: "timeout", "unreachable", "unavailable" (503), "refused" (a status that the route
/// names).
constexpr std::string_view to_text(call::HopOutcome why) {
  switch (why) {
    case call::HopOutcome::timeout:
      return "timeout";
    case call::HopOutcome::unreachable:
      return "unreachable";
    case call::HopOutcome::unavailable:
      return "unavailable";
    case call::HopOutcome::answered:
      break;
  }
  return "refused";
}

}  // namespace isthmus::provider
