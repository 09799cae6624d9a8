#pragma once
#include <string>
#include <string_view>
#include <unordered_map>

#include "call/bridge.hpp"
#include "call/credential_agent.hpp"
#include "call/crossing.hpp"
#include "call/dialog_peers.hpp"
#include "call/identifier_map.hpp"
#include "call/large_requests.hpp"
#include "call/lookups.hpp"
#include "call/merged_requests.hpp"
#include "call/sent_ack.hpp"
#include "call/topology.hpp"
#include "call/ways_back.hpp"

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
  CredentialAgent credentials;
  Aliases aliases;
  IdentifierMap* identifiers = nullptr;  ///< the call manager's, which knows the dialogs
  LargeRequests large;
  WaysBack ways_back;
  DialogPeers peers;
  Lookups lookups;
  BridgeCounters counters;
  std::size_t calls = 0, subscriptions = 0;  ///< at this moment, services included
  bool takes_calls = true;                   ///< not while the program is about to end
  Actions* out = nullptr;                    ///< where the current input's actions go
  Instant now{};

  BridgeCore(BridgeConfig configuration, Router& r, MediaPlane& m, BindingTable& b,
             RegisterHandler* reg, Random& rnd);

  /// Our "host:port" toward that flow.
  const std::string& host_of(const sip::Flow& flow) const;
  /// Our Contact there. @param secure  it has to be a SIPS URI (RFC 3261 §8.1.1.8, §12.1.1), which
  /// it is where the hop is secure: elsewhere nobody could follow it.
  std::string contact_uri(std::string_view token, const sip::Flow& flow, bool secure = false) const;
  void put_contact(sip::Message& message, std::string_view token, const sip::Flow& flow,
                   bool secure = false) const;
  /// Whether a request may leave by that flow: one to a SIPS URI only by a hop that is secure (RFC
  /// 3261 §26.2.2).
  bool may_leave(const sip::Message& request, const sip::Flow& flow) const {
    return router.is_secure(flow) || !asks_for_tls(request);
  }
  std::string new_token() { return random.token(20); }

  /// `from`: where a message came from that crosses here; nothing for one of our own. The router
  /// dresses each by it.
  /// @param sent  becomes the request as it went out, where the gateway holds credentials to answer
  /// a challenge to it; else stays as it is.
  /// @param on_behalf  of one of our own: the leg whose credentials it goes by.
  sip::TransactionId send(sip::Message request, const sip::Flow& flow,
                          const sip::Flow* from = nullptr,
                          std::optional<sip::Message>* sent = nullptr,
                          const sip::Flow* on_behalf = nullptr);
  /// Once more what `send` made, under another CSeq and with credentials.
  sip::TransactionId send_again(sip::Message request, const sip::Flow& flow);
  /// A BYE of our own: nobody waits for its end, but a challenge to it is answered.
  void send_bye(sip::Message bye, const sip::Flow& flow, const sip::Flow* on_behalf);
  /// @return false: the client transaction is none of those.
  bool on_bye_response(sip::TransactionId client, const sip::Message& response);
  void on_bye_failed(sip::TransactionId client) { byes_.erase(client); }
  /// The ACK of a 2xx. @return what went out, for repeat_ack().
  SentAck send_ack(sip::Message ack, const sip::Flow& hop, const sip::Flow* from = nullptr);
  void repeat_ack(SentAck& ack);
  void respond(sip::TransactionId server, sip::Message response, const sip::Flow* from = nullptr);
  /// How both legs of a request outside dialogs name what comes of it, as yet without the callee's
  /// tag: alike, or, where the far leg hides others, in words of ours there.
  DialogIdentity name_legs(const sip::Message& request, const sip::Flow& from,
                           const sip::Flow& to) const;
  /// What the near leg is told of a tag that was given on the far one.
  std::string tag_told(const DialogIdentity& identity, const sip::Flow& near,
                       const std::string& tag) const;
  /// Puts what a message names besides its own dialog into the receiver's words, and hides what it
  /// is not shown.
  void translate(sip::Message& message, const Crossing& crossing);
  /// A response of our own to a request that came.
  void reject(sip::TransactionId server, const sip::Message& request, int status,
              std::string_view reason, unsigned retry_after_s = 0);
  /// To a SIPS URI where no secure hop leads (RFC 5630 §5.3).
  void reject_sips(sip::TransactionId server, const sip::Message& request);
  /// Takes a place among the calls (or subscriptions) of all and of the flow's session.
  /// @return false: none is free, and the request was answered 503.
  bool take_place(sip::TransactionId server, const sip::Message& request, const sip::Flow& flow);
  void give_place(bool call, const sip::Flow& flow);
  /// Where a request in a dialog goes whose first messages came from `flow` (RFC 3261 §12.2.1.1,
  /// RFC 3263): best first. Empty: `lookup` names what has to be found out.
  std::vector<sip::Flow> next_hops(const sip::Flow& flow, const std::string& target,
                                   const std::vector<std::string>& route_set, std::string& lookup);
  /// The best of what is known at once.
  sip::Flow next_hop(const sip::Flow& flow, const std::string& target,
                     const std::vector<std::string>& route_set);
  /// Requests in the dialogs of whoever holds these may come from there.
  void note_peers(DialogPeers::Held& held, const std::vector<sip::Flow>& hops);
  /// Has something found out (Router's `lookup` words), and goes on when it is, or when the time is
  /// up. @return false: too much waits already, and nothing was kept.
  bool ask(const std::string& key, Lookups::Resume resume);
  /// For how long a peer may still have something to repeat, or to answer, when its call is over: a
  /// BYE of ours, and once more with credentials.
  Duration rest_of_peers() const { return 2 * config.timers.timeout(); }
  void emit(Action action) { out->push_back(std::move(action)); }

 private:
  sip::Flow way_of(const sip::Message& request, const sip::Flow& flow);
  sip::TransactionId transmit(sip::Message request, const sip::Flow& flow);
  struct Load {
    std::size_t calls = 0, subscriptions = 0;
  };
  struct Bye {
    sip::Message sent;
    sip::Flow flow;
    std::optional<sip::Flow> on_behalf;
    unsigned challenges = 0;
  };
  std::unordered_map<std::uint64_t, Load> sessions_;  ///< only those with anything open
  std::unordered_map<sip::TransactionId, Bye> byes_;  ///< that a challenge may come to
};

}  // namespace isthmus::call
