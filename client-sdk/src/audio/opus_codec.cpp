#include "audio/opus_codec.hpp"

#include <opus.h>

#include <algorithm>
#include <array>

#include "base/limits.hpp"

namespace isthmus::audio {
namespace {

constexpr std::array<unsigned, 4> kPacketMs = {10, 20, 40, 60};
constexpr opus_int32 kEncodedBytes = 1275;  // largest frame (RFC 6716 §3.2)

struct EncoderDeleter {
  void operator()(OpusEncoder* encoder) const { opus_encoder_destroy(encoder); }
};
struct DecoderDeleter {
  void operator()(OpusDecoder* decoder) const { opus_decoder_destroy(decoder); }
};
using EncoderPtr = std::unique_ptr<OpusEncoder, EncoderDeleter>;
using DecoderPtr = std::unique_ptr<OpusDecoder, DecoderDeleter>;

/// OPUS_SET_x() of libopus's headers casts in C style, which our warnings refuse.
bool set(OpusEncoder* encoder, int request, opus_int32 value) {
  return opus_encoder_ctl(encoder, request, value) == OPUS_OK;
}

class OpusCodec final : public Codec {
 public:
  OpusCodec(unsigned rate, unsigned least_loss, EncoderPtr encoder, DecoderPtr decoder)
      : rate_(rate),
        least_loss_(least_loss),
        encoder_(std::move(encoder)),
        decoder_(std::move(decoder)) {}

  const CodecInfo& info() const override { return opus_info(); }
  unsigned sample_rate() const override { return rate_; }
  bool has_fec() const override { return true; }

  unsigned usable_ptime(unsigned ptime_ms) const override {
    unsigned usable = 10;
    for (const unsigned ms : kPacketMs) {
      if (ms <= ptime_ms) usable = ms;
    }
    return usable;
  }

  bool encode(SampleView frame, Bytes& out) override {
    out.clear();
    if (frame.empty() || frame.size() > samples_of_longest()) return false;
    out.resize(kEncodedBytes);
    const opus_int32 size = opus_encode(encoder_.get(), frame.data(),
                                        static_cast<int>(frame.size()), out.data(), kEncodedBytes);
    out.resize(static_cast<std::size_t>(std::max(size, 0)));
    return size > 0;
  }

  std::optional<std::size_t> packet_samples(ByteView payload) const override {
    if (payload.empty() || payload.size() > limits::kMediaFrameBytes) return std::nullopt;
    const int samples = opus_packet_get_nb_samples(
        payload.data(), static_cast<opus_int32>(payload.size()), static_cast<opus_int32>(rate_));
    if (samples <= 0) return std::nullopt;
    return static_cast<std::size_t>(samples);
  }

  bool decode(ByteView payload, Samples& out) override {
    const auto samples = packet_samples(payload);
    return samples && run_decoder(payload, *samples, false, out);
  }

  void conceal(std::size_t samples, ByteView next, Samples& out) override {
    // libopus extrapolates in steps of 2.5 ms only; what is left over stays silent.
    const std::size_t quantum = rate_ / 400;
    const std::size_t whole =
        std::clamp(samples / quantum * quantum, quantum, samples_of_longest());
    const std::size_t start = out.size();
    const bool from_next = packet_samples(next).has_value() && run_decoder(next, whole, true, out);
    if (!from_next) run_decoder({}, whole, false, out);
    out.resize(start + samples, 0);
  }

  void set_expected_loss(unsigned percent) override {
    set(encoder_.get(), OPUS_SET_PACKET_LOSS_PERC_REQUEST,
        static_cast<opus_int32>(std::min(std::max(percent, least_loss_), 30U)));
  }

 private:
  std::size_t samples_of_longest() const {
    return std::size_t{rate_} / 1000 * limits::kAudioPacketMs;
  }

  /// An empty packet asks for concealment, `fec` for the copy of the previous frame inside the
  /// packet.
  bool run_decoder(ByteView packet, std::size_t samples, bool fec, Samples& out) {
    const std::size_t start = out.size();
    out.resize(start + samples);
    const int got = opus_decode(decoder_.get(), packet.empty() ? nullptr : packet.data(),
                                static_cast<opus_int32>(packet.size()), out.data() + start,
                                static_cast<int>(samples), fec ? 1 : 0);
    out.resize(start + static_cast<std::size_t>(std::max(got, 0)));
    return got > 0;
  }

  unsigned rate_, least_loss_;
  EncoderPtr encoder_;
  DecoderPtr decoder_;
};

AudioError refused(const char* what, long value) {
  return {AudioFault::codec_failed,
          std::string("opus: ") + what + ' ' + std::to_string(value) + " is not possible"};
}

}  // namespace

const CodecInfo& opus_info() {
  // G.113 has no loss robustness for Opus; G.711's with concealment is on the careful side.
  static const CodecInfo info = {.name = "opus",
                                 .rtp_clock_rate = 48000,
                                 .sdp_channels = 2,
                                 .fmtp = "minptime=10;useinbandfec=1"};
  return info;
}

AudioResult<std::unique_ptr<Codec>> make_opus_codec(const CodecOptions& options) {
  const auto rate = static_cast<opus_int32>(options.opus_sample_rate);
  int error = OPUS_OK;
  EncoderPtr encoder(opus_encoder_create(rate, 1, OPUS_APPLICATION_VOIP, &error));
  if (!encoder || error != OPUS_OK) return refused("sample rate", rate);
  DecoderPtr decoder(opus_decoder_create(rate, 1, &error));
  if (!decoder || error != OPUS_OK) return refused("sample rate", rate);

  OpusEncoder* raw = encoder.get();
  if (options.opus_bitrate < 6000 || !set(raw, OPUS_SET_BITRATE_REQUEST, options.opus_bitrate)) {
    return refused("bit rate", options.opus_bitrate);
  }
  if (!set(raw, OPUS_SET_COMPLEXITY_REQUEST, options.opus_complexity)) {
    return refused("complexity", options.opus_complexity);
  }
  set(raw, OPUS_SET_SIGNAL_REQUEST, OPUS_SIGNAL_VOICE);
  set(raw, OPUS_SET_INBAND_FEC_REQUEST, 1);
  set(raw, OPUS_SET_DTX_REQUEST, 0);
  auto codec = std::make_unique<OpusCodec>(options.opus_sample_rate, options.opus_expected_loss,
                                           std::move(encoder), std::move(decoder));
  codec->set_expected_loss(0);
  return std::unique_ptr<Codec>(std::move(codec));
}

}  // namespace isthmus::audio
