#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "isthmus/error.hpp"
#include "isthmus/gateway.hpp"

namespace isthmus {

/// Called on the link's own thread; must not throw or wait. Views are valid during the call only.
struct RawLinkHandlers {
  std::function<void(const ConnectionEvent&)> on_connection;
  std::function<void(std::string_view message)> on_sip;  ///< one complete SIP message
  /// One RTP or RTCP packet on the channel that our SDP named as port (RTCP: the next one).
  std::function<void(std::uint32_t channel, std::span<const std::uint8_t> packet)> on_media;
  /// Would nothing be lost if a new session, at another gateway perhaps, took the place of this
  /// one? Asked when the gateway goes away or cannot be reached. Without it: never.
  std::function<bool()> may_leave;
};

/// The socket alone, for those with a SIP and RTP stack of their own: SIP messages and RTP packets
/// as bytes, over one WebSocket to a gateway. proto/PROTOCOL.md §7 and §8 say what such a stack
/// keeps to: a Via host that ends in ".invalid" with transport TLS, channel numbers from 16 as SDP
/// ports, address 192.0.0.8.
///
/// Threads as for Client: one of its own, methods from any.
class ISTHMUS_API RawLink {
 public:
  static Outcome<std::unique_ptr<RawLink>> create(const GatewayOptions& options,
                                                  RawLinkHandlers handlers);
  ~RawLink();  ///< as Client's
  RawLink(const RawLink&) = delete;
  RawLink& operator=(const RawLink&) = delete;

  void connect();
  void disconnect();
  void on_network_changed();  ///< as Client's
  /// Ordered and delivered once, unless the session ends. At most 64 KiB.
  Outcome<void> send_sip(std::string_view message);
  /// May be lost; dropped while not connected, and when it would leave more than 60 ms late.
  void send_media(std::uint32_t channel, std::span<const std::uint8_t> packet);
  SessionInfo session() const;

 private:
  class Impl;
  explicit RawLink(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace isthmus
