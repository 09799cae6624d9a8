#include "audio/codec.hpp"

#include <array>

#include "audio/g711.hpp"
#include "audio/opus_codec.hpp"
#include "base/text.hpp"

namespace isthmus::audio {
namespace {

struct RtpMap {
  std::string_view name;
  std::uint32_t rate = 0;
  unsigned channels = 1;
};

std::optional<RtpMap> parse_rtpmap(std::string_view text) {
  RtpMap map;
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  map.name = text.substr(0, slash);
  std::string_view rest = text.substr(slash + 1);
  if (const auto second = rest.find('/'); second != std::string_view::npos) {
    const auto channels = parse_number<unsigned>(rest.substr(second + 1));
    if (!channels) return std::nullopt;
    map.channels = *channels;
    rest = rest.substr(0, second);
  }
  const auto rate = parse_number<std::uint32_t>(rest);
  if (!rate) return std::nullopt;
  map.rate = *rate;
  return map;
}

}  // namespace

std::string CodecInfo::sdp_name() const {
  std::string text = std::string(name) + '/' + std::to_string(rtp_clock_rate);
  if (sdp_channels != 1) text += '/' + std::to_string(sdp_channels);
  return text;
}

std::span<const CodecInfo> supported_codecs() {
  static const std::array<CodecInfo, 3> all = {opus_info(), g711_info(G711Law::mu),
                                               g711_info(G711Law::a)};
  return all;
}

const CodecInfo* codec_of_payload_type(std::uint8_t payload_type) {
  for (const CodecInfo& info : supported_codecs()) {
    if (info.static_payload_type == payload_type) return &info;
  }
  return nullptr;
}

AudioResult<std::unique_ptr<Codec>> make_codec(std::string_view sdp_name,
                                               const CodecOptions& options) {
  const auto map = parse_rtpmap(sdp_name);
  if (map) {
    for (const CodecInfo& info : supported_codecs()) {
      if (!iequals(info.name, map->name) || info.rtp_clock_rate != map->rate ||
          info.sdp_channels != map->channels) {
        continue;
      }
      if (info.name == opus_info().name) return make_opus_codec(options);
      const G711Law law = info.name == "PCMU" ? G711Law::mu : G711Law::a;
      return std::unique_ptr<Codec>(std::make_unique<G711Codec>(law));
    }
  }
  return AudioError{AudioFault::unknown_codec,
                    "no codec \"" + std::string(sdp_name) + "\" in this build"};
}

}  // namespace isthmus::audio
