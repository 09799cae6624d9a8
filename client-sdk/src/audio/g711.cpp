#include "audio/g711.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "rtp/g711.hpp"

namespace isthmus::audio {
namespace {

constexpr std::size_t kSamplesPerMs = 8;

}  // namespace

const CodecInfo& g711_info(G711Law law) {
  static const CodecInfo mu = {.name = "PCMU", .rtp_clock_rate = 8000, .static_payload_type = 0};
  static const CodecInfo a = {.name = "PCMA", .rtp_clock_rate = 8000, .static_payload_type = 8};
  return law == G711Law::mu ? mu : a;
}

G711Codec::G711Codec(G711Law law) : law_(law), concealer_(8000) {}

unsigned G711Codec::usable_ptime(unsigned ptime_ms) const {
  return std::clamp(ptime_ms, 10U, limits::kAudioPacketMs);
}

bool G711Codec::encode(SampleView frame, Bytes& out) {
  out.clear();
  if (frame.empty() || frame.size() > limits::kAudioPacketMs * kSamplesPerMs) return false;
  out.resize(frame.size());
  std::transform(frame.begin(), frame.end(), out.begin(),
                 law_ == G711Law::mu ? rtp::linear_to_ulaw : rtp::linear_to_alaw);
  return true;
}

std::optional<std::size_t> G711Codec::packet_samples(ByteView payload) const {
  if (payload.empty() || payload.size() > limits::kAudioPacketMs * kSamplesPerMs) {
    return std::nullopt;
  }
  return payload.size();
}

bool G711Codec::decode(ByteView payload, Samples& out) {
  if (!packet_samples(payload)) return false;
  const auto to_linear = law_ == G711Law::mu ? rtp::ulaw_to_linear : rtp::alaw_to_linear;
  const std::size_t start = out.size();
  for (const std::uint8_t code : payload) out.push_back(to_linear(code));
  concealer_.on_good_frame(std::span(out).subspan(start));
  return true;
}

void G711Codec::conceal(std::size_t samples, ByteView /*next*/, Samples& out) {
  const std::size_t start = out.size();
  out.resize(start + samples);
  concealer_.conceal(std::span(out).subspan(start));
}

}  // namespace isthmus::audio
