#include "ua/media_negotiation.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::ua {

using sdp::Direction;
using sdp::SessionDescription;

namespace {

constexpr std::string_view kEventName = "telephone-event";
constexpr unsigned kShortestPacketMs = 10;
constexpr std::uint8_t kFirstDynamicType = 96, kLastDynamicType = 127;

/// RFC 7600: the IPv4 dummy address, inside a link always.
IpAddress dummy_address() {
  return IpAddress::v4(0xC0000008);
}

/// Payload type of our telephone-event: 101 by wide custom for 8000 Hz.
std::uint8_t event_payload_type(std::uint32_t clock_rate) {
  return clock_rate == 8000 ? 101 : 110;
}

bool is_plain_rtp(const std::string& protocol) {
  return iequals(protocol, "RTP/AVP") || iequals(protocol, "RTP/AVPF");
}

bool sends(Direction direction) {
  return direction == Direction::sendrecv || direction == Direction::sendonly;
}
bool receives(Direction direction) {
  return direction == Direction::sendrecv || direction == Direction::recvonly;
}
Direction make_direction(bool send, bool receive) {
  if (send) return receive ? Direction::sendrecv : Direction::sendonly;
  return receive ? Direction::recvonly : Direction::inactive;
}

unsigned packet_time(const SessionDescription::Media& media, unsigned wished) {
  unsigned ptime = media.ptime_ms().value_or(wished);
  if (ptime < kShortestPacketMs || ptime > limits::kAudioPacketMs) ptime = wished;
  return ptime;
}

}  // namespace

std::string AudioFormat::sdp_name() const {
  std::string text = encoding + '/' + std::to_string(clock_rate);
  if (channels != 1) text += '/' + std::to_string(channels);
  return text;
}

bool AudioFormat::is_event() const {
  return iequals(encoding, kEventName);
}

MediaNegotiation::MediaNegotiation(std::vector<AudioFormat> formats, unsigned ptime_ms,
                                   std::uint16_t channel, std::uint64_t session_id)
    : formats_(std::move(formats)),
      ptime_ms_(ptime_ms),
      channel_(channel),
      session_id_(session_id) {
  std::vector<std::uint32_t> rates;
  for (const AudioFormat& format : formats_) {
    if (std::ranges::find(rates, format.clock_rate) == rates.end()) {
      rates.push_back(format.clock_rate);
    }
  }
  for (const std::uint32_t rate : rates) {
    formats_.push_back({std::string(kEventName), rate, 1, event_payload_type(rate), "0-15"});
  }
}

const AudioFormat* MediaNegotiation::find(const sdp::RtpMap& map) const {
  const auto found = std::ranges::find_if(formats_, [&](const AudioFormat& format) {
    return iequals(format.encoding, map.encoding) && format.clock_rate == map.clock_rate &&
           format.channels == map.channels;
  });
  return found == formats_.end() ? nullptr : &*found;
}

std::optional<MediaNegotiation::Match> MediaNegotiation::codec_of(const Media& media) const {
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    const AudioFormat* ours = find(map);
    if (ours != nullptr && !ours->is_event()) return Match{ours, map.payload_type};
  }
  return std::nullopt;
}

/// Events ought to have the codec's clock (RFC 4733 §2.1); not all ends keep to that.
std::optional<MediaNegotiation::Match> MediaNegotiation::event_of(const Media& media,
                                                                  std::uint32_t clock_rate) const {
  std::optional<Match> other;
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    const AudioFormat* ours = find(map);
    if (ours == nullptr || !ours->is_event()) continue;
    if (ours->clock_rate == clock_rate) return Match{ours, map.payload_type};
    if (!other) other = Match{ours, map.payload_type};
  }
  return other;
}

/// The other end numbered first: our formats take its numbers, and make way for them.
void MediaNegotiation::adopt_payload_types(const Media& media) {
  const auto used = [this](std::uint8_t type) {
    return std::ranges::any_of(formats_,
                               [type](const auto& format) { return format.payload_type == type; });
  };
  for (const sdp::RtpMap& map : media.rtpmaps()) {
    const AudioFormat* known = find(map);
    if (known != nullptr && known->payload_type == map.payload_type) continue;
    for (AudioFormat& format : formats_) {
      if (&format == known || format.payload_type != map.payload_type) continue;
      std::uint8_t free = kFirstDynamicType;
      while (free < kLastDynamicType && (used(free) || free == map.payload_type)) ++free;
      format.payload_type = free;
    }
    for (AudioFormat& format : formats_) {
      if (&format == known) format.payload_type = map.payload_type;
    }
  }
}

SessionDescription MediaNegotiation::begin() {
  return SessionDescription::make(session_id_, ++version_, dummy_address());
}

void MediaNegotiation::write_audio(SessionDescription& description, const std::string& protocol,
                                   const std::vector<const AudioFormat*>& formats,
                                   Direction direction) const {
  std::vector<std::string> types;
  types.reserve(formats.size());
  for (const AudioFormat* format : formats) types.push_back(std::to_string(format->payload_type));
  auto& media = description.add_media("audio", channel_, protocol, types);
  for (const AudioFormat* format : formats) {
    const std::string type = std::to_string(format->payload_type);
    media.add_attribute("rtpmap", type + ' ' + format->sdp_name());
    if (!format->fmtp.empty()) media.add_attribute("fmtp", type + ' ' + format->fmtp);
  }
  media.add_attribute("ptime", std::to_string(ptime_ms_));
  media.set_direction(direction);
}

