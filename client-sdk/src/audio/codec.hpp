#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audio/audio_error.hpp"
#include "base/bytes.hpp"

namespace isthmus::audio {

using Samples = std::vector<std::int16_t>;
using SampleView = std::span<const std::int16_t>;

/// What SDP, RTP and the E-model need to know of a codec.
struct CodecInfo {
  std::string_view name{};           ///< encoding name of a=rtpmap
  std::uint32_t rtp_clock_rate = 0;  ///< ticks a second; not always the sample rate (RFC 7587 §4.1)
  unsigned sdp_channels = 1;         ///< as written in a=rtpmap; audio is mono here in any case
  std::optional<std::uint8_t> static_payload_type{};  ///< RFC 3551 §6
  std::string_view fmtp{};                            ///< a=fmtp parameters to offer; may be empty
  double equipment_impairment = 0;                    ///< Ie of ITU-T G.113
  double loss_robustness = 25.1;                      ///< Bpl of ITU-T G.113

  /// "PCMU/8000", "opus/48000/2": what follows the payload type in a=rtpmap.
  std::string sdp_name() const;
};

/// Encoder and decoder of one stream. Mono, 16 bits, at sample_rate(). Keeps state from frame to
/// frame, so one object serves one stream in each direction. Not thread-safe.
class Codec {
 public:
  virtual ~Codec() = default;

  virtual const CodecInfo& info() const = 0;
  virtual unsigned sample_rate() const = 0;  ///< of the PCM on both sides, Hz
  /// Longest packet this codec can make of at most `ptime_ms` milliseconds; at least 10.
  virtual unsigned usable_ptime(unsigned ptime_ms) const = 0;

  /// Encodes one frame of usable_ptime() length; `out` is cleared first.
  /// @return false when the length is not one the codec knows; `out` is then empty.
  virtual bool encode(SampleView frame, Bytes& out) = 0;
  /// Samples that decoding a payload will give; nothing if it is not a packet of this codec or
  /// lasts over 120 ms. Looks only at what length needs: decode() may still fail.
  virtual std::optional<std::size_t> packet_samples(ByteView payload) const = 0;
  /// Appends the decoded samples.
  /// @return false if the payload is no valid packet; nothing is appended then.
  virtual bool decode(ByteView payload, Samples& out) = 0;
  /// Appends `samples` samples in place of a packet that is missing.
  /// @param next  the packet right after the missing one when it is here already (it may carry a
  /// copy of
  ///              the missing one: Opus in-band FEC), else empty
  virtual void conceal(std::size_t samples, ByteView next, Samples& out) = 0;
  virtual bool has_fec() const { return false; }
  /// Loss the far end reports, 0..100, so that an encoder with FEC can weigh its redundancy.
  virtual void set_expected_loss(unsigned /*percent*/) {}
};

struct CodecOptions {
  unsigned opus_sample_rate = 16'000;  ///< Hz: 8000, 12000, 16000, 24000 or 48000
  int opus_bitrate = 24'000;           ///< bit/s, 6000 to 510000
  int opus_complexity = 5;             ///< 0..10: processor time against quality
  /// Percent, at least, whatever the far end reports: below about 15 libopus adds no redundancy at
  /// 24 kbit/s, and the first losses of a call would go unrepaired. Costs some 2.5 kbit/s.
  unsigned opus_expected_loss = 15;
};

/// All codecs of this build, best first.
std::span<const CodecInfo> supported_codecs();
/// A codec by its a=rtpmap value, without regard to case: "PCMU/8000", "pcma/8000/1",
/// "opus/48000/2".
AudioResult<std::unique_ptr<Codec>> make_codec(std::string_view sdp_name, const CodecOptions& = {});
/// The codec of a static payload type that came without a=rtpmap (RFC 3551 §6).
const CodecInfo* codec_of_payload_type(std::uint8_t payload_type);

}  // namespace isthmus::audio
