#include "audio/delay_estimator.hpp"

#include <algorithm>

namespace isthmus::audio {
namespace {

constexpr std::int64_t kMarginUs = 5'000;       // the consumer's own timer is not exact either
constexpr std::size_t kEnoughPackets = 50;      // below it the initial delay still counts
constexpr std::size_t kUncoveredPercent = 2;    // concealment hides that much well
constexpr std::int64_t kPeakFadeDivisor = 100;  // 10 ms a second

}  // namespace

void DelayEstimator::update_base(std::int64_t transit_us, std::int64_t arrival_us) {
  const std::int64_t index = arrival_us / kSlotUs;
  Slot& slot = slots_[static_cast<std::size_t>(index) % kSlots];
  if (slot.index != index) slot = {index, transit_us};
  slot.lowest = std::min(slot.lowest, transit_us);
  base_us_ = transit_us;
  for (const Slot& each : slots_) {
    if (each.index > index - static_cast<std::int64_t>(kSlots)) {
      base_us_ = std::min(base_us_, each.lowest);
    }
  }
  has_base_ = true;
}

std::int64_t DelayEstimator::on_packet(std::int64_t transit_us, std::int64_t arrival_us) {
  update_base(transit_us, arrival_us);
  const std::int64_t relative = transit_us - base_us_;
  const auto bin = static_cast<std::uint8_t>(
      std::min<std::int64_t>(relative / kBinUs, static_cast<std::int64_t>(kBins) - 1));
  if (count_ == kWindow) {
    --histogram_[recent_[next_]];
  } else {
    ++count_;
  }
  recent_[next_] = bin;
  ++histogram_[bin];
  next_ = (next_ + 1) % kWindow;
  target_us_ = percentile_us() + kMarginUs;
  if (count_ < kEnoughPackets) target_us_ = std::max(target_us_, bounds_.initial_us);
  return relative;
}

std::int64_t DelayEstimator::percentile_us() const {
  const std::size_t allowed = count_ * kUncoveredPercent / 100;
  std::size_t above = 0;
  for (std::size_t bin = kBins; bin-- > 0;) {
    above += histogram_[bin];
    if (above > allowed) return static_cast<std::int64_t>(bin + 1) * kBinUs;
  }
  return 0;
}

void DelayEstimator::on_late(std::int64_t relative_us, std::int64_t arrival_us) {
  const std::int64_t wanted = std::min(relative_us + kMarginUs, bounds_.max_us);
  if (wanted <= target_us(arrival_us)) return;
  peak_us_ = wanted;
  peak_at_us_ = arrival_us;
}

std::int64_t DelayEstimator::target_us(std::int64_t now_us) const {
  const std::int64_t peak = peak_us_ - (now_us - peak_at_us_) / kPeakFadeDivisor;
  return std::clamp(std::max(target_us_, peak), bounds_.min_us, bounds_.max_us);
}

void DelayEstimator::forget_base() {
  slots_.fill({});
  has_base_ = false;
}

}  // namespace isthmus::audio
