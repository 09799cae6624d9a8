#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "wire/frame.hpp"

namespace isthmus::wire {

/// What waits to be written to a TCP link. Reliable messages keep their order and are never
/// dropped; media is dropped oldest first once past its deadline or over the queue's bound. Buffers
/// are reused: no allocation per media packet once warm. Pure; single-threaded.
class SendQueue {
 public:
  /// @return false when the reliable bound (limits::kReliableQueue*) is passed, or the frame is
  /// none that write_reliable() takes: nothing was queued; close the link with too_slow.
  bool push_reliable(Channel channel, ByteView bytes);
  /// A frame that MediaWriter would not take is counted as dropped.
  void push_media(Channel channel, ByteView bytes, Instant now);
  /// The next whole WebSocket message, reliable first but never two reliable ones in a row while
  /// media waits (so that neither starves the other). Media of the same moment may be bundled up to
  /// `max_media_bytes`; a frame that is larger alone goes alone. The view stays valid until the
  /// next call of pop().
  std::optional<ByteView> pop(Instant now, std::size_t max_media_bytes);

  bool popped_media() const { return !last_was_reliable_; }  ///< by the last pop() that gave any
  bool empty() const { return reliable_.empty() && media_count_ == 0; }
  std::size_t reliable_bytes() const { return reliable_bytes_; }
  std::uint64_t media_dropped() const { return media_dropped_; }

 private:
  struct MediaSlot {
    Bytes bytes;
    Channel channel = 0;
    Instant queued{};
  };
  void grow();
  void drop_late(Instant now);
  void take_oldest();
  ByteView pop_reliable();
  ByteView pop_media(std::size_t max_bytes);

  std::deque<Bytes> reliable_;
  std::size_t reliable_bytes_ = 0;
  std::vector<MediaSlot> media_;  ///< ring; its size is a power of two
  std::size_t media_head_ = 0, media_count_ = 0;
  std::uint64_t media_dropped_ = 0;
  bool last_was_reliable_ = false;
  Bytes reliable_out_,
      media_out_;  ///< what the last pop() returned; apart so that media keeps its buffer
};

}  // namespace isthmus::wire
