#include "net/gateway_places.hpp"

#include <algorithm>
#include <utility>

namespace isthmus::net {

Result<Place, UrlError> place_at(std::string_view url, const ProxyChoice& proxies) {
  auto parsed = parse_gateway_url(url);
  if (!parsed) return parsed.error();
  auto proxy = proxies.toward(parsed->host, parsed->port);
  return Place{std::move(*parsed), std::move(proxy)};
}

GatewayPlaces::GatewayPlaces(std::vector<Place> configured)
    : configured_(std::move(configured)), here_(configured_.front()) {}

void GatewayPlaces::replace(std::vector<Place> found) {
  if (found.empty()) return;
  configured_ = std::move(found);
  const auto same =
      std::ranges::find_if(configured_, [&](const Place& one) { return one.same_gateway(here_); });
  if (same != configured_.end()) {
    index_ = static_cast<std::size_t>(same - configured_.begin());
    tried_ = std::min(tried_, configured_.size() - 1);
    return;
  }
  index_ = 0;
  tried_ = 0;
  here_ = configured_.front();
}

bool GatewayPlaces::go_on() {
  if (!invited_.empty()) {
    here_ = std::move(invited_.front());
    invited_.pop_front();
    return true;
  }
  index_ = (index_ + 1) % configured_.size();
  here_ = configured_[index_];
  if (++tried_ < configured_.size()) return true;
  tried_ = 0;
  return false;
}

void GatewayPlaces::arrived() {
  tried_ = 0;
  invited_.clear();
}

void GatewayPlaces::invite(const std::vector<Place>& named) {
  invited_.clear();
  for (const Place& place : named) {
    if (place.url.to_string() != here_.url.to_string()) invited_.push_back(place);
  }
}

}  // namespace isthmus::net
