#pragma once
#include <cstdint>
#include <string>
#include <string_view>

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
};
const char* to_text(CloseCode code);  ///< "unauthorized"

/// One live socket between a client and the gateway, as the pure code above it sees it. The
/// WebSocket link implements it today. Calls come from the thread that owns the link.
class Link {
 public:
  virtual ~Link() = default;
  /// Ordered, delivered once. Never dropped: over the queue's bound the link closes with too_slow.
  virtual void send_reliable(Channel channel, ByteView bytes) = 0;
  /// May be lost; dropped when it would leave later than limits::kMediaDeadline after this call.
  virtual void send_media(Channel channel, ByteView bytes) = 0;
  /// Sends what is queued of reliable frames, then ends the socket. No callbacks after `on_closed`.
  virtual void close(CloseCode code, std::string_view reason) = 0;
  virtual std::string remote_text() const = 0;  ///< "192.0.2.7:51034", for logs and Welcome
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
