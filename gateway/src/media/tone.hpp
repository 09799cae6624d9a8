#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace isthmus::media {

/// A 425 Hz tone (ITU-T E.180 dial tone) at -10 dBm0 in G.711, 20 ms a packet. 17 periods of it are
/// exactly 320 samples at 8000 Hz, so two packets of each law are all there is.
class Tone {
 public:
  static constexpr std::size_t kPacketSamples = 160;
  Tone();
  /// @param payload_type 0 PCMU or 8 PCMA (RFC 3551 §6); nothing for others.
  /// @param packet counted from the start of the tone
  std::optional<ByteView> payload(std::uint8_t payload_type, std::uint64_t packet) const;

 private:
  std::array<std::uint8_t, 2 * kPacketSamples> mu_law_{}, a_law_{};
};

}  // namespace isthmus::media
