#include "rtp/sequence_splice.hpp"

#include <chrono>

namespace isthmus::rtp {
namespace {

std::uint16_t low(std::uint32_t number) {
  return static_cast<std::uint16_t>(number & 0xffffU);
}

/// In the circle of sequence numbers (RFC 1982).
bool after(std::uint16_t a, std::uint16_t b) {
  const std::uint16_t distance = low(std::uint32_t{a} - b);
  return distance != 0 && distance < 0x8000;
}

}  // namespace

/// The source sends as another one: its numbers stay its own until something changes.
void SequenceSplice::restart(std::uint16_t sequence, std::uint32_t ssrc) {
  heard_ = true;
  ssrc_ = ssrc;
  highest_in_ = changed_at_ = replaced_from_ = last_out_ = low(sequence - 1U);
  shift_ = shift_before_ = 0;
}

std::optional<std::uint16_t> SequenceSplice::pass(std::uint16_t sequence, std::uint32_t timestamp,
                                                  std::uint32_t ssrc, Instant now) {
  if (!heard_ || ssrc != ssrc_) {
    if (inserting_) return std::nullopt;  // the packets of ours end as the stream they began in
    restart(sequence, ssrc);
  }
  if (after(sequence, highest_in_)) {
    highest_in_ = sequence;
    last_timestamp_ = timestamp;
    last_at_ = now;
    if (inserting_) return std::nullopt;
    last_out_ = low(std::uint32_t{sequence} + shift_);
    return last_out_;
  }
  if (after(sequence, changed_at_)) {
    if (inserting_) return std::nullopt;
    return low(std::uint32_t{sequence} + shift_);
  }
  if (after(sequence, replaced_from_)) return std::nullopt;
  return low(std::uint32_t{sequence} + shift_before_);
}

void SequenceSplice::take_out(std::uint16_t sequence, std::uint32_t ssrc) {
  if (!heard_ || ssrc != ssrc_) {
    if (inserting_) return;
    restart(sequence, ssrc);
  }
  if (!after(sequence, highest_in_)) return;
  highest_in_ = sequence;
  if (inserting_) return;
  shift_before_ = shift_;
  shift_ = low(shift_ - 1U);
  changed_at_ = sequence;
  replaced_from_ = low(sequence - 1U);
}

std::uint32_t SequenceSplice::begin(std::uint32_t clock_rate, Instant now, Random& random) {
  if (!heard_ && !last_at_) {
    ssrc_ = random.u32();
    last_out_ = low(random.u32());
    last_timestamp_ = random.u32();
  }
  const auto idle =
      last_at_ ? std::chrono::duration_cast<std::chrono::microseconds>(now - *last_at_).count() : 0;
  last_timestamp_ += static_cast<std::uint32_t>(idle * clock_rate / 1'000'000);
  last_at_ = now;
  inserting_ = true;
  replaced_from_ = highest_in_;
  return last_timestamp_;
}

void SequenceSplice::end() {
  inserting_ = false;
  if (!heard_) return;
  shift_before_ = shift_;
  shift_ = low(std::uint32_t{last_out_} - highest_in_);
  changed_at_ = highest_in_;
}

}  // namespace isthmus::rtp
