#pragma once
#include <array>
#include <cstdint>

#include "base/time.hpp"

namespace isthmus::audio {

/// Learns how much later than the fastest recent packet others arrive, and from that how long a
/// jitter buffer should hold audio. All delays are microseconds. Cannot fail, fixed memory, no
/// clock: pure.
///
/// A packet's transit is its arrival minus its media time; clocks of both ends differ, so only
/// differences count. The lowest transit of the last four seconds is the base (a window, so that it
/// follows clock drift and route changes); a packet's transit above the base is its relative delay.
/// The target covers 98 % of the relative delays of the last 400 packets, or a higher late one,
/// whose memory fades by 10 ms a second.
class DelayEstimator {
 public:
  struct Bounds {
    std::int64_t min_us, max_us, initial_us;
  };
  explicit DelayEstimator(const Bounds& bounds) : bounds_(bounds), target_us_(bounds.initial_us) {}

  /// @return relative delay of this packet
  std::int64_t on_packet(std::int64_t transit_us, std::int64_t arrival_us);
  /// A packet came too late to be played in time, or only just: cover its like at once.
  void on_late(std::int64_t relative_us, std::int64_t arrival_us);
  /// Media time has jumped (new SSRC, sender restarted): earlier transits say nothing about later
  /// ones. What is known of the path's jitter stays.
  void forget_base();

  /// Lowest transit of the window ending now; only to be asked after a packet.
  std::int64_t base_us() const { return base_us_; }
  bool has_base() const { return has_base_; }
  std::int64_t target_us(std::int64_t now_us) const;

 private:
  static constexpr std::int64_t kSlotUs = 500'000;
  static constexpr std::size_t kSlots = 8;
  static constexpr std::int64_t kBinUs = 5'000;
  static constexpr std::size_t kBins = 128;
  static constexpr std::size_t kWindow = 400;

  void update_base(std::int64_t transit_us, std::int64_t arrival_us);
  std::int64_t percentile_us() const;

  struct Slot {
    std::int64_t index = -1, lowest = 0;
  };
  Bounds bounds_;
  std::array<Slot, kSlots> slots_{};
  bool has_base_ = false;
  std::int64_t base_us_ = 0;
  std::array<std::uint16_t, kBins> histogram_{};
  std::array<std::uint8_t, kWindow> recent_{};
  std::size_t count_ = 0, next_ = 0;
  std::int64_t target_us_;
  std::int64_t peak_us_ = 0, peak_at_us_ = 0;
};

}  // namespace isthmus::audio
