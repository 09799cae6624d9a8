#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/time.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"

namespace isthmus::transport {

/// What SIP sockets report to their owner, on the io_context's thread.
class SipHandler {
 public:
  virtual ~SipHandler() = default;
  /// Whether anything from there is served at all. Called for every datagram and every connection;
  /// must be cheap.
  virtual bool allowed(const Endpoint& source) = 0;
  /// A datagram came from a source that is not served.
  virtual void on_refused(std::string_view text, const Endpoint& source) {
    static_cast<void>(text);
    static_cast<void>(source);
  }
  /// A connection came from a source that is not served; it is closed without a byte.
  virtual void on_refused_connection(const Endpoint& source) { static_cast<void>(source); }
  /// A message that passed check(). The top Via of a request carries received and rport; responses
  /// to it go to `flow` (RFC 3261 §18.2.2, RFC 3581 §4).
  virtual void on_message(sip::Message message, const sip::Flow& flow, Instant now) = 0;
  /// A response, or what looks like one, that parse() or check() refused: whoever waits for it may
  /// make something of it.
  virtual void on_broken_response(std::string_view text, const sip::Fault& fault,
                                  const sip::Flow& flow, Instant now) {
    static_cast<void>(text);
    static_cast<void>(fault);
    static_cast<void>(flow);
    static_cast<void>(now);
  }
  /// Something could not be delivered: ICMP unreachable, no route (RFC 3261 §18.4), a connection
  /// that could not be opened or broke with messages unsent. Never from within send().
  virtual void on_flow_failed(const sip::Flow& flow, Instant now) = 0;
  /// A connection is over that had nothing left to send. Responses of the other side will not come
  /// by it any more; ours may still find another way (RFC 3261 §18.2.2).
  virtual void on_flow_closed(const sip::Flow& flow, Instant now) {
    static_cast<void>(flow);
    static_cast<void>(now);
  }
  /// Why a connection could not be opened, or was given up, in words for the log.
  virtual void on_connection_trouble(const sip::Flow& flow, const std::string& text) {
    static_cast<void>(flow);
    static_cast<void>(text);
  }
};

enum class SendOutcome : std::uint8_t {
  sent,         ///< given to the system, or queued on a connection
  too_large,    ///< above limits::kSipDatagramBytes; not the flow's fault, nothing is reported
  blocked,      ///< the socket's buffer is full; as if lost on the way, timers repeat it
  unreachable,  ///< the handler's on_flow_failed follows from the event loop
};

}  // namespace isthmus::transport
