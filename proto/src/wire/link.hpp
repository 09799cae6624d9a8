#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "wire/frame.hpp"

namespace isthmus::wire {

/// Why a session or link ended, as Close and Reject carry it.
enum class CloseCode : std::uint32_t {
  normal = 0,
  protocol_error = 1,
  unauthorized = 2,
  credentials_expired = 3,
  limit_exceeded = 4,
  timeout = 5,
  going_away = 6,
  replaced = 7,
  internal_error = 8,
  version_mismatch = 9,
  too_slow = 10,
  forbidden = 11,
  resume_refused = 12,
};
inline constexpr CloseCode kLastCloseCode = CloseCode::resume_refused;
const char* to_text(CloseCode code);  ///< "unauthorized"

/// A link ended with this code and no Close on the control channel: is its session over too? What
/// the peer did on purpose or wrong ends the session; what befell the link does not.
bool ends_session(CloseCode code);

/// What went through one link. Messages are what its socket carries at once (WebSocket messages,
/// media packets); bytes are their payloads.
struct LinkCounters {
  std::uint64_t messages_in = 0, messages_out = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint64_t reliable_frames_in = 0, reliable_frames_out = 0;
  std::uint64_t media_frames_in = 0, media_frames_out = 0;  ///< out: accepted for sending
  std::uint64_t media_dropped = 0;  ///< past the deadline or the queue's bound
  std::uint64_t media_messages_in = 0, media_messages_out = 0;
  /// Of those messages all that the wire carries: framing, protection and one set of transport and
  /// IP headers for each (computed, not captured: acknowledgements and retransmissions are not in
  /// it).
  std::uint64_t media_wire_bytes_in = 0, media_wire_bytes_out = 0;
  std::uint64_t malformed_messages = 0;  ///< each ended the link
};

/// Of a session's links together.
inline LinkCounters& operator+=(LinkCounters& sum, const LinkCounters& of) {
  sum.messages_in += of.messages_in;
  sum.messages_out += of.messages_out;
  sum.bytes_in += of.bytes_in;
  sum.bytes_out += of.bytes_out;
  sum.reliable_frames_in += of.reliable_frames_in;
  sum.reliable_frames_out += of.reliable_frames_out;
  sum.media_frames_in += of.media_frames_in;
  sum.media_frames_out += of.media_frames_out;
  sum.media_dropped += of.media_dropped;
  sum.media_messages_in += of.media_messages_in;
  sum.media_messages_out += of.media_messages_out;
  sum.media_wire_bytes_in += of.media_wire_bytes_in;
  sum.media_wire_bytes_out += of.media_wire_bytes_out;
  sum.malformed_messages += of.malformed_messages;
  return sum;
}

/// What came since `earlier`.
inline LinkCounters& operator-=(LinkCounters& now, const LinkCounters& earlier) {
  now.messages_in -= earlier.messages_in;
  now.messages_out -= earlier.messages_out;
  now.bytes_in -= earlier.bytes_in;
  now.bytes_out -= earlier.bytes_out;
  now.reliable_frames_in -= earlier.reliable_frames_in;
  now.reliable_frames_out -= earlier.reliable_frames_out;
  now.media_frames_in -= earlier.media_frames_in;
  now.media_frames_out -= earlier.media_frames_out;
  now.media_dropped -= earlier.media_dropped;
  now.media_messages_in -= earlier.media_messages_in;
  now.media_messages_out -= earlier.media_messages_out;
  now.media_wire_bytes_in -= earlier.media_wire_bytes_in;
  now.media_wire_bytes_out -= earlier.media_wire_bytes_out;
  now.malformed_messages -= earlier.malformed_messages;
  return now;
}

/// Bytes on the wire for each media packet; 0 before the first.
inline double wire_bytes_per_packet_in(const LinkCounters& of) {
  const auto packets = static_cast<double>(of.media_frames_in);
  return packets > 0 ? static_cast<double>(of.media_wire_bytes_in) / packets : 0;
}
inline double wire_bytes_per_packet_out(const LinkCounters& of) {
  const auto packets =
      static_cast<double>(of.media_frames_out) - static_cast<double>(of.media_dropped);
  return packets > 0 ? static_cast<double>(of.media_wire_bytes_out) / packets : 0;
}

class LinkHandler;

/// One live socket between a client and the gateway, as the code above it sees it: a session needs
/// to know no more of it. Calls come from the thread that owns the link, callbacks too, never from
/// within a call. Destroying a link detaches its handler: one that was open is cut, one that is
/// closing finishes alone.
class Link {
 public:
  virtual ~Link() = default;
  /// Begins to read. To be called once; the handler must live as long as this object.
  virtual void start(LinkHandler& handler) = 0;
  /// Ordered, delivered once. Never dropped: over the queue's bound the link closes with too_slow.
  virtual void send_reliable(Channel channel, ByteView bytes) = 0;
  /// May be lost; dropped when it would leave later than limits::kMediaDeadline after this call.
  virtual void send_media(Channel channel, ByteView bytes) = 0;
  /// Sends what is queued of reliable frames, then ends the socket. No callbacks after `on_closed`.
  virtual void close(CloseCode code, std::string_view reason) = 0;
  virtual Endpoint local() const = 0;
  virtual Endpoint remote() const = 0;  ///< may change where a link survives it (UDP)
  virtual LinkCounters counters() const = 0;
  /// Where media comes beside the reliable service (UDP), the id under which this end takes it, to
  /// be said in Hello or Welcome; 0: no id is needed.
  virtual std::uint32_t media_id() const { return 0; }
  /// The same of the peer, as it said; until then such a link drops media.
  virtual void set_peer_media_id(std::uint32_t) {}
};

/// What a link reports to its owner. Spans are valid during the call only.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual void on_reliable(Channel channel, ByteView bytes) = 0;
  virtual void on_media(Channel channel, ByteView bytes) = 0;
  virtual void on_closed(CloseCode code, const std::string& reason) = 0;
};

}  // namespace isthmus::wire
