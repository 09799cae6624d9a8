#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace isthmus::wire {

using Channel = std::uint32_t;
inline constexpr Channel kControlChannel = 0;
inline constexpr Channel kSipChannel = 1;
// Media channels begin at limits::kFirstMediaChannel.

enum class FrameError : std::uint8_t { truncated, too_large, reserved_channel, channel_out_of_range, empty };
const char* to_text(FrameError error);

/// One WebSocket binary message (PROTOCOL.md, TCP link): `channel varint`, then for a reliable channel the
/// frame's bytes to the end; for media `length varint, bytes`, and more media frames after it; a length of
/// 0 means "to the end".
struct Frame {
  Channel channel = 0;
  ByteView bytes;
};

/// Appends one reliable message to `out`. @return too_large above limits::kReliableFrameBytes.
std::optional<FrameError> write_reliable(Channel channel, ByteView bytes, Bytes& out);

/// Builds a media payload of one or more frames. add() returns false (and leaves the payload as it was) when the
/// frame is too large or the payload would pass `max_bytes`.
class MediaWriter {
 public:
  explicit MediaWriter(Bytes& out, std::size_t max_bytes);
  bool add(Channel channel, ByteView bytes);
  std::size_t frames() const { return frames_; }
  void finish() {}

 private:
  Bytes& out_;
  std::size_t max_bytes_, frames_ = 0;
};

/// Reads a whole message: either exactly one reliable frame, or media frames until the end.
class FrameReader {
 public:
  explicit FrameReader(ByteView message) : reader_(message) {}
  /// Next frame, or nothing at the end or after an error (see error()).
  std::optional<Frame> next();
  std::optional<FrameError> error() const { return error_; }

 private:
  Reader reader_;
  std::optional<FrameError> error_;
};

}  // namespace isthmus::wire
