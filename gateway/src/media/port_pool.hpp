#pragma once
#include <cstdint>
#include <deque>
#include <optional>

#include "base/random.hpp"

namespace isthmus::media {

/// Free RTP/RTCP port pairs (even, odd) of a range. Taken in turn from a random start; a freed pair
/// is taken again last, so that late packets of an ended call find nobody.
class PortPool {
 public:
  /// @param low,high inclusive; only pairs that lie wholly inside count.
  PortPool(std::uint16_t low, std::uint16_t high, Random& random);
  std::optional<std::uint16_t> take();  ///< even port of a pair; nothing when none is left
  void put_back(std::uint16_t port) { free_.push_back(port); }
  std::size_t available() const { return free_.size(); }
  std::size_t size() const { return size_; }

 private:
  std::deque<std::uint16_t> free_;
  std::size_t size_ = 0;
};

}  // namespace isthmus::media
