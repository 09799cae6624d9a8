#include "audio/file_player.hpp"

#include <algorithm>

#include "audio/wav.hpp"

namespace isthmus::audio {

AudioResult<FilePlayer> FilePlayer::open(const std::string& path, unsigned sample_rate, Mode mode) {
  auto samples = read_sound_file(path, sample_rate);
  if (!samples) return samples.error();
  return FilePlayer(std::move(*samples), mode);
}

void FilePlayer::read(std::span<std::int16_t> out) {
  while (!out.empty()) {
    if (position_ == samples_.size()) {
      if (mode_ == Mode::once) {
        std::fill(out.begin(), out.end(), std::int16_t{0});
        return;
      }
      position_ = 0;
    }
    const std::size_t count = std::min(out.size(), samples_.size() - position_);
    std::copy_n(samples_.begin() + static_cast<std::ptrdiff_t>(position_), count, out.begin());
    position_ += count;
    out = out.subspan(count);
  }
}

}  // namespace isthmus::audio
