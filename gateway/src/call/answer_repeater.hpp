#pragma once
#include <functional>
#include <optional>
#include <unordered_map>

#include "call/bridge_core.hpp"
#include "call/deadlines.hpp"

namespace isthmus::call {

/// 2xx to INVITEs that went out and are not acknowledged yet. The transaction layer leaves them to
/// the user agent (RFC 3261 §13.3.1.4), and a callee behind a link sends its 2xx once: they are
/// repeated here, T1 doubling up to T2, over TCP and TLS too, since there may be UDP behind the
/// next hop. A link leads to the end point itself. Without an ACK in 64*T1 the call is over, over
/// any transport. Internal to the room.
class AnswerRepeater {
 public:
  using Unacknowledged = std::function<void(sip::TransactionId server)>;
  AnswerRepeater(BridgeCore& core, Unacknowledged unacknowledged)
      : core_(core), unacknowledged_(std::move(unacknowledged)) {}

  /// @param response as it was given to BridgeCore::respond; @param from where it came from.
  void begin(sip::TransactionId server, const sip::Flow& to, const sip::Message& response,
             const sip::Flow* from);
  /// Acknowledged, or of no interest any more.
  void end(sip::TransactionId server);
  bool waits(sip::TransactionId server) const { return waiting_.contains(server); }
  void on_timeout();
  std::optional<Instant> next_deadline() const { return deadlines_.next(); }

 private:
  struct Waiting {
    std::optional<sip::Message> response;  ///< none over a link: it is not repeated
    std::optional<sip::Flow> from;
    Duration interval{};
    Instant give_up_at{};
  };

  BridgeCore& core_;
  Unacknowledged unacknowledged_;
  std::unordered_map<sip::TransactionId, Waiting> waiting_;
  Deadlines<sip::TransactionId> deadlines_;
};

}  // namespace isthmus::call
