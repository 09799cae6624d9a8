#pragma once
#include <memory>
#include <optional>

#include "media/stream.hpp"
#include "rtp/digit_collector.hpp"
#include "rtp/sequence_splice.hpp"
#include "rtp/telephone_event.hpp"

namespace isthmus::media {

/// What a stream's own packets go through where digits are converted (relay_events.cpp): events
/// taken out of them, and events played among them toward the stream's peer.
struct Relay::EventStream {
  rtp::SequenceSplice splice;
  rtp::DigitCollector heard;
  std::optional<rtp::TelephoneEventSender> player;  ///< there while digits play
  std::uint32_t player_clock = 0;
  std::uint32_t play_time = 0;  ///< timestamp of the interval that is next
};

}  // namespace isthmus::media
