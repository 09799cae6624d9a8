#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "rtp/telephone_event.hpp"

namespace isthmus::rtp {

/// Digits with how long they were held, from a stream of telephone events: each is told once, when
/// it is over. No allocation; pure.
class DigitCollector {
 public:
  struct Digit {
    char digit = '\0';
    std::uint32_t ticks = 0;  ///< of the event's clock
  };
  /// At most two: one whose end was lost and that another follows, and that other, if all that is
  /// left of it is its end. In the order in which they were pressed.
  using Digits = std::array<std::optional<Digit>, 2>;

  /// An event packet. What is no DTMF digit, late or repeated tells nothing.
  Digits on_packet(std::uint32_t rtp_timestamp, const TelephoneEvent& event, Instant now);
  /// Any other packet of the stream: a digit is over, too, when nothing was heard of it for
  /// limits::kDtmfEndLost although the stream goes on.
  std::optional<Digit> on_other(Instant now);

 private:
  struct Open {
    char digit;
    std::uint32_t began, ticks;
    Instant heard;
  };
  std::optional<Digit> finish();

  TelephoneEventReceiver receiver_;
  std::optional<Open> open_;
};

}  // namespace isthmus::rtp