std::string MediaNegotiation::offer(bool hold) {
  offered_direction_ = hold ? Direction::sendonly : Direction::sendrecv;
  offering_ = true;
  if (layout_.empty()) {
    layout_.push_back({"audio", "RTP/AVP", {}});
    audio_index_ = 0;
  }
  SessionDescription description = begin();
  std::vector<const AudioFormat*> all;
  for (const AudioFormat& format : formats_) all.push_back(&format);
  for (std::size_t i = 0; i < layout_.size(); ++i) {
    const Layout& line = layout_[i];
    if (i == audio_index_) {
      write_audio(description, line.protocol, all, offered_direction_);
    } else {
      description.add_media(line.type, 0, line.protocol, line.formats);
    }
  }
  return description.to_string();
}

Result<void, MediaFault> MediaNegotiation::take_answer(std::string_view sdp, bool final) {
  auto theirs = SessionDescription::parse(sdp);
  if (final) offering_ = false;
  if (!theirs) return MediaFault{488, theirs.error().reason()};
  if (theirs->media().size() <= audio_index_) {
    return MediaFault{488, "The answer lacks the offer's audio stream"};
  }
  const Media& media = theirs->media()[audio_index_];
  if (media.port() == 0) return MediaFault{488, "The answer refuses audio"};
  return agree(*theirs, media, offered_direction_);
}

Result<std::string, MediaFault> MediaNegotiation::answer(std::string_view offer, bool hold) {
  auto theirs = SessionDescription::parse(offer);
  if (!theirs) return MediaFault{400, theirs.error().reason()};
  std::optional<std::size_t> chosen;
  for (std::size_t i = 0; i < theirs->media().size() && !chosen; ++i) {
    const Media& media = theirs->media()[i];
    if (media.type() == "audio" && media.port() != 0 && is_plain_rtp(media.protocol()) &&
        codec_of(media)) {
      chosen = i;
    }
  }
  if (!chosen) return MediaFault{488, "No audio stream with a codec that is known here"};
  const Media& audio = theirs->media()[*chosen];
  adopt_payload_types(audio);
  const Direction wish = sdp::reversed(theirs->direction_of(audio));
  const Direction ours = make_direction(sends(wish), receives(wish) && !hold);
  if (auto agreed = agree(*theirs, audio, ours); !agreed) return agreed.error();

  layout_.clear();
  audio_index_ = *chosen;
  SessionDescription description = begin();
  const std::optional<Match> codec = codec_of(audio);
  std::vector<const AudioFormat*> formats = {codec->ours};
  if (const auto event = event_of(audio, codec->ours->clock_rate)) formats.push_back(event->ours);
  for (std::size_t i = 0; i < theirs->media().size(); ++i) {
    const Media& media = theirs->media()[i];
    layout_.push_back({media.type(), media.protocol(), media.formats()});
    if (i == *chosen) {
      write_audio(description, media.protocol(), formats, ours);
    } else {
      description.add_media(media.type(), 0, media.protocol(), media.formats());
    }
  }
  return description.to_string();
}

/// What holds from now on. @param ours  the direction that our own description says
Result<void, MediaFault> MediaNegotiation::agree(const SessionDescription& theirs,
                                                 const Media& media, Direction ours) {
  const auto codec = codec_of(media);
  if (!codec) return MediaFault{488, "No codec in common"};
  const std::uint16_t port = media.port();
  if (port < limits::kFirstMediaChannel || port == limits::kLastMediaChannel) {
    return MediaFault{488, "Port " + std::to_string(port) + " is no media channel of a link"};
  }
  AgreedMedia agreed;
  agreed.codec = codec->ours->sdp_name();
  agreed.send_payload_type = codec->theirs;
  agreed.receive_payload_type = codec->ours->payload_type;
  if (const auto event = event_of(media, codec->ours->clock_rate)) {
    agreed.send_dtmf_payload_type = event->theirs;
    agreed.receive_dtmf_payload_type = event->ours->payload_type;
    agreed.dtmf_clock_rate = event->ours->clock_rate;
  }
  agreed.ptime_ms = packet_time(media, ptime_ms_);
  agreed.local_channel = channel_;
  agreed.remote_channel = port;
  agreed.remote_rtcp_channel = media.rtcp_port().value_or(static_cast<std::uint16_t>(port + 1));
  const Direction wish = theirs.direction_of(media);
  const auto connection = theirs.connection_of(media);
  // RFC 2543 put calls on hold by the address 0.0.0.0; RFC 3264 §8.4 still has receivers know it.
  const bool no_address = connection && connection->ip && connection->ip->is_unspecified();
  agreed.send = sends(ours) && receives(wish) && !no_address;
  agreed.receive = receives(ours) && sends(wish);
  remote_hold_ = !receives(wish) || no_address;
  agreed_ = std::move(agreed);
  return {};
}

}  // namespace isthmus::ua
