#pragma once
#include <bitset>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"

namespace isthmus::call {

/// One end of a relayed media stream (one m= line of one leg): an RTP and RTCP port pair toward the
/// network, a channel pair on a session's link, or a built-in service. 0 is none.
using MediaEndpointId = std::uint64_t;

enum class MediaError : std::uint8_t {
  ports_exhausted,     ///< every pair of the configured range is taken
  channels_exhausted,  ///< limits::kChannelsPerSession
  no_such_session,
  socket_failed,
};
const char* to_text(MediaError error);

/// What goes into our SDP for an endpoint: for a link the dummy address 192.0.0.8 and a channel.
struct LocalMedia {
  MediaEndpointId id = 0;
  IpAddress address;
  std::uint16_t port = 0;  ///< RTP; RTCP on port + 1. Always even.
};

/// Telephone events (RFC 4733) of one side, where a call converts digits (call/event_terms.hpp).
/// By default they are packets like all others.
struct TelephoneEvents {
  static constexpr std::uint8_t kNone = 0xff;
  std::uint8_t type = kNone;        ///< payload type it wants them with; none: it knows no events
  std::uint32_t clock_rate = 8000;  ///< of that type, and of those it sends
  std::bitset<128> taken;           ///< payload types of events that are told, not relayed
  std::uint64_t call = 0;           ///< whose digits they are: told with each

  bool plays() const { return type != kNone; }
  std::uint32_t clock() const { return clock_rate != 0 ? clock_rate : 8000; }
  bool operator==(const TelephoneEvents&) const = default;
};

/// Where the other side of a leg wants to receive, from its SDP.
struct RemoteMedia {
  IpAddress address;       ///< ignored on a link
  std::uint16_t port = 0;  ///< port or channel; 0: nothing is sent
  std::uint16_t rtcp_port = 0;
  bool rtcp_mux = false;
  bool udptl = false;               ///< T.38 over UDPTL (ITU-T T.38 §9.1): no RTP, no RTCP
  std::uint32_t clock_rate = 8000;  ///< of the first audio format, for jitter
  std::uint8_t payload_type =
      0;  ///< of the first audio format; a tone service toward it plays 0 (PCMU) or 8 (PCMA)
  TelephoneEvents events{};
  bool operator==(const RemoteMedia&) const = default;
};

enum class MediaService : std::uint8_t { echo, tone };

/// Figures of one endpoint: what it received from its side.
struct MediaStatistics {
  std::uint64_t packets = 0, bytes = 0, lost = 0, dropped = 0;
  std::uint64_t packets_sent = 0;
  double jitter_ms = 0, loss_ratio = 0, mos = 0;
  double round_trip_ms = 0;  ///< 0: unknown
  std::string remote;        ///< address in use after latching
};

/// The media relay as the bridge sees it. Calls are synchronous, cheap, and come from the shard's
/// thread.
class MediaPlane {
 public:
  virtual ~MediaPlane() = default;
  /// @param family of the side that will send to it: an IPv6 leg gets an IPv6 socket.
  virtual Result<LocalMedia, MediaError> open_network(bool ipv6) = 0;
  virtual Result<LocalMedia, MediaError> open_link(std::uint64_t session) = 0;
  virtual Result<LocalMedia, MediaError> open_service(MediaService service) = 0;
  virtual void set_remote(MediaEndpointId id, const RemoteMedia& remote) = 0;
  /// Packets that either receives leave through the other; symmetrical. An endpoint has one peer; a
  /// second join moves it.
  virtual void join(MediaEndpointId a, MediaEndpointId b) = 0;
  /// Frees ports or channels at once; unknown ids are ignored.
  virtual void close(MediaEndpointId id) = 0;
  virtual MediaStatistics statistics(MediaEndpointId id) const = 0;
  /// Time since a packet came in on it, in milliseconds; nothing if none ever did.
  virtual std::optional<std::uint64_t> idle_ms(MediaEndpointId id) const = 0;
  /// Plays a digit toward that side as telephone events, in the place of what its peer sends
  /// meanwhile; several follow one another.
  /// @return false: it wants no events, the digit is none, or limits::kDtmfQueueDigits wait.
  virtual bool play_digit(MediaEndpointId to, char digit, unsigned duration_ms) = 0;
};

}  // namespace isthmus::call
