#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "sdp/session_description.hpp"

namespace isthmus::ua {

/// One codec that may be offered, or "telephone-event".
struct AudioFormat {
  std::string encoding;  ///< "opus"
  std::uint32_t clock_rate = 8000;
  unsigned channels = 1;
  std::uint8_t payload_type = 0;  ///< in our offers, unless the other end numbered it first
  std::string fmtp;

  std::string sdp_name() const;  ///< value of a=rtpmap: "opus/48000/2"
  bool is_event() const;
  bool operator==(const AudioFormat&) const = default;
};

/// What both ends agreed on for the one audio stream of a call.
struct AgreedMedia {
  std::string codec;  ///< "opus/48000/2"
  std::uint8_t send_payload_type = 0, receive_payload_type = 0;
  std::optional<std::uint8_t> send_dtmf_payload_type, receive_dtmf_payload_type;
  std::uint32_t dtmf_clock_rate = 0;
  unsigned ptime_ms = 20;
  std::uint16_t local_channel = 0;  ///< RTP comes on it, RTCP on the next one
  std::uint16_t remote_channel = 0, remote_rtcp_channel = 0;
  bool send = true, receive = true;

  bool operator==(const AgreedMedia&) const = default;
};

/// Why a description cannot be used, as a SIP answer would say it.
struct MediaFault {
  int status = 488;
  std::string reason;
};

/// Offers and answers of one call (RFC 3264) for one audio stream inside a link: the port is a
/// channel, the address 192.0.0.8 (PROTOCOL.md §8). Other streams are refused with port 0. An
/// answer names one codec, the first of the offer that is known here, so that neither end has to
/// guess what comes. Payload types keep their meaning for the life of the call (§8.3.2).
///
///     stable ──offer()──▶ offering ──take_answer(final), withdraw()──▶ stable
///     stable ──answer()──▶ stable
class MediaNegotiation {
 public:
  /// @param formats  best first; telephone-event is added for each clock rate among them
  MediaNegotiation(std::vector<AudioFormat> formats, unsigned ptime_ms, std::uint16_t channel,
                   std::uint64_t session_id);

  std::string offer(bool hold);
  /// @param final  false for a provisional response: another answer may follow (forking)
  Result<void, MediaFault> take_answer(std::string_view sdp, bool final);
  void withdraw() { offering_ = false; }  ///< the offer was refused: what was agreed holds
  Result<std::string, MediaFault> answer(std::string_view offer, bool hold);

  bool offering() const { return offering_; }
  const std::optional<AgreedMedia>& agreed() const { return agreed_; }
  bool remote_hold() const { return remote_hold_; }
  std::uint16_t channel() const { return channel_; }

 private:
  using Media = sdp::SessionDescription::Media;
  struct Layout {  ///< of an m= line, which stays in its place for ever (RFC 3264 §8)
    std::string type, protocol;
    std::vector<std::string> formats;
  };
  struct Match {
    const AudioFormat* ours = nullptr;
    std::uint8_t theirs = 0;  ///< payload type
  };

  const AudioFormat* find(const sdp::RtpMap& map) const;
  std::optional<Match> codec_of(const Media& media) const;
  std::optional<Match> event_of(const Media& media, std::uint32_t clock_rate) const;
  void adopt_payload_types(const Media& media);
  sdp::SessionDescription begin();
  void write_audio(sdp::SessionDescription& description, const std::string& protocol,
                   const std::vector<const AudioFormat*>& formats, sdp::Direction direction) const;
  Result<void, MediaFault> agree(const sdp::SessionDescription& theirs, const Media& media,
                                 sdp::Direction ours);

  std::vector<AudioFormat> formats_;
  unsigned ptime_ms_;
  std::uint16_t channel_;
  std::uint64_t session_id_, version_ = 0;
  std::vector<Layout> layout_;
  std::size_t audio_index_ = 0;
  sdp::Direction offered_direction_ = sdp::Direction::sendrecv;
  bool offering_ = false, remote_hold_ = false;
  std::optional<AgreedMedia> agreed_;
};

}  // namespace isthmus::ua
