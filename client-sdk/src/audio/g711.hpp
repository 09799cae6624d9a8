#pragma once
#include "audio/codec.hpp"
#include "audio/loss_concealer.hpp"

namespace isthmus::audio {

/// The two laws of ITU-T G.711: mu in North America and Japan, A elsewhere.
enum class G711Law { mu, a };

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
