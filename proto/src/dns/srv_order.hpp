#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/random.hpp"

namespace isthmus::dns {

/// RFC 2782: puts things of one priority in a drawn order, each next one with a chance by its
/// weight. Those of weight 0 stand in front, which leaves them a small chance.
/// @param weight_of  the weight of one of them
template <typename T, typename WeightOf>
void draw_order(std::vector<T>& equals, WeightOf weight_of, Random& random) {
  std::stable_partition(equals.begin(), equals.end(),
                        [&](const T& one) { return weight_of(one) == 0; });
  for (auto next = equals.begin(); equals.end() - next > 1; ++next) {
    std::uint64_t sum = 0;
    for (auto it = next; it != equals.end(); ++it) sum += weight_of(*it);
    const std::uint64_t drawn = random.u64() % (sum + 1);
    std::uint64_t running = 0;
    const auto chosen = std::find_if(next, equals.end(), [&](const T& one) {
      running += weight_of(one);
      return running >= drawn;
    });
    std::rotate(next, chosen, chosen + 1);
  }
}

}  // namespace isthmus::dns
