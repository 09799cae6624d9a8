#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace isthmus::media {

/// Why a media packet did not leave. Each packet that comes in is counted under exactly one of
/// these, or sent, or taken by a service.
enum class DropReason : std::uint8_t {
  none,             ///< sent or taken
  too_large,        ///< above limits::kMediaFrameBytes
  not_rtp,          ///< neither RTP nor RTCP of version 2, whichever its port carries
  no_remote,        ///< came before the SDP of its side said from where
  unproven_source,  ///< first packet of a stream from another address than the SDP's
  wrong_source,     ///< from an address that is not this stream's
  unknown_session,  ///< from a link without session
  unknown_channel,  ///< on a channel that no stream has
  no_peer,          ///< its stream is joined to nothing
  no_destination,   ///< the other side has not said where it wants media, or wants none
  no_link,          ///< the other side's session is gone
  send_blocked,     ///< the socket's buffer is full
  send_failed,      ///< any other error of the send call
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::send_failed) + 1;
const char* to_text(DropReason reason);  ///< "wrong_source"

}  // namespace isthmus::media
