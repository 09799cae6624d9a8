#include "audio/wav.hpp"

#include <sndfile.h>

#include <algorithm>
#include <cmath>

#include "audio/resampler.hpp"
#include "base/limits.hpp"

namespace isthmus::audio {
namespace {

constexpr sf_count_t kReadFrames = 8192;
constexpr unsigned kHeaderEverySeconds = 5;

struct Closer {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using FilePtr = std::unique_ptr<SNDFILE, Closer>;

AudioError file_error(const char* doing, const std::string& path, const std::string& why) {
  return {AudioFault::file, std::string("cannot ") + doing + ' ' + path + ": " + why};
}

std::int16_t from_float(float value) {
  return static_cast<std::int16_t>(std::lrint(std::clamp(value * 32768.0F, -32768.0F, 32767.0F)));
}

/// Averages the channels: a sum would clip where they carry the same voice.
void mix_down(std::span<const float> interleaved, std::size_t channels, Samples& out) {
  out.clear();
  for (std::size_t i = 0; i + channels <= interleaved.size(); i += channels) {
    float sum = 0;
    for (std::size_t c = 0; c < channels; ++c) sum += interleaved[i + c];
    out.push_back(from_float(sum / static_cast<float>(channels)));
  }
}

}  // namespace

AudioResult<Samples> read_sound_file(const std::string& path, unsigned sample_rate) {
  SF_INFO info{};
  const FilePtr file(sf_open(path.c_str(), SFM_READ, &info));
  if (!file) return file_error("read", path, sf_strerror(nullptr));
  if (info.channels < 1 || info.samplerate < 1) return file_error("read", path, "no audio in it");
  auto resampler = Resampler::create(static_cast<unsigned>(info.samplerate), sample_rate,
                                     Resampler::Quality::file);
  if (!resampler) return file_error("read", path, resampler.error().message);

  const auto channels = static_cast<std::size_t>(info.channels);
  std::vector<float> block(static_cast<std::size_t>(kReadFrames) * channels);
  Samples mono;
  Samples all;
  const std::size_t longest = std::size_t{limits::kAudioFileSeconds} * sample_rate;
  while (true) {
    const sf_count_t frames = sf_readf_float(file.get(), block.data(), kReadFrames);
    if (frames <= 0) break;
    mix_down(std::span(block).first(static_cast<std::size_t>(frames) * channels), channels, mono);
    resampler->process(mono, all);
    if (all.size() > longest) {
      return file_error("read", path,
                        "longer than " + std::to_string(limits::kAudioFileSeconds) + " s");
    }
  }
  if (sf_error(file.get()) != SF_ERR_NO_ERROR) {
    return file_error("read", path, sf_strerror(file.get()));
  }
  resampler->flush(all);
  if (all.empty()) return file_error("read", path, "no audio in it");
  return all;
}

struct WavWriter::Impl {
  std::string path;
  unsigned sample_rate = 0;
  FilePtr file;
  Samples block;
  std::uint64_t samples = 0;
  std::uint64_t header_at = 0;

  AudioResult<void> flush() {
    const auto count = static_cast<sf_count_t>(block.size());
    const sf_count_t written = sf_write_short(file.get(), block.data(), count);
    block.clear();
    if (written != count) return file_error("write", path, sf_strerror(file.get()));
    if (samples - header_at >= std::uint64_t{kHeaderEverySeconds} * sample_rate) {
      header_at = samples;
      sf_command(file.get(), SFC_UPDATE_HEADER_NOW, nullptr, 0);
    }
    return {};
  }
};

WavWriter::WavWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WavWriter::WavWriter(WavWriter&&) noexcept = default;
WavWriter& WavWriter::operator=(WavWriter&& other) noexcept {
  if (this != &other) {
    if (impl_) static_cast<void>(close());
    impl_ = std::move(other.impl_);
  }
  return *this;
}
WavWriter::~WavWriter() {
  if (impl_) static_cast<void>(close());
}

AudioResult<WavWriter> WavWriter::create(const std::string& path, unsigned sample_rate) {
  SF_INFO info{};
  info.samplerate = static_cast<int>(sample_rate);
  info.channels = 1;
  info.format = SF_FORMAT_RF64 | SF_FORMAT_PCM_16;
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->sample_rate = sample_rate;
  impl->file.reset(sf_open(path.c_str(), SFM_WRITE, &info));
  if (!impl->file) return file_error("write", path, sf_strerror(nullptr));
  sf_command(impl->file.get(), SFC_RF64_AUTO_DOWNGRADE, nullptr, SF_TRUE);
  impl->block.reserve(sample_rate);
  return WavWriter(std::move(impl));
}

AudioResult<void> WavWriter::write(SampleView samples) {
  if (!impl_->file) return file_error("write", impl_->path, "already closed");
  impl_->samples += samples.size();
  impl_->block.insert(impl_->block.end(), samples.begin(), samples.end());
  if (impl_->block.size() < impl_->sample_rate) return {};
  return impl_->flush();
}

AudioResult<void> WavWriter::close() {
  if (!impl_->file) return {};
  const auto flushed = impl_->flush();
  const int closed = sf_close(impl_->file.release());
  if (!flushed) return flushed.error();
  if (closed != SF_ERR_NO_ERROR) return file_error("write", impl_->path, sf_error_number(closed));
  return {};
}

const std::string& WavWriter::path() const {
  return impl_->path;
}
std::uint64_t WavWriter::samples() const {
  return impl_->samples;
}

}  // namespace isthmus::audio
