#pragma once
#include <string>
#include <string_view>
#include <unordered_map>

#include "call/bridge.hpp"
#include "call/merged_requests.hpp"

namespace isthmus::call {

/// What the parts of a Bridge share: the transaction layer, the doors to the outside, the moment.
/// Internal to the room.
struct BridgeCore {
  BridgeConfig config;
  Router& router;
  MediaPlane& media;
  BindingTable& bindings;
  RegisterHandler* registrar;
  Random& random;
  sip::TransactionLayer layer;
  sip::TransactionEvents events;  ///< raised by the layer, not yet handled
  MergedRequests merged;
  BridgeCounters counters;
  std::size_t calls = 0, subscriptions = 0;  ///< at this moment, services included
  Actions* out = nullptr;                    ///< where the current input's actions go
  Instant now{};

  BridgeCore(BridgeConfig configuration, Router& r, MediaPlane& m, BindingTable& b,
             RegisterHandler* reg, Random& rnd);

  /// Our "host:port" toward that flow, and the parameters that our Contact URI takes there.
  const std::string& host_of(const sip::Flow& flow) const;
  std::string_view contact_params_of(const sip::Flow& flow) const;
  std::string new_token() { return random.token(20); }

  /// `from`: where a message came from that crosses here; nothing for one of our own. The router
  /// dresses each by it.
  sip::TransactionId send(sip::Message request, const sip::Flow& flow,
                          const sip::Flow* from = nullptr);
  void send_ack(sip::Message ack, const sip::Flow& flow, std::string* sent = nullptr,
                const sip::Flow* from = nullptr);
  void respond(sip::TransactionId server, sip::Message response, const sip::Flow* from = nullptr);
  /// A response of our own to a request that came.
  void reject(sip::TransactionId server, const sip::Message& request, int status,
              std::string_view reason, unsigned retry_after_s = 0);
  /// Takes a place among the calls (or subscriptions) of all and of the flow's session.
  /// @return false: none is free, and the request was answered 503.
  bool take_place(sip::TransactionId server, const sip::Message& request, const sip::Flow& flow);
  void give_place(bool call, const sip::Flow& flow);
  void emit(Action action) { out->push_back(std::move(action)); }

 private:
  struct Load {
    std::size_t calls = 0, subscriptions = 0;
  };
  std::unordered_map<std::uint64_t, Load> sessions_;  ///< only those with anything open
};

}  // namespace isthmus::call
