#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/bytes.hpp"

namespace isthmus::rtp {

/// Payload of an RFC 4733 §2.3 telephone event.
struct TelephoneEvent {
  std::uint8_t event = 0;  ///< 0-9, 10 '*', 11 '#', 12-15 'A'-'D'
  bool end = false;
  std::uint8_t volume = 10;    ///< -dBm0, 0..63
  std::uint16_t duration = 0;  ///< RTP ticks since the event began

  static std::optional<TelephoneEvent> parse(ByteView payload);
  void write(Bytes& out) const;  ///< appends 4 bytes
};

std::optional<std::uint8_t> event_of(char digit);  ///< '0'..'9' '*' '#' 'A'..'D' (case-insensitive)
char digit_of(std::uint8_t event);                 ///< '\0' if it is no DTMF event

/// Plays digits as RFC 4733 §2.5.1 packets: one packet each `packet_ticks`, the end sent three
/// times, a gap between digits. An event longer than 0xFFFF ticks goes in segments (§2.5.1.3), the
/// last packet of each sent three times too (§2.5.1.4). Pure: call next() once per packet interval,
/// also when it has nothing, for that is how gaps pass.
class TelephoneEventSender {
 public:
  struct Packet {
    TelephoneEvent event;
    bool marker = false;
    /// Ticks to take back from "now", the timestamp an audio packet of this interval would have:
    /// the event's (or segment's) start. The first packet of an event has 0 and the marker.
    std::uint32_t timestamp_offset = 0;
  };
  /// @param clock_rate  ticks per second of the telephone-event payload type
  /// @param packet_ticks  ticks between calls of next(), 160 for 20 ms at 8000; 0 stands for 20 ms
  TelephoneEventSender(std::uint32_t clock_rate, std::uint32_t packet_ticks);
  /// Queues a digit; a duration past limits::kDtmfEventLife is cut to it, one of 0 becomes one
  /// packet interval.
  /// @return false if it is no DTMF digit or limits::kDtmfQueueDigits wait already.
  bool add(char digit, unsigned duration_ms = 100, unsigned gap_ms = 60);
  bool active() const { return !queue_.empty(); }  ///< a digit or its gap is under way
  /// Nothing between events: audio or silence may be sent in this interval.
  std::optional<Packet> next();

 private:
  struct Queued {
    std::uint8_t event;
    std::uint32_t duration_ticks, gap_ticks;
  };
  std::uint32_t ticks(unsigned ms) const;
  void start_next();

  std::uint32_t clock_rate_, packet_ticks_;
  std::deque<Queued> queue_;   ///< front: the one that plays
  std::uint32_t elapsed_ = 0;  ///< ticks since the front began, up to the next call
  std::uint32_t segment_start_ =
      0;                 ///< ticks from the front's start to that of the segment under way
  int finals_sent_ = 0;  ///< last packets of that segment; three and no more: the gap
};

/// Reports each digit once from a stream of events (same RTP timestamp: same event).
class TelephoneEventReceiver {
 public:
  /// @return the digit when an event is first seen, be it by its end alone; nothing for its
  /// repeats, ends, further segments and late packets, and for events that are no DTMF digit.
  std::optional<char> on_packet(std::uint32_t rtp_timestamp, const TelephoneEvent& event);

 private:
  struct Seen {
    std::uint32_t timestamp;
    TelephoneEvent event;
  };
  bool continues(std::uint32_t rtp_timestamp, const TelephoneEvent& event) const;

  std::array<std::optional<Seen>, 4>
      recent_;  ///< newest first; more than reordering can interleave
};

}  // namespace isthmus::rtp
