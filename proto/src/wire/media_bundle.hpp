#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "wire/frame.hpp"

namespace isthmus::wire {

/// Media frames of one session that leave together (PROTOCOL.md, Frames: bundling): the payload of
/// a media packet on the UDP link, and of a media message on the TCP link. Pure; no allocation once
/// warm.
///
///     if (bundler.add(channel, frame, now) == Added::full) {
///       send(bundler.payload()), bundler.clear(), bundler.add(channel, frame, now);
///     }
///     ... at bundler.due(), or when the batch that is being read is done: send and clear
class MediaBundler {
 public:
  enum class Added : std::uint8_t {
    added,
    full,     ///< does not fit beside what is there: send that first
    refused,  ///< not a media channel, empty, or larger than any payload of this path
  };
  /// @param max_payload bytes that the path takes, what protects the payload not counted
  explicit MediaBundler(std::size_t max_payload) : max_payload_(max_payload) {}

  Added add(Channel channel, ByteView bytes, Instant now);
  /// The frames so far, complete after each add(); valid until the next add() or clear().
  ByteView payload() const { return payload_; }
  std::size_t frames() const { return frames_; }
  bool empty() const { return frames_ == 0; }
  /// When the first frame has waited for limits::kBundleWait; nothing while empty.
  std::optional<Instant> due() const;
  void clear();
  /// From the next payload on (the path's MTU was found, or fell).
  void set_max_payload(std::size_t bytes) { max_payload_ = bytes; }

 private:
  std::size_t max_payload_;
  Bytes payload_;
  std::optional<MediaWriter> writer_;  ///< of payload_, while frames are in it
  std::size_t frames_ = 0;
  Instant first_{};
};

/// Calls `each(channel, bytes)` for the media frames of a payload, in order. @return what was wrong
/// with the rest of it, or nothing; frames before the fault were delivered. A reliable or reserved
/// channel in a media payload is FrameError::reserved_channel.
template <typename Each>
std::optional<FrameError> read_media_frames(ByteView payload, Each&& each) {
  FrameReader reader(payload);
  while (const auto frame = reader.next()) {
    if (frame->channel < limits::kFirstMediaChannel) return FrameError::reserved_channel;
    each(frame->channel, frame->bytes);
  }
  return reader.error();
}

}  // namespace isthmus::wire
