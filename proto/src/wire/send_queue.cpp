#include "wire/send_queue.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"

namespace isthmus::wire {
namespace {

// Most links carry one call; a ring of a few slots grows only where a connector needs it.
constexpr std::size_t kFirstSlots = 8;
static_assert((limits::kMediaQueueFrames & (limits::kMediaQueueFrames - 1)) == 0, "ring size");

}  // namespace

bool SendQueue::push_reliable(Channel channel, ByteView bytes) {
  if (reliable_.size() >= limits::kReliableQueueFrames ||
      reliable_bytes_ + bytes.size() > limits::kReliableQueueBytes) {
    return false;
  }
  Bytes message;
  message.reserve(bytes.size() + 1);
  if (write_reliable(channel, bytes, message)) return false;
  reliable_bytes_ += message.size();
  reliable_.push_back(std::move(message));
  return true;
}

void SendQueue::push_media(Channel channel, ByteView bytes, Instant now) {
  if (channel < limits::kFirstMediaChannel || channel > limits::kLastMediaChannel ||
      bytes.empty() || bytes.size() > limits::kMediaFrameBytes) {
    ++media_dropped_;
    return;
  }
  drop_late(now);
  if (media_count_ == media_.size()) {
    if (media_.size() < limits::kMediaQueueFrames) {
      grow();
    } else {
      take_oldest();
      ++media_dropped_;
    }
  }
  MediaSlot& slot = media_[(media_head_ + media_count_) & (media_.size() - 1)];
  slot.bytes.assign(bytes.begin(), bytes.end());
  slot.channel = channel;
  slot.queued = now;
  ++media_count_;
}

void SendQueue::grow() {
  std::rotate(media_.begin(), media_.begin() + static_cast<std::ptrdiff_t>(media_head_),
              media_.end());
  media_head_ = 0;
  media_.resize(std::max(kFirstSlots, media_.size() * 2));
}

void SendQueue::take_oldest() {
  media_head_ = (media_head_ + 1) & (media_.size() - 1);
  --media_count_;
}

void SendQueue::drop_late(Instant now) {
  while (media_count_ > 0 && now - media_[media_head_].queued > limits::kMediaDeadline) {
    take_oldest();
    ++media_dropped_;
  }
}

std::optional<ByteView> SendQueue::pop(Instant now, std::size_t max_media_bytes) {
  drop_late(now);
  const bool media_turn = media_count_ > 0 && (last_was_reliable_ || reliable_.empty());
  if (media_turn) {
    last_was_reliable_ = false;
    return pop_media(max_media_bytes);
  }
  if (reliable_.empty()) return std::nullopt;
  last_was_reliable_ = true;
  return pop_reliable();
}

ByteView SendQueue::pop_reliable() {
  reliable_out_ = std::move(reliable_.front());
  reliable_.pop_front();
  reliable_bytes_ -= reliable_out_.size();
  return reliable_out_;
}

ByteView SendQueue::pop_media(std::size_t max_bytes) {
  media_out_.clear();
  const MediaSlot& first = media_[media_head_];
  const std::size_t alone = varint_size(first.channel) + 1 + first.bytes.size();
  MediaWriter writer(media_out_, std::max(max_bytes, alone));
  while (media_count_ > 0) {
    const MediaSlot& slot = media_[media_head_];
    if (!writer.add(slot.channel, slot.bytes)) break;
    take_oldest();
  }
  return media_out_;
}

}  // namespace isthmus::wire
