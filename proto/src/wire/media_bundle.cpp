#include "wire/media_bundle.hpp"

namespace isthmus::wire {

MediaBundler::Added MediaBundler::add(Channel channel, ByteView bytes, Instant now) {
  if (frames_ == 0) {
    payload_.clear();
    writer_.emplace(payload_, max_payload_);
  }
  if (writer_->add(channel, bytes)) {
    if (frames_++ == 0) first_ = now;
    return Added::added;
  }
  const bool is_frame = channel >= limits::kFirstMediaChannel &&
                        channel <= limits::kLastMediaChannel && !bytes.empty() &&
                        bytes.size() <= limits::kMediaFrameBytes &&
                        varint_size(channel) + 1 + bytes.size() <= max_payload_;
  return is_frame && frames_ > 0 ? Added::full : Added::refused;
}

std::optional<Instant> MediaBundler::due() const {
  if (frames_ == 0) return std::nullopt;
  return first_ + limits::kBundleWait;
}

void MediaBundler::clear() {
  payload_.clear();
  writer_.reset();
  frames_ = 0;
}

}  // namespace isthmus::wire
