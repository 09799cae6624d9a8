#include "call/secure_route.hpp"

#include <iterator>
#include <utility>

#include "call/crossing.hpp"

namespace isthmus::call {

void keep_secure(RouteTargets& route, const sip::Message& request, const Router& router) {
  const auto in_the_clear = [&](const RouteTarget& place) {
    return is_sips(place.request_uri.empty() ? request.request_uri() : place.request_uri) &&
           !router.is_secure(place.flow);
  };
  std::erase_if(route.targets, [&](RouteTarget& target) {
    std::vector<RouteTarget>& others = target.alternatives;
    std::erase_if(others, in_the_clear);
    if (!in_the_clear(target)) return false;
    if (others.empty()) return true;
    RouteTarget first = std::move(others.front());
    first.alternatives.assign(std::make_move_iterator(others.begin() + 1),
                              std::make_move_iterator(others.end()));
    target = std::move(first);
    return false;
  });
}

}  // namespace isthmus::call
