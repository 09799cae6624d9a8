#pragma once
#include <optional>
#include <unordered_map>
#include <vector>

#include "call/bridge_core.hpp"
#include "call/deadlines.hpp"
#include "call/failover.hpp"
#include "call/redirection.hpp"

namespace isthmus::call {

/// Requests outside dialogs that leave no dialog behind: OPTIONS, MESSAGE, PUBLISH, unknown
/// methods. Internal to the room.
class ExchangeRelay {
 public:
  explicit ExchangeRelay(BridgeCore& core) : core_(core) {}

  void start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
             const RouteTargets& route);
  bool on_response(sip::TransactionId client, const sip::Flow& from, sip::Message& response);
  bool on_client_failed(sip::TransactionId client, sip::ClientFailure why);
  void on_timeout();  ///< requests that go elsewhere because nothing is heard
  std::optional<Instant> next_deadline() const { return silent_.next(); }
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
  };

  /// Where a request goes when the place that it is at does not serve it.
  struct Onward {
    Failover places;
    Redirection redirection{};
  };
  /// One target of an exchange, and the place that it is tried at now.
  struct Attempt {
    std::uint64_t exchange = 0;
    sip::Flow flow;
    Onward onward;
    std::string uri{};  ///< Request-URI there
    DialogIdentity identity{};
    std::optional<sip::Message> sent{};  ///< as it went out, where we hold credentials
    unsigned challenges = 0;             ///< that were answered with them
    bool heard = false;
  };

  bool send(std::uint64_t id, const RouteTarget& target, Onward onward);
  void rename(sip::TransactionId client, sip::TransactionId to);
  void leave(sip::TransactionId client);
  bool follow_redirect(sip::TransactionId client, sip::Message& response);
  bool try_next_contact(sip::TransactionId client);
  bool send_to_contact(sip::TransactionId client, const std::string& uri, bool waited);
  static void keep_failure(Exchange& exchange, sip::Message response, const sip::Flow* from);
  void close(std::uint64_t id);
  void forget(std::uint64_t id);
  bool answer_challenge(sip::TransactionId client, const sip::Message& response);
  void turn_back(const Exchange& exchange, const Attempt& attempt, sip::Message& response) const;
  bool try_next_place(sip::TransactionId client, HopFailure failure, int status);
  void on_hop_failed(sip::TransactionId client, HopFailure failure);
  void on_final(sip::TransactionId client, sip::Message response, const sip::Flow* from);

  /// Above all ids of transactions: of attempts that wait for an address and have none.
  static constexpr sip::TransactionId kWaiting = sip::TransactionId{1} << 63;

  BridgeCore& core_;
  std::uint64_t next_id_ = 1, next_waiting_ = kWaiting;
  std::unordered_map<std::uint64_t, std::size_t> of_link_;  ///< open exchanges of each session
  std::unordered_map<std::uint64_t, Exchange> exchanges_;
  std::unordered_map<sip::TransactionId, Attempt> clients_;
  Deadlines<sip::TransactionId> silent_;
};

}  // namespace isthmus::call
