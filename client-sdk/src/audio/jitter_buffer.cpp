#include "audio/jitter_buffer.hpp"

#include <algorithm>
#include <cstdlib>

namespace isthmus::audio {
namespace {

constexpr std::int64_t kFarInSequence = 200;  // packets; RFC 3550 A.1's dropout, within our slots
constexpr std::int64_t kReorderAtStart = 16;  // packets older than the first one seen
constexpr std::int64_t kTimeJumpUs = 1'500'000;  // no path delays by so much more than it did
constexpr std::int64_t kIdleUs = 500'000;        // silence after which a stream begins anew
constexpr std::int64_t kGrowBelowUs = 2'000;     // below target
constexpr std::int64_t kShrinkAboveUs =
    25'000;  // above target: more than one frame, so it cannot swing
constexpr std::int64_t kHurryAboveUs = 60'000;  // shorten every frame
constexpr std::int64_t kDropAboveUs = 100'000;  // the consumer does not follow: drop a packet
constexpr unsigned kShortenEvery = 5;           // frames
constexpr double kLossForFec = 0.01;

std::int64_t to_us(Instant at) {
  return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
}
std::int64_t to_us(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace

JitterBuffer::JitterBuffer(const JitterConfig& config)
    : config_(config),
      estimator_({to_us(config.min_delay), to_us(config.max_delay), to_us(config.initial_delay)}),
      slots_(limits::kJitterPackets),
      frame_ticks_(
          static_cast<std::uint32_t>(to_us(config.frame) * config.clock_rate / 1'000'000)) {}

JitterBuffer::Slot& JitterBuffer::slot(std::int64_t sequence) {
  return slots_[static_cast<std::size_t>(sequence) % slots_.size()];
}

std::int64_t JitterBuffer::ticks_to_us(std::int64_t ticks) const {
  return ticks * 1'000'000 / config_.clock_rate;
}

/// How long after the fastest possible arrival of this media time it is now.
std::int64_t JitterBuffer::delay_of(std::int64_t timestamp, std::int64_t now_us) const {
  return now_us - ticks_to_us(timestamp) - estimator_.base_us();
}

std::int64_t JitterBuffer::target_us(std::int64_t now_us) const {
  std::int64_t target = estimator_.target_us(now_us);
  if (config_.fec && loss_ > kLossForFec) target += ticks_to_us(frame_ticks_);
  return std::min(target, to_us(config_.max_delay));
}

Duration JitterBuffer::target(Instant now) const {
  return std::chrono::microseconds(target_us(to_us(now)));
}

// ---- arriving packets

void JitterBuffer::restart(const rtp::RtpHeader& header) {
  if (started_) ++restarts_;
  for (Slot& each : slots_) {
    each.state = SlotState::empty;
    each.sequence = -1;
  }
  started_ = true;
  playing_ = false;
  continuing_ = false;
  concealed_in_row_ = 0;
  ssrc_ = header.ssrc;
  // Extended counters begin at 2^16 and 2^32, so that packets from before the first stay positive.
  highest_sequence_ = 0x10000 + header.sequence;
  highest_timestamp_ = (std::int64_t{1} << 32) + header.timestamp;
  last_sequence_ = highest_sequence_ - kReorderAtStart;
  bad_sequence_ = -1;
  stalled_ticks_ = 0;
  estimator_.forget_base();
}

void JitterBuffer::reset() {
  started_ = false;
  playing_ = false;
}

/// Extends the 16-bit number; RFC 3550 A.1: a far jump counts only when a second packet follows it.
/// @return false if the packet is to be ignored for now
bool JitterBuffer::accept_sequence(const rtp::RtpHeader& header, std::int64_t& sequence) {
  if (!started_ || header.ssrc != ssrc_) restart(header);
  const auto step = static_cast<std::int16_t>(
      static_cast<std::uint16_t>(header.sequence - static_cast<std::uint16_t>(highest_sequence_)));
  if (step > kFarInSequence || step < -kFarInSequence) {
    if (bad_sequence_ != header.sequence) {
      bad_sequence_ = static_cast<std::uint16_t>(header.sequence + 1);
      return false;
    }
    restart(header);
    sequence = highest_sequence_;
    return true;
  }
  bad_sequence_ = -1;
  sequence = highest_sequence_ + step;
  if (sequence - last_sequence_ >= static_cast<std::int64_t>(slots_.size())) {
    restart(header);  // nobody has been popping
    sequence = highest_sequence_;
  }
  return true;
}

JitterBuffer::Inserted JitterBuffer::insert(const rtp::RtpHeader& header, ByteView payload,
                                            std::uint32_t duration_ticks, Instant arrival) {
  const std::int64_t longest = std::int64_t{config_.clock_rate} * limits::kAudioPacketMs / 1000;
  std::int64_t sequence = 0;
  if (duration_ticks == 0 || duration_ticks > longest ||
      payload.size() > limits::kMediaFrameBytes || !accept_sequence(header, sequence)) {
    ++rejected_;
    return Inserted::rejected;
  }
  const std::int64_t arrival_us = to_us(arrival);
  auto extended = [&] {
    return highest_timestamp_ +
           static_cast<std::int32_t>(header.timestamp -
                                     static_cast<std::uint32_t>(highest_timestamp_));
  };
  std::int64_t timestamp = extended();
  std::int64_t transit = arrival_us - ticks_to_us(timestamp);
  if (estimator_.has_base() && std::abs(transit - estimator_.base_us()) > kTimeJumpUs) {
    if (sequence < highest_sequence_) {  // from before a jump that we have already followed
      ++received_;
      ++late_;
      return Inserted::late;
    }
    restart(header);
    sequence = highest_sequence_;
    timestamp = extended();
    transit = arrival_us - ticks_to_us(timestamp);
  }
  const Slot& place = slot(sequence);
  if (place.sequence == sequence && place.state != SlotState::empty) {
    ++duplicates_;
    return Inserted::duplicate;
  }
  ++received_;
  last_arrival_us_ = std::max(last_arrival_us_, arrival_us);
  const std::int64_t relative = estimator_.on_packet(transit, arrival_us);
  if (playing_ && relative > delay_us_) estimator_.on_late(relative, arrival_us);
  const bool passed = timestamp + duration_ticks / 2 < next_timestamp_;
  if (sequence <= last_sequence_ || (playing_ && passed)) {
    ++late_;
    if (sequence <= last_sequence_) {
      // Remember it, so that its copies count as duplicates; its slot cannot be in use by a newer
      // one.
      Slot& seen = slot(sequence);
      if (seen.sequence < sequence) {
        seen.sequence = sequence;
        seen.state = SlotState::played;
      }
    }
    return Inserted::late;
  }
  store(sequence, timestamp, header, payload, duration_ticks);
  return Inserted::buffered;
}

void JitterBuffer::store(std::int64_t sequence, std::int64_t timestamp,
                         const rtp::RtpHeader& header, ByteView payload, std::uint32_t ticks) {
  Slot& place = slot(sequence);
  place.sequence = sequence;
  place.timestamp = timestamp;
  place.ticks = ticks;
  place.state = SlotState::ready;
  place.payload_type = header.payload_type;
  place.marker = header.marker;
  place.payload.assign(payload.begin(), payload.end());
  if (sequence > highest_sequence_) {
    highest_sequence_ = sequence;
    highest_timestamp_ = std::max(highest_timestamp_, timestamp);
  }
  frame_ticks_ = ticks;
}

void JitterBuffer::insert_other(const rtp::RtpHeader& header) {
  std::int64_t sequence = 0;
  if (!accept_sequence(header, sequence) || sequence <= last_sequence_) return;
  Slot& place = slot(sequence);
  if (place.sequence == sequence && place.state != SlotState::empty) return;
  place.sequence = sequence;
  place.state = SlotState::other;
  highest_sequence_ = std::max(highest_sequence_, sequence);
}

// ---- play-out

JitterBuffer::Slot* JitterBuffer::ready_after(std::int64_t before) {
  for (std::int64_t sequence = before + 1; sequence <= highest_sequence_; ++sequence) {
    Slot& each = slot(sequence);
    if (each.sequence == sequence && each.state == SlotState::ready) return &each;
  }
  return nullptr;
}

/// Packets between the last played and this one that have not come; other payloads are not missing.
std::int64_t JitterBuffer::missing_before(const Slot& found) const {
  std::int64_t missing = 0;
  for (std::int64_t sequence = last_sequence_ + 1; sequence < found.sequence; ++sequence) {
    const Slot& each = slots_[static_cast<std::size_t>(sequence) % slots_.size()];
    if (each.sequence != sequence) ++missing;
  }
  return missing;
}

JitterBuffer::Playout JitterBuffer::pop(Instant now) {
  const std::int64_t now_us = to_us(now);
  if (!started_) return {.ticks = frame_ticks_};
  if (playing_) return pop_playing(now_us);
  Slot* first = ready_after(last_sequence_);
  if (first == nullptr || delay_of(first->timestamp, now_us) < target_us(now_us)) {
    return {.ticks = frame_ticks_};
  }
  if (continuing_) {
    const std::int64_t missing = missing_before(*first);
    count_missing(missing);
    if (missing == 0) forgive_silence();
  }
  playing_ = true;
  stalled_ticks_ = 0;
  delays_ = 0;
  last_sequence_ = first->sequence - 1;
  next_timestamp_ = first->timestamp;
  return pop_playing(now_us);
}

JitterBuffer::Playout JitterBuffer::pop_playing(std::int64_t now_us) {
  delay_us_ = delay_of(next_timestamp_, now_us);
  Slot* found = ready_after(last_sequence_);
  if (found == nullptr) return on_underrun(now_us);
  found = trim(found, now_us);
  const std::int64_t gap = found->timestamp - next_timestamp_;
  // Some senders' timestamps wander by a few ticks from packet to packet.
  if (gap <= std::int64_t{found->ticks} / 2) return play(*found, now_us);
  return on_gap(*found, gap, now_us);
}

/// Nothing to play: stall while the delay may grow, and let time pass beyond that.
JitterBuffer::Playout JitterBuffer::on_underrun(std::int64_t now_us) {
  if (now_us - last_arrival_us_ > kIdleUs) {
    playing_ = false;
    return {.ticks = frame_ticks_};
  }
  const std::uint32_t ticks = frame_ticks_;
  if (delay_us_ + ticks_to_us(ticks) <= to_us(config_.max_delay)) {
    stalled_ticks_ += ticks;
  } else {
    next_timestamp_ += ticks;
  }
  return conceal(ticks, {});
}

JitterBuffer::Playout JitterBuffer::on_gap(Slot& found, std::int64_t gap, std::int64_t now_us) {
  const std::int64_t missing = missing_before(found);
  const bool silence = missing == 0 || (found.marker && gap > 4 * std::int64_t{frame_ticks_});
  if (silence) {
    // The sender was silent (RFC 3551 §4.1): the one moment to set the delay right without being
    // heard.
    if (missing == 0) forgive_silence();
    delay_us_ = target_us(now_us);
    if (delay_of(found.timestamp, now_us) >= delay_us_) return play(found, now_us);
    return {.ticks = frame_ticks_};
  }
  const std::int64_t heard = std::min(stalled_ticks_, gap);
  next_timestamp_ += heard;
  stalled_ticks_ = 0;
  const std::int64_t left = gap - heard;
  if (left <= std::int64_t{found.ticks} / 2) return play(found, now_us);
  const auto ticks = static_cast<std::uint32_t>(std::min<std::int64_t>(left, frame_ticks_));
  next_timestamp_ += ticks;
  const bool adjacent = found.timestamp - next_timestamp_ <= std::int64_t{found.ticks} / 2;
  return conceal(ticks, adjacent ? ByteView(found.payload) : ByteView());
}

JitterBuffer::Playout JitterBuffer::conceal(std::uint32_t ticks, ByteView next) {
  concealed_ticks_ += ticks;
  concealed_in_row_ += ticks;
  return {.kind = Kind::lost, .next = next, .ticks = ticks};
}

/// What was concealed while waiting for the rest of a talk spurt turns out to have been its end, no
/// loss.
void JitterBuffer::forgive_silence() {
  concealed_ticks_ -= concealed_in_row_;
  concealed_in_row_ = 0;
  stalled_ticks_ = 0;
}

void JitterBuffer::count_missing(std::int64_t packets) {
  missing_ += static_cast<std::uint64_t>(packets);
  for (std::int64_t i = 0; i < packets; ++i) loss_ += (1 - loss_) / 100;
}

/// Takes a packet out of the sequence, played or not.
void JitterBuffer::skip(Slot& found) {
  count_missing(missing_before(found));
  loss_ -= loss_ / 100;
  last_sequence_ = found.sequence;
  next_timestamp_ = found.timestamp + found.ticks;
  stalled_ticks_ = 0;
  found.state = SlotState::played;
}

JitterBuffer::Playout JitterBuffer::play(Slot& found, std::int64_t now_us) {
  delay_us_ = delay_of(found.timestamp, now_us);
  played_delay_us_ = delay_us_;
  skip(found);
  continuing_ = true;
  concealed_in_row_ = 0;
  ++played_;
  played_ticks_ += found.ticks;
  return {.kind = Kind::frame,
          .adjust = wish(now_us),
          .payload_type = found.payload_type,
          .payload = found.payload,
          .ticks = found.ticks};
}

/// Drops packets when the delay is beyond all bounds (after a freeze of the network or of the
/// consumer), or one packet when it has been too high for ten pops in spite of Adjust::shorten.
JitterBuffer::Slot* JitterBuffer::trim(Slot* found, std::int64_t now_us) {
  const std::int64_t frame_us = ticks_to_us(frame_ticks_);
  const std::int64_t target = target_us(now_us);
  const auto lowest = *std::min_element(recent_delays_.begin(), recent_delays_.end());
  std::int64_t bound = INT64_MAX;
  if (delay_of(found->timestamp, now_us) > to_us(config_.max_delay) + 2 * frame_us) {
    bound = target + frame_us;
  } else if (delays_ >= recent_delays_.size() && lowest > target + kDropAboveUs) {
    bound = delay_of(found->timestamp, now_us) - frame_us / 2;
    delays_ = 0;
  }
  while (delay_of(found->timestamp, now_us) > bound) {
    Slot* following = ready_after(found->sequence);
    if (following == nullptr) break;
    skip(*found);
    ++trimmed_;
    found = following;
  }
  return found;
}

JitterBuffer::Adjust JitterBuffer::wish(std::int64_t now_us) {
  recent_delays_[delays_ % recent_delays_.size()] = delay_us_;
  ++delays_;
  ++since_shorten_;
  const std::int64_t target = target_us(now_us);
  if (delay_us_ < target - kGrowBelowUs) return Adjust::lengthen;
  if (delays_ < recent_delays_.size()) return Adjust::none;
  // The lowest of the last pops: shortening must not make the latest of a batch of pops come too
  // late.
  const auto lowest = *std::min_element(recent_delays_.begin(), recent_delays_.end());
  if (lowest <= target + kShrinkAboveUs) return Adjust::none;
  if (lowest <= target + kHurryAboveUs && since_shorten_ < kShortenEvery) return Adjust::none;
  since_shorten_ = 0;
  return Adjust::shorten;
}

JitterStatistics JitterBuffer::statistics(Instant now) const {
  JitterStatistics all;
  all.received = received_;
  all.played = played_;
  all.lost = missing_ > late_ ? missing_ - late_ : 0;
  all.late = late_;
  all.duplicates = duplicates_;
  all.rejected = rejected_;
  all.trimmed = trimmed_;
  all.restarts = restarts_;
  const auto total = static_cast<double>(played_ticks_ + concealed_ticks_);
  if (total > 0) all.concealed_ratio = static_cast<double>(concealed_ticks_) / total;
  all.delay = std::chrono::microseconds(playing_ ? std::max<std::int64_t>(played_delay_us_, 0) : 0);
  all.target = target(now);
  return all;
}

}  // namespace isthmus::audio
