#pragma once
#include <string>

#include "audio/codec.hpp"

namespace isthmus::audio {

/// Plays a sound file as if it were a microphone. The file is read and converted at once when
/// opened, so that reading is no I/O and may happen on the media thread. One thread.
class FilePlayer {
 public:
  enum class Mode { once, loop };

  /// @return an error that names the file (see read_sound_file)
  static AudioResult<FilePlayer> open(const std::string& path, unsigned sample_rate, Mode mode);

  /// Fills all of `out`; silence after the end of a file played once.
  void read(std::span<std::int16_t> out);
  /// Nothing but silence will come.
  bool finished() const { return mode_ == Mode::once && position_ == samples_.size(); }
  void rewind() { position_ = 0; }
  std::size_t size() const { return samples_.size(); }  ///< samples of one round

 private:
  FilePlayer(Samples samples, Mode mode) : samples_(std::move(samples)), mode_(mode) {}

  Samples samples_;
  Mode mode_;
  std::size_t position_ = 0;
};

}  // namespace isthmus::audio
