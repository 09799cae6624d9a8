#pragma once
#include <cstdint>

#include "audio/codec.hpp"
#include "audio/loss_concealer.hpp"

namespace isthmus::audio {

/// The two laws of ITU-T G.711: mu in North America and Japan, A elsewhere.
enum class G711Law { mu, a };

/// One sample, 16-bit linear to 8-bit companded and back (ITU-T G.711 tables 1 and 2, computed).
/// A sample is quantised to the middle of its interval; beyond the last one it is clipped.
std::uint8_t linear_to_ulaw(std::int16_t sample);
std::uint8_t linear_to_alaw(std::int16_t sample);
std::int16_t ulaw_to_linear(std::uint8_t code);
std::int16_t alaw_to_linear(std::uint8_t code);

const CodecInfo& g711_info(G711Law law);

/// PCMU or PCMA (RFC 3551 §4.5.14) with pitch-repeating loss concealment.
class G711Codec final : public Codec {
 public:
  explicit G711Codec(G711Law law);

  const CodecInfo& info() const override { return g711_info(law_); }
  unsigned sample_rate() const override { return 8000; }
  unsigned usable_ptime(unsigned ptime_ms) const override;
  bool encode(SampleView frame, Bytes& out) override;
  std::optional<std::size_t> packet_samples(ByteView payload) const override;
  bool decode(ByteView payload, Samples& out) override;
  void conceal(std::size_t samples, ByteView next, Samples& out) override;

 private:
  G711Law law_;
  LossConcealer concealer_;
};

}  // namespace isthmus::audio
