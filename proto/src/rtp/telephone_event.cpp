#include "rtp/telephone_event.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "base/limits.hpp"

namespace isthmus::rtp {
namespace {

constexpr std::string_view kDigits = "0123456789*#ABCD";  ///< by event code (RFC 4733 table 3)
constexpr std::uint32_t kMaxDuration = 0xffff;            ///< of a segment, RTP ticks
constexpr int kFinalPackets = 3;                          ///< RFC 4733 §2.5.1.4

}  // namespace

std::optional<TelephoneEvent> TelephoneEvent::parse(ByteView payload) {
  Reader reader(payload);
  TelephoneEvent result;
  result.event = reader.u8();
  const std::uint8_t flags = reader.u8();
  result.end = flags & 0x80;
  result.volume = flags & 0x3f;
  result.duration = reader.u16();
  if (!reader.ok()) return std::nullopt;
  return result;
}

void TelephoneEvent::write(Bytes& out) const {
  Writer writer(out);
  writer.u8(event);
  writer.u8(static_cast<std::uint8_t>((end ? 0x80 : 0) | std::min<std::uint8_t>(volume, 0x3f)));
  writer.u16(duration);
}

std::optional<std::uint8_t> event_of(char digit) {
  const char upper = digit >= 'a' && digit <= 'd' ? static_cast<char>(digit - 'a' + 'A') : digit;
  const std::size_t at = kDigits.find(upper);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<std::uint8_t>(at);
}

char digit_of(std::uint8_t event) {
  return event < kDigits.size() ? kDigits[event] : '\0';
}

TelephoneEventSender::TelephoneEventSender(std::uint32_t clock_rate, std::uint32_t packet_ticks)
    : clock_rate_(clock_rate),
      packet_ticks_(packet_ticks != 0 ? packet_ticks : std::max(clock_rate / 50, 1u)) {}

std::uint32_t TelephoneEventSender::ticks(unsigned ms) const {
  const auto longest = std::chrono::duration_cast<milliseconds>(limits::kDtmfEventLife).count();
  const auto bounded = std::min<std::uint64_t>(ms, static_cast<std::uint64_t>(longest));
  // A quarter of the 32 bits, so that sums of event, gap and packets cannot overflow.
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(bounded * clock_rate_ / 1000, 0x3fffffff));
}

bool TelephoneEventSender::add(char digit, unsigned duration_ms, unsigned gap_ms) {
  const auto event = event_of(digit);
  if (!event || queue_.size() >= limits::kDtmfQueueDigits) return false;
  queue_.push_back({*event, std::max(ticks(duration_ms), packet_ticks_), ticks(gap_ms)});
  return true;
}

// The timestamp "now" of a call is `elapsed_` after the event's start, and the packet reports the
// event up to the end of its interval, as an audio packet would carry that interval's samples.
std::optional<TelephoneEventSender::Packet> TelephoneEventSender::next() {
  if (queue_.empty()) return std::nullopt;
  const Queued digit = queue_.front();
  const std::uint32_t now = elapsed_;
  elapsed_ += packet_ticks_;

  const std::uint32_t left = digit.duration_ticks - segment_start_;
  const bool last_segment = left <= kMaxDuration;
  const std::uint32_t segment_length = std::min(left, kMaxDuration);
  const bool gap = last_segment && finals_sent_ == kFinalPackets;
  if (gap) {
    start_next();
    return std::nullopt;
  }

  Packet packet;
  packet.marker = now == 0;
  packet.timestamp_offset = now - segment_start_;
  packet.event.event = digit.event;
  const std::uint32_t duration = std::min(elapsed_ - segment_start_, segment_length);
  packet.event.duration = static_cast<std::uint16_t>(duration);
  if (duration < segment_length) return packet;

  ++finals_sent_;
  packet.event.end = last_segment;
  if (finals_sent_ < kFinalPackets) return packet;
  if (last_segment) {
    start_next();
  } else {
    segment_start_ += kMaxDuration;
    finals_sent_ = 0;
  }
  return packet;
}

/// Leaves the front digit once its gap, which runs from the event's end, is over.
void TelephoneEventSender::start_next() {
  const Queued& digit = queue_.front();
  if (elapsed_ < digit.duration_ticks + digit.gap_ticks) return;
  queue_.pop_front();
  elapsed_ = 0;
  segment_start_ = 0;
  finals_sent_ = 0;
}

std::optional<char> TelephoneEventReceiver::on_packet(std::uint32_t rtp_timestamp,
                                                      const TelephoneEvent& event) {
  const char digit = digit_of(event.event);
  if (digit == '\0') return std::nullopt;
  for (auto& seen : recent_) {
    if (!seen || seen->timestamp != rtp_timestamp) continue;
    if (event.duration > seen->event.duration || event.end) seen->event = event;
    return std::nullopt;
  }
  const bool known = continues(rtp_timestamp, event);
  std::shift_right(recent_.begin(), recent_.end(), 1);
  recent_.front() = Seen{rtp_timestamp, event};
  if (known) return std::nullopt;
  return digit;
}

/// A further segment of an event that outlasted the duration field starts where the one before
/// ended (RFC 4733 §2.5.1.3); if the packets that said so are lost, it still is a full segment
/// later.
bool TelephoneEventReceiver::continues(std::uint32_t rtp_timestamp,
                                       const TelephoneEvent& event) const {
  const auto& last = recent_.front();
  if (!last || last->event.event != event.event || last->event.end) return false;
  const std::uint32_t since = rtp_timestamp - last->timestamp;
  return since == kMaxDuration || since == last->event.duration;
}

}  // namespace isthmus::rtp
