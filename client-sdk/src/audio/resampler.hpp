#pragma once
#include <memory>

#include "audio/codec.hpp"

namespace isthmus::audio {

/// Streaming sample rate conversion, mono (speexdsp). Equal rates copy. Not thread-safe.
class Resampler {
 public:
  enum class Quality : int { voip = 3, file = 8 };

  /// @param from,to Hz, each 4000 to 384000
  static AudioResult<Resampler> create(unsigned from, unsigned to, Quality quality = Quality::voip);

  /// Converts all of `in` and appends what is ready: in the long run in.size() * to / from samples.
  void process(SampleView in, Samples& out);
  /// Appends what the filter still holds: call once, after the last process().
  void flush(Samples& out);
  /// Forgets past samples, as for a new signal.
  void reset();

  unsigned from() const { return from_; }
  unsigned to() const { return to_; }

 private:
  struct Deleter {
    void operator()(void* state) const;
  };
  Resampler(unsigned from, unsigned to, void* state) : from_(from), to_(to), state_(state) {}

  unsigned from_, to_;
  std::unique_ptr<void, Deleter> state_;  ///< null when the rates are equal
};

}  // namespace isthmus::audio
