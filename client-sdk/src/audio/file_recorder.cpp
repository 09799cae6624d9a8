#include "audio/file_recorder.hpp"

namespace isthmus::audio {

AudioResult<FileRecorder> FileRecorder::create(const std::string& path, unsigned file_rate) {
  auto writer = WavWriter::create(path, file_rate);
  if (!writer) return writer.error();
  return FileRecorder(std::move(*writer), file_rate);
}

void FileRecorder::record(SampleView samples, unsigned sample_rate) {
  if (error_) return;
  if (!resampler_ || resampler_->from() != sample_rate) {
    auto made = Resampler::create(sample_rate, file_rate_);
    if (!made) {
      error_ = made.error();
      return;
    }
    resampler_ = std::move(*made);
  }
  converted_.clear();
  resampler_->process(samples, converted_);
  if (const auto written = writer_.write(converted_); !written) error_ = written.error();
}

AudioResult<void> FileRecorder::close() {
  if (resampler_ && !error_) {
    converted_.clear();
    resampler_->flush(converted_);
    resampler_.reset();
    if (const auto written = writer_.write(converted_); !written) error_ = written.error();
  }
  auto closed = writer_.close();
  if (error_) return *error_;
  return closed;
}

}  // namespace isthmus::audio
