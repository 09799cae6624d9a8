#pragma once
#include <optional>
#include <string>

#include "audio/resampler.hpp"
#include "audio/wav.hpp"

namespace isthmus::audio {

/// Records what is heard to a WAV file, whatever rate it comes in. A failing disk ends the
/// recording, not the call: the first error is kept and later samples are dropped. One thread.
class FileRecorder {
 public:
  /// @return an error that names the file
  static AudioResult<FileRecorder> create(const std::string& path, unsigned file_rate);

  void record(SampleView samples, unsigned sample_rate);
  /// Finishes the file. @return the first error of the recording, if there was one
  AudioResult<void> close();
  const std::optional<AudioError>& error() const { return error_; }

 private:
  FileRecorder(WavWriter writer, unsigned file_rate)
      : writer_(std::move(writer)), file_rate_(file_rate) {}

  WavWriter writer_;
  unsigned file_rate_;
  std::optional<Resampler> resampler_;
  Samples converted_;
  std::optional<AudioError> error_;
};

}  // namespace isthmus::audio
