#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "call/bridge_core.hpp"
#include "call/deadlines.hpp"
#include "call/failover.hpp"
#include "call/register_throttle.hpp"

namespace isthmus::call {

/// REGISTER passed through to a registrar upstream, with the client's own credentials: Contacts
/// become tokens of the BindingTable and are given back in the answer; refreshes that the
/// registrar need not see are answered here (LegPolicy::client_refresh). Internal to the room.
class RegisterRelay {
 public:
  explicit RegisterRelay(BridgeCore& core) : core_(core) {}

  void start(sip::TransactionId server, const sip::Flow& flow, sip::Message request,
             const RouteTargets& route);
  bool on_response(sip::TransactionId client, const sip::Flow& from, sip::Message& response);
  bool on_client_failed(sip::TransactionId client, sip::ClientFailure why);
  void on_timeout();  ///< those that go elsewhere because nothing is heard
  std::optional<Instant> next_deadline() const { return silent_.next(); }
  /// Nobody waits for answers on that session any more.
  void on_session_closed(std::uint64_t session);
  /// That registrar may have lost its memory: each next refresh passes.
  void renew(std::string_view upstream) { throttle_.forget_upstream(upstream); }
  void sweep() { throttle_.expire(core_.now); }
  std::size_t size() const { return exchanges_.size(); }

 private:
  struct Exchange {
    sip::TransactionId server = 0;
    sip::Flow from;
    std::string owner, aor;
    sip::Message request;
    sip::Flow flow;                   ///< where it is tried now,
    sip::TransactionId client = 0;    ///< by this transaction;
    Failover places;                  ///< and where else it may be
    std::vector<std::string> tokens;  ///< of the Contacts it asks for
    LegPolicy policy;                 ///< of the hop in use
    DialogIdentity identity;          ///< what both legs call this registration
  };

  bool answer_here(sip::TransactionId server, Exchange& exchange, const RouteTarget& target);
  bool note_contacts(Exchange& exchange);
  bool send(std::uint64_t id, const RouteTarget& target);
  bool try_next_place(std::uint64_t id, HopFailure failure, int status);
  void on_hop_failed(sip::TransactionId client, HopFailure failure);
  void map_contacts(const Exchange& exchange, sip::Message& out, const sip::Flow& target) const;
  void unmap_contacts(Exchange& exchange, sip::Message& response);
  std::uint32_t client_life(const Exchange& exchange, std::uint32_t asked_s,
                            std::uint32_t granted_s) const;
  void turn_back(const Exchange& exchange, sip::Message& response) const;
  void on_final(std::uint64_t id, sip::Message response, const sip::Flow* from);

  BridgeCore& core_;
  RegisterThrottle throttle_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Exchange> exchanges_;
  std::unordered_map<sip::TransactionId, std::uint64_t> clients_;
  Deadlines<sip::TransactionId> silent_;
};

}  // namespace isthmus::call
