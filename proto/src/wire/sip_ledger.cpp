#include "wire/sip_ledger.hpp"

#include "base/limits.hpp"

namespace isthmus::wire {

bool SipLedger::send(ByteView frame) {
  if (keeps_) {
    if (frames_.size() >= limits::kReplayFrames || bytes_ + frame.size() > limits::kReplayBytes) {
      return false;
    }
    frames_.push_back(to_bytes(frame));
    bytes_ += frame.size();
  }
  ++sent_;
  return true;
}

bool SipLedger::on_acknowledged(std::uint64_t count) {
  if (count > sent_) return false;
  for (; acknowledged_ < count; ++acknowledged_) {
    if (frames_.empty()) continue;
    bytes_ -= frames_.front().size();
    frames_.pop_front();
  }
  return true;
}

}  // namespace isthmus::wire
