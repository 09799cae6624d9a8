#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace isthmus::audio {

/// Fills in for lost frames of a waveform codec: goes on with the last pitch periods of the voice
/// and fades them out over 60 ms (the idea of ITU-T G.711 Appendix I, without its 3.75 ms of extra
/// delay: the start of a gap is joined by fading out the step instead of overlapping samples not
/// yet played). Mono at one sample rate. Not thread-safe, no allocation after construction.
class LossConcealer {
 public:
  /// @param sample_rate Hz, 8000 to 48000
  explicit LossConcealer(unsigned sample_rate);

  /// Remembers decoded samples, and when a gap has just ended blends their start with its sound in
  /// place.
  void on_good_frame(std::span<std::int16_t> frame);
  /// Writes the sound of a gap, going on from whatever was last heard or written.
  void conceal(std::span<std::int16_t> out);

 private:
  void begin_gap();
  void refill_cycle();
  std::size_t find_period() const;
  float next_sample();
  void remember(std::span<const std::int16_t> samples);
  std::size_t ms(double milliseconds) const;

  unsigned sample_rate_;
  std::vector<std::int16_t> history_;  ///< newest last, always full
  std::vector<std::int16_t> source_;   ///< history as the gap began
  std::vector<float> cycle_;  ///< the piece that is being repeated, its end blended to its start
  std::size_t period_ = 0;
  std::size_t position_ = 0;  ///< in cycle_
  std::size_t lost_ = 0;      ///< samples since the gap began; 0 when in no gap
  float step_ = 0;            ///< jump between the last sample heard and the first repeated one
};

}  // namespace isthmus::audio
