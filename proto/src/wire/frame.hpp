#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace isthmus::wire {

using Channel = std::uint32_t;
inline constexpr Channel kControlChannel = 0;
inline constexpr Channel kSipChannel = 1;
// Media channels begin at limits::kFirstMediaChannel and end at limits::kLastMediaChannel.

enum class FrameError : std::uint8_t {
  truncated,             ///< a channel, length or frame runs past the end of the message
  too_large,             ///< above limits::kReliableFrameBytes or limits::kMediaFrameBytes
  reserved_channel,      ///< not a media channel where one must be, or 2-15 to be written
  channel_out_of_range,  ///< above limits::kLastMediaChannel, or media on the reliable service
  empty,                 ///< no bytes in the message or in the frame
};
const char* to_text(FrameError error);

/// One WebSocket binary message (PROTOCOL.md, TCP link): `channel varint`, then for a reliable
/// channel the frame's bytes to the end; for media `length varint, bytes`, and more media frames
/// after it; a length of 0 means "to the end".
struct Frame {
  Channel channel = 0;
  ByteView bytes;
};

/// Appends one reliable message to `out`. @return what is wrong with it (nothing appended), or
/// nothing.
std::optional<FrameError> write_reliable(Channel channel, ByteView bytes, Bytes& out);

/// Builds a media payload of one or more frames at the end of `out`. The payload is complete after
/// every add(): the last frame is written with length 0, which costs one byte whatever its size.
class MediaWriter {
 public:
  /// @param max_bytes bound of the payload, what `out` held before not counted.
  explicit MediaWriter(Bytes& out, std::size_t max_bytes);
  /// @return false, the payload left as it was, when the frame is empty, above
  /// limits::kMediaFrameBytes, not on a media channel, or the payload would pass `max_bytes`.
  bool add(Channel channel, ByteView bytes);
  std::size_t frames() const { return frames_; }

 private:
  Bytes& out_;
  std::size_t max_bytes_, frames_ = 0;
  std::size_t start_;              ///< of the payload in `out_`
  std::size_t length_offset_ = 0;  ///< of the last frame's length, a single 0 byte
};

/// Reads a whole message: either exactly one reliable frame, or media frames until the end. The
/// whole of a message on channel 2-15 is one frame, for the session to count and drop.
class FrameReader {
 public:
  explicit FrameReader(ByteView message) : reader_(message) {}
  /// Next frame, or nothing at the end or after an error (see error()).
  std::optional<Frame> next();
  std::optional<FrameError> error() const { return error_; }

 private:
  std::optional<Frame> fail(FrameError error);
  std::optional<Frame> reliable(Channel channel);
  std::optional<Frame> media(Channel channel);

  Reader reader_;
  std::optional<FrameError> error_;
  bool first_ = true, done_ = false;
};

}  // namespace isthmus::wire
