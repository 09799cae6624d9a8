#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"

namespace isthmus::rtp {

/// Payload of an RFC 4733 §2.3 telephone event.
struct TelephoneEvent {
  std::uint8_t event = 0;  ///< 0-9, 10 '*', 11 '#', 12-15 'A'-'D'
  bool end = false;
  std::uint8_t volume = 10;  ///< -dBm0, 0..63
  std::uint16_t duration = 0;  ///< RTP ticks since the event began

  static std::optional<TelephoneEvent> parse(ByteView payload);
  void write(Bytes& out) const;  ///< appends 4 bytes
};

std::optional<std::uint8_t> event_of(char digit);  ///< '0'..'9' '*' '#' 'A'..'D' (case-insensitive)
char digit_of(std::uint8_t event);                 ///< '\0' if it is no DTMF event

/// Plays digits as RFC 4733 §2.5.1 packets: one packet each `packet_ticks`, the end sent three times, a gap
/// between digits. Pure: call next() once per packet interval.
class TelephoneEventSender {
 public:
  struct Packet {
    TelephoneEvent event;
    bool marker = false;
    std::uint32_t timestamp_offset = 0;  ///< ticks to take back from "now": the event's start
  };
  TelephoneEventSender(std::uint32_t clock_rate, std::uint32_t packet_ticks);
  void add(char digit, unsigned duration_ms = 100, unsigned gap_ms = 60);
  bool active() const;
  std::optional<Packet> next();

 private:
  struct Queued {
    std::uint8_t event;
    std::uint32_t duration_ticks, gap_ticks;
  };
  std::uint32_t clock_rate_, packet_ticks_;
  std::vector<Queued> queue_;
  std::uint32_t elapsed_ = 0;
  int ends_sent_ = 0;
};

/// Reports each digit once from a stream of events (same RTP timestamp: same event).
class TelephoneEventReceiver {
 public:
  /// @return the digit when an event is first seen; nothing for its repeats and ends.
  std::optional<char> on_packet(std::uint32_t rtp_timestamp, const TelephoneEvent& event);

 private:
  std::optional<std::uint32_t> last_timestamp_;
};

}  // namespace isthmus::rtp
