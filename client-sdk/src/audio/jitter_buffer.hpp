#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "audio/delay_estimator.hpp"
#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "rtp/rtp_packet.hpp"

namespace isthmus::audio {

struct JitterConfig {
  std::uint32_t clock_rate = 8000;    ///< RTP ticks a second
  Duration frame = milliseconds(20);  ///< how much a lost packet is taken to have carried at first
  Duration min_delay = milliseconds(20);  ///< between the fastest packet's arrival and its play-out
  Duration max_delay = milliseconds(300);     ///< audio later than that is dropped
  Duration initial_delay = milliseconds(40);  ///< until jitter is known
  bool fec = false;  ///< the codec can use a lost packet's successor: wait one frame longer when
                     ///< there is loss
};

struct JitterStatistics {
  std::uint64_t received =
      0;                     ///< packets accepted, in time or not; duplicates and rejects excluded
  std::uint64_t played = 0;  ///< packets handed out
  std::uint64_t lost = 0;    ///< packets that never came
  std::uint64_t late = 0;    ///< packets that came after their play-out
  std::uint64_t duplicates = 0;
  std::uint64_t rejected = 0;  ///< impossible duration, or far out of sequence
  std::uint64_t trimmed = 0;   ///< packets dropped to bring the delay down
  std::uint64_t restarts = 0;  ///< new SSRC, or sequence or time jumped
  double concealed_ratio = 0;  ///< 0..1 of all play-out time that had no packet to play
  Duration delay{};            ///< now, beyond the fastest packet's; without decoding and device
  Duration target{};           ///< where the delay is heading
};

/// Adaptive jitter buffer of one RTP stream (RFC 3550 media time; RFC 3551 §4.1 talk spurts).
///
///   priming ──(oldest packet has waited for the target delay)──▶ playing
///   playing ──(nothing arrived for 500 ms, SSRC change, jump)──▶ priming
///
/// While playing, pop() is asked for one packet whenever the consumer has run out of samples. A
/// missing packet is `lost` at once when its successors are here. When nothing is here, play-out
/// stalls: the gap is concealed but media time does not advance, so packets that are merely late
/// are still played and the delay has grown by itself; if it turns out that they were lost, the
/// concealment already heard counts for them. The delay is brought back slowly by asking the
/// consumer to shorten or lengthen frames (Adjust), for free between talk spurts, and by dropping
/// packets only when the consumer does not follow.
///
/// Holds at most limits::kJitterPackets. No clock, not thread-safe; no allocation once its slots
/// have grown to the stream's packet size.
class JitterBuffer {
 public:
  explicit JitterBuffer(const JitterConfig& config);

  enum class Inserted { buffered, late, duplicate, rejected };
  enum class Kind {
    frame,  ///< play `payload`
    lost,   ///< conceal `ticks`
    empty,  ///< the sender is silent or nothing has started: play silence (or comfort noise)
  };
  enum class Adjust { none, shorten, lengthen };

  struct Playout {
    Kind kind = Kind::empty;
    Adjust adjust = Adjust::none;   ///< for a frame: wish to shorten or lengthen it; may be ignored
    std::uint8_t payload_type = 0;  ///< of a frame
    ByteView payload{};             ///< of a frame; valid until the next call of insert() or pop()
    ByteView next{};          ///< of `lost`: the packet after the missing one if it is here (FEC)
    std::uint32_t ticks = 0;  ///< duration in RTP ticks
  };

  /// @param duration_ticks  media time of the payload, as its codec reads it
  /// @param arrival         monotonic receive time
  Inserted insert(const rtp::RtpHeader& header, ByteView payload, std::uint32_t duration_ticks,
                  Instant arrival);
  /// A packet of this stream that carries no audio (telephone-event): its sequence number is not
  /// missing.
  void insert_other(const rtp::RtpHeader& header);
  Playout pop(Instant now);
  /// Drops what is buffered and waits for a new beginning (hold); statistics and jitter memory
  /// stay.
  void reset();

  Duration target(Instant now) const;
  JitterStatistics statistics(Instant now) const;

 private:
  enum class SlotState : std::uint8_t { empty, ready, other, played };
  struct Slot {
    std::int64_t sequence = -1, timestamp = 0;
    std::uint32_t ticks = 0;
    SlotState state = SlotState::empty;
    std::uint8_t payload_type = 0;
    bool marker = false;
    Bytes payload;
  };

  Slot& slot(std::int64_t sequence);
  bool accept_sequence(const rtp::RtpHeader& header, std::int64_t& sequence);
  void restart(const rtp::RtpHeader& header);
  void store(std::int64_t sequence, std::int64_t timestamp, const rtp::RtpHeader& header,
             ByteView payload, std::uint32_t ticks);

  Slot* ready_after(std::int64_t before);
  std::int64_t missing_before(const Slot& found) const;
  std::int64_t delay_of(std::int64_t timestamp, std::int64_t now_us) const;
  Playout pop_playing(std::int64_t now_us);
  Playout on_underrun(std::int64_t now_us);
  Playout on_gap(Slot& found, std::int64_t gap, std::int64_t now_us);
  Playout play(Slot& found, std::int64_t now_us);
  Playout conceal(std::uint32_t ticks, ByteView next);
  Slot* trim(Slot* found, std::int64_t now_us);
  Adjust wish(std::int64_t now_us);
  void skip(Slot& found);
  void forgive_silence();
  void count_missing(std::int64_t packets);
  std::int64_t target_us(std::int64_t now_us) const;
  std::int64_t ticks_to_us(std::int64_t ticks) const;

  JitterConfig config_;
  DelayEstimator estimator_;
  std::vector<Slot> slots_;

  bool started_ = false;  ///< an SSRC is known
  bool playing_ = false;
  bool continuing_ = false;  ///< something of this stream has been played
  std::uint32_t ssrc_ = 0;
  std::int64_t highest_sequence_ = 0, highest_timestamp_ = 0;  ///< extended
  std::int32_t bad_sequence_ = -1;                             ///< RFC 3550 A.1
  std::int64_t last_sequence_ = 0;     ///< played or given up: nothing up to here is wanted
  std::int64_t next_timestamp_ = 0;    ///< to be played next
  std::int64_t stalled_ticks_ = 0;     ///< concealed at an underrun without advancing
  std::int64_t concealed_in_row_ = 0;  ///< ticks since the last frame
  std::uint32_t frame_ticks_;
  std::int64_t last_arrival_us_ = 0;

  std::int64_t delay_us_ = 0;                     ///< of the media time due at the last pop
  std::int64_t played_delay_us_ = 0;              ///< of the last packet played
  std::array<std::int64_t, 10> recent_delays_{};  ///< of the last pops, for the lowest
  std::size_t delays_ = 0;
  unsigned since_shorten_ = 0;
  double loss_ = 0;  ///< exponential average over about 100 packets

  std::uint64_t received_ = 0, played_ = 0, missing_ = 0, late_ = 0, duplicates_ = 0;
  std::uint64_t rejected_ = 0, trimmed_ = 0, restarts_ = 0;
  std::int64_t played_ticks_ = 0, concealed_ticks_ = 0;
};

}  // namespace isthmus::audio
