#include "media/port_pool.hpp"

namespace isthmus::media {

PortPool::PortPool(std::uint16_t low, std::uint16_t high, Random& random) {
  const std::uint32_t first = (low < 2 ? 2U : low) + (low & 1U);
  const std::uint32_t end = high;
  if (first >= end) return;
  const std::uint32_t pairs = (end - first + 1) / 2;
  const std::uint32_t start = random.u32() % pairs;
  for (std::uint32_t i = 0; i < pairs; ++i) {
    free_.push_back(static_cast<std::uint16_t>(first + 2 * ((start + i) % pairs)));
  }
  size_ = pairs;
}

std::optional<std::uint16_t> PortPool::take() {
  if (free_.empty()) return std::nullopt;
  const std::uint16_t port = free_.front();
  free_.pop_front();
  return port;
}

}  // namespace isthmus::media
