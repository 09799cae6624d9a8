#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "call/bridge_core.hpp"

namespace isthmus::call {

/// Requests outside dialogs that this program sends on its own account: registrations toward
/// providers, OPTIONS probes. Each ends with exactly one `OwnResponse`, unless it is forgotten
/// first. Internal to the room; the door is Bridge::send_own.
class OwnRequests {
 public:
  explicit OwnRequests(BridgeCore& core) : core_(core) {}

  void send(OwnRequestId id, OwnRequest request);
  bool on_response(sip::TransactionId client, sip::Message& response);
  bool on_client_failed(sip::TransactionId client, sip::ClientFailure why);
  void forget(OwnRequestId id);
  std::size_t size() const { return requests_.size(); }

 private:
  struct Open {
    OwnRequest request;
    std::size_t next_flow = 0;
    sip::TransactionId client = 0;
  };

  bool send_next(OwnRequestId id, Open& open);
  bool move_on(OwnRequestId id, Open& open, const sip::Flow& left, HopOutcome why);
  void finish(OwnRequestId id, OwnResponse response);

  BridgeCore& core_;
  std::unordered_map<OwnRequestId, Open> requests_;
  std::unordered_map<sip::TransactionId, OwnRequestId> clients_;
};

}  // namespace isthmus::call
