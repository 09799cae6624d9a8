#pragma once
#include <cstddef>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "net/gateway_url.hpp"
#include "net/proxy.hpp"

namespace isthmus::net {

/// A gateway, and the way to it.
struct Place {
  GatewayUrl url;
  std::optional<ProxyUrl> proxy;

  bool same_gateway(const Place& other) const {
    return url.to_string() == other.url.to_string() && url.located == other.url.located;
  }
};

/// The gateway that a URL names, and the proxy that leads to it.
Result<Place, UrlError> place_at(std::string_view url, const ProxyChoice& proxies);

/// Which of several gateways is tried next: those that the last one named when it went away, then
/// those configured, in a ring that begins behind the one in use. One turn of the ring is a round.
/// Pure.
class GatewayPlaces {
 public:
  /// @param configured  at least one, in order of preference
  explicit GatewayPlaces(std::vector<Place> configured);

  /// These stand in place of all that were configured: a look-up found them. here() stays if it
  /// is one of them; else it becomes the first, and a round begins.
  void replace(std::vector<Place> found);
  /// Where the next session is to be sought, or was found.
  const Place& here() const { return here_; }
  /// Nobody is served here, or no longer: here() becomes the next.
  /// @return false when every place of this round has been tried: time to wait
  bool go_on();
  /// A session stands here(): the round is over.
  void arrived();
  /// Has the gateway that went away named some that were not tried yet?
  bool invited() const { return !invited_.empty(); }
  /// The gateway in use goes away and names these; here() itself is left out.
  void invite(const std::vector<Place>& named);
  /// Is there any place but here()?
  bool elsewhere() const { return configured_.size() > 1 || !invited_.empty(); }

 private:
  std::vector<Place> configured_;
  std::deque<Place> invited_;
  Place here_;
  std::size_t index_ = 0;  ///< of the configured place that was tried last
  std::size_t tried_ = 0;  ///< configured places of this round
};

}  // namespace isthmus::net
