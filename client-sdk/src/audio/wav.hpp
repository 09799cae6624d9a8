#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "audio/codec.hpp"

namespace isthmus::audio {

/// Reads a whole sound file (WAV and whatever else libsndfile knows; any rate, any number of
/// channels), mixed down to mono and converted.
/// @param sample_rate  of the result, Hz
/// @return an error that names the file: missing, no sound file, or longer than
/// limits::kAudioFileSeconds
AudioResult<Samples> read_sound_file(const std::string& path, unsigned sample_rate);

/// Writes a mono 16-bit WAV file piece by piece. Its header is brought up to date every few
/// seconds, so a recording survives a crash; past 4 GiB it becomes RF64 (EBU Tech 3306), which
/// ordinary players read. Writes go to the page cache in blocks of one second: quick, but not for a
/// device callback. One thread.
class WavWriter {
 public:
  /// Replaces a file of that name.
  static AudioResult<WavWriter> create(const std::string& path, unsigned sample_rate);
  WavWriter(WavWriter&&) noexcept;
  WavWriter& operator=(WavWriter&&) noexcept;
  ~WavWriter();  ///< closes

  /// @return an error that names the file, as when the disk is full
  AudioResult<void> write(SampleView samples);
  /// Writes what is left and the final header; nothing may be written after.
  AudioResult<void> close();

  const std::string& path() const;
  std::uint64_t samples() const;  ///< given to write() so far

 private:
  struct Impl;
  explicit WavWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace isthmus::audio
