#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "call/bridge_core.hpp"

namespace isthmus::call {

/// Requests outside dialogs that leave no dialog behind: OPTIONS, MESSAGE, PUBLISH, unknown
/// methods, and REGISTER passed through to a registrar upstream with its Contacts mapped to tokens.
/// Internal to the room.
class ExchangeRelay {
 public:
  explicit ExchangeRelay(BridgeCore& core) : core_(core) {}

  void start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
             const RouteTargets& route);
  bool on_response(sip::TransactionId client, const sip::Flow& from, sip::Message& response);
  bool on_client_failed(sip::TransactionId client, sip::ClientFailure why);
  /// Nobody waits for answers on that session any more.
  void on_session_closed(std::uint64_t session);
  std::size_t size() const { return exchanges_.size(); }

 private:
  struct Exchange {
    sip::TransactionId server = 0;
    sip::Flow from;
    sip::Message request = sip::Message::request("OPTIONS", "sip:invalid.invalid");
    std::vector<sip::TransactionId> open;
    std::optional<sip::Message> best_failure;
    std::optional<sip::Flow> failed_at;  ///< where best_failure came from; nothing: it is ours
    bool answered = false;
    std::vector<std::string> tokens;  ///< REGISTER: of the Contacts it asks for
  };

  bool map_register_contacts(Exchange& exchange, sip::Message& out, const sip::Flow& target);
  void unmap_register_contacts(Exchange& exchange, sip::Message& response);
  void on_final(std::uint64_t id, sip::TransactionId client, sip::Message response,
                const sip::Flow* from);

  BridgeCore& core_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Exchange> exchanges_;
  std::unordered_map<sip::TransactionId, std::uint64_t> clients_;
};

}  // namespace isthmus::call
