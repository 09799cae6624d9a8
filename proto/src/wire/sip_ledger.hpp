#pragma once
#include <cstdint>
#include <deque>

#include "base/bytes.hpp"

namespace isthmus::wire {

/// What one end of a session knows of its SIP frames, over all of its links: how many came, how
/// many went, and those that went and that no Ack has covered, to be sent again on the next link.
/// Frames are numbered from 1 in each direction. Pure.
class SipLedger {
 public:
  /// Without it, frames are counted only: no other link will ever ask for them.
  void keep_unacknowledged() { keeps_ = true; }

  /// Counts a frame that goes out, and keeps a copy of it.
  /// @return false, nothing changed, when more than limits::kReplayFrames or limits::kReplayBytes
  /// would wait for an Ack: the session cannot promise delivery any more and must end
  [[nodiscard]] bool send(ByteView frame);
  /// @param count  what an Ack, Hello or Welcome of the peer says to have received
  /// @return false for a count of frames that were never sent
  [[nodiscard]] bool on_acknowledged(std::uint64_t count);
  void count_received() { ++received_; }

  std::uint64_t sent() const { return sent_; }
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t received() const { return received_; }
  /// Frames acknowledged() + 1 to sent(), when they are kept.
  const std::deque<Bytes>& unacknowledged() const { return frames_; }

 private:
  bool keeps_ = false;
  std::uint64_t sent_ = 0, acknowledged_ = 0, received_ = 0;
  std::deque<Bytes> frames_;
  std::size_t bytes_ = 0;
};

}  // namespace isthmus::wire
