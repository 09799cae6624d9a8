#pragma once
#include <cstdint>
#include <optional>

#include "base/random.hpp"
#include "base/time.hpp"

namespace isthmus::rtp {

/// Sequence numbers of an RTP stream that is relayed but for packets that are taken out of it, and
/// others that are put in their place: its receiver sees neither gaps nor repeats of our making,
/// and every loss before us as it was. SSRC and timestamps stay the source's, so that what is put
/// in belongs to the stream (RFC 4733 §2.5.1.2). Late packets keep the place they had, as far as
/// the last change; what would land among packets of ours is left out. Pure; no allocation.
class SequenceSplice {
 public:
  struct Inserted {
    std::uint16_t sequence;
    std::uint32_t ssrc;
  };

  /// A packet that may go on. @return its number from now on; nothing: it is left out.
  std::optional<std::uint16_t> pass(std::uint16_t sequence, std::uint32_t timestamp,
                                    std::uint32_t ssrc, Instant now);
  /// A packet that does not go on.
  void take_out(std::uint16_t sequence, std::uint32_t ssrc);

  /// From now on packets of ours stand in for the stream, until end(). Before the first packet of
  /// the source, SSRC, numbers and time are made up.
  /// @param clock_rate  ticks per second of the timestamps
  /// @return the timestamp that the stream has reached
  std::uint32_t begin(std::uint32_t clock_rate, Instant now, Random& random);
  Inserted insert() { return {++last_out_, ssrc_}; }
  void end();
  bool inserting() const { return inserting_; }

 private:
  void restart(std::uint16_t sequence, std::uint32_t ssrc);

  bool heard_ = false;  ///< a packet of the source came, whose SSRC is ours, too
  bool inserting_ = false;
  std::uint32_t ssrc_ = 0, last_timestamp_ = 0;
  std::optional<Instant> last_at_;
  std::uint16_t highest_in_ = 0, last_out_ = 0;
  std::uint16_t shift_ = 0, shift_before_ = 0;  ///< added to numbers after and up to `changed_at_`
  std::uint16_t changed_at_ = 0, replaced_from_ = 0;  ///< (from, changed_at_]: left out
};

}  // namespace isthmus::rtp
