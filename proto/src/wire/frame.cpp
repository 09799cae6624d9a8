#include "wire/frame.hpp"

#include <utility>

#include "base/limits.hpp"

namespace isthmus::wire {
namespace {

bool is_media(std::uint64_t channel) {
  return channel >= limits::kFirstMediaChannel && channel <= limits::kLastMediaChannel;
}

}  // namespace

const char* to_text(FrameError error) {
  switch (error) {
    case FrameError::truncated:
      return "frame truncated";
    case FrameError::too_large:
      return "frame too large";
    case FrameError::reserved_channel:
      return "reserved channel";
    case FrameError::channel_out_of_range:
      return "channel out of range";
    case FrameError::empty:
      return "empty frame";
  }
  return "unknown frame error";
}

std::optional<FrameError> write_reliable(Channel channel, ByteView bytes, Bytes& out) {
  if (channel >= limits::kFirstMediaChannel) return FrameError::channel_out_of_range;
  if (channel > kSipChannel) return FrameError::reserved_channel;
  if (bytes.empty()) return FrameError::empty;
  if (bytes.size() > limits::kReliableFrameBytes) return FrameError::too_large;
  Writer writer(out);
  writer.varint(channel);
  writer.bytes(bytes);
  return std::nullopt;
}

MediaWriter::MediaWriter(Bytes& out, std::size_t max_bytes)
    : out_(out), max_bytes_(max_bytes), start_(out.size()) {}

bool MediaWriter::add(Channel channel, ByteView bytes) {
  if (!is_media(channel) || bytes.empty() || bytes.size() > limits::kMediaFrameBytes) return false;
  // The frame that was last gets its true length now that another follows it.
  const std::size_t last_bytes = frames_ > 0 ? out_.size() - length_offset_ - 1 : 0;
  const std::size_t length_growth = frames_ > 0 ? varint_size(last_bytes) - 1 : 0;
  const std::size_t added = length_growth + varint_size(channel) + 1 + bytes.size();
  if (out_.size() - start_ + added > max_bytes_) return false;

  if (frames_ > 0) {
    if (length_growth == 0) {
      out_[length_offset_] = static_cast<std::uint8_t>(last_bytes);
    } else {  // kMediaFrameBytes needs two bytes at most (RFC 9000 §16, prefix 01)
      static_assert(limits::kMediaFrameBytes < 16384);
      out_[length_offset_] = static_cast<std::uint8_t>(0x40 | last_bytes >> 8);
      out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(length_offset_ + 1),
                  static_cast<std::uint8_t>(last_bytes & 0xff));
    }
  }
  Writer writer(out_);
  writer.varint(channel);
  length_offset_ = out_.size();
  writer.u8(0);
  writer.bytes(bytes);
  ++frames_;
  return true;
}

std::optional<Frame> FrameReader::fail(FrameError error) {
  error_ = error;
  done_ = true;
  return std::nullopt;
}

std::optional<Frame> FrameReader::next() {
  if (done_) return std::nullopt;
  if (reader_.remaining() == 0) {
    if (first_) return fail(FrameError::empty);
    done_ = true;
    return std::nullopt;
  }
  const std::uint64_t channel = reader_.varint();
  if (!reader_.ok()) return fail(FrameError::truncated);
  if (channel > limits::kLastMediaChannel) return fail(FrameError::channel_out_of_range);
  const bool first = std::exchange(first_, false);
  if (is_media(channel)) return media(static_cast<Channel>(channel));
  if (!first) return fail(FrameError::reserved_channel);
  return reliable(static_cast<Channel>(channel));
}

std::optional<Frame> FrameReader::reliable(Channel channel) {
  const ByteView bytes = reader_.rest();
  if (bytes.empty()) return fail(FrameError::empty);
  if (bytes.size() > limits::kReliableFrameBytes) return fail(FrameError::too_large);
  done_ = true;
  return Frame{channel, bytes};
}

std::optional<Frame> FrameReader::media(Channel channel) {
  const std::uint64_t length = reader_.varint();
  if (!reader_.ok()) return fail(FrameError::truncated);
  if (length > limits::kMediaFrameBytes) return fail(FrameError::too_large);
  const std::size_t bytes = length == 0 ? reader_.remaining() : static_cast<std::size_t>(length);
  if (bytes == 0) return fail(FrameError::empty);
  if (bytes > reader_.remaining()) return fail(FrameError::truncated);
  if (bytes > limits::kMediaFrameBytes) return fail(FrameError::too_large);
  return Frame{channel, reader_.take(bytes)};
}

}  // namespace isthmus::wire
