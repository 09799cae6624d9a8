#include "rtp/digit_collector.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::rtp {

std::optional<DigitCollector::Digit> DigitCollector::finish() {
  if (!open_) return std::nullopt;
  Digit digit{open_->digit, open_->ticks};
  open_.reset();
  return digit;
}

DigitCollector::Digits DigitCollector::on_packet(std::uint32_t rtp_timestamp,
                                                 const TelephoneEvent& event, Instant now) {
  Digits over;
  if (std::optional<char> pressed = receiver_.on_packet(rtp_timestamp, event)) {
    over[0] = finish();
    open_ = Open{*pressed, rtp_timestamp, event.duration, now};
  } else if (!open_ || open_->digit != digit_of(event.event)) {
    return over;
  } else {
    // A further segment (RFC 4733 §2.5.1.3) has a timestamp of its own, so many ticks later.
    const std::uint32_t since = rtp_timestamp - open_->began;
    if (since > 0x7fffffff) return over;  // of an event before it
    open_->ticks = std::max(open_->ticks, since + event.duration);
    open_->heard = now;
  }
  if (event.end) over[over[0] ? 1 : 0] = finish();
  return over;
}

std::optional<DigitCollector::Digit> DigitCollector::on_other(Instant now) {
  if (!open_ || now - open_->heard < limits::kDtmfEndLost) return std::nullopt;
  return finish();
}

}  // namespace isthmus::rtp
