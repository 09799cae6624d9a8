#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace isthmus::audio {

/// Samples from exactly one producer thread to exactly one consumer thread, without locks or
/// allocation, so that a sound card's callback may be either of them.
class SampleRing {
 public:
  /// @param capacity samples that fit at least
  explicit SampleRing(std::size_t capacity)
      : samples_(std::bit_ceil(std::max<std::size_t>(capacity, 2))), mask_(samples_.size() - 1) {}

  /// Producer only. @return how many of `in` were taken, from its start; the rest did not fit
  std::size_t write(std::span<const std::int16_t> in) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    const std::size_t room = samples_.size() - (head - tail_.load(std::memory_order_acquire));
    const std::size_t count = std::min(in.size(), room);
    for (std::size_t i = 0; i < count; ++i) samples_[(head + i) & mask_] = in[i];
    head_.store(head + count, std::memory_order_release);
    return count;
  }

  /// Consumer only. @return how many samples were written to the start of `out`
  std::size_t read(std::span<std::int16_t> out) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    const std::size_t held = head_.load(std::memory_order_acquire) - tail;
    const std::size_t count = std::min(out.size(), held);
    for (std::size_t i = 0; i < count; ++i) out[i] = samples_[(tail + i) & mask_];
    tail_.store(tail + count, std::memory_order_release);
    return count;
  }

  /// Exact on the consumer's and producer's threads at the moment of the call, but for what the
  /// other does.
  std::size_t size() const {
    return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire);
  }
  std::size_t capacity() const { return samples_.size(); }

 private:
  std::vector<std::int16_t> samples_;
  std::size_t mask_;
  alignas(64) std::atomic<std::size_t> head_{
      0};  ///< written so far; own cache line: no false sharing
  alignas(64) std::atomic<std::size_t> tail_{0};  ///< read so far
};

}  // namespace isthmus::audio
