#pragma once
#include <map>
#include <string>
#include <vector>

#include "sip/transaction_layer.hpp"
#include "support/sim_world.hpp"

namespace isthmus::sim {

/// A provider's registrar and stateful proxy over UDP (RFC 3261 §16, §10): challenges, records its
/// route, forks one after the other when told to forward calls.
class Proxy : public Node {
 public:
  Proxy(World& world, Endpoint address, std::string domain);

  std::map<std::string, std::string> accounts;  ///< user → password; others need none
  /// User → where it is: "sip:user@host:port".
  std::map<std::string, std::string> locations;
  std::map<std::string, std::string> redirects;  ///< user → Contact of a 302
  std::map<std::string, Endpoint> next;          ///< user → another proxy
  /// User → who is tried next when it is busy, silent or refuses, in this order.
  std::map<std::string, std::vector<std::string>> forwards;
  std::map<std::string, int> refusals;  ///< caller → status: outgoing calls are screened
  Duration no_answer_after = seconds(10);
  bool record_route = true;
  std::string first_hop;  ///< network seen by the last REGISTER (its Via), for assertions
  int challenges_sent = 0;

  void on_udp(const Endpoint& from, const Endpoint& to, std::string bytes, Instant now) override;
  void on_link(std::uint64_t, std::string, Instant) override {}
  void on_timeout(Instant now) override;
  std::optional<Instant> next_deadline() const override;

 private:
  struct Leg {
    sip::TransactionId server;
    sip::Message request;  ///< as it came
    std::vector<std::string> left;
    std::optional<Instant> give_up;
    bool cancelled = false;
  };
  void drain();
  void on_request(sip::TransactionId server, sip::Message request);
  void on_register(sip::TransactionId server, const sip::Message& request);
  void on_response(sip::TransactionId client, sip::Message response);
  /// @return false when a challenge went out.
  bool authorized(sip::TransactionId server, const sip::Message& request);
  void respond(sip::TransactionId server, const sip::Message& request, int status);
  /// Makes the request ready to leave. @return where to; nothing when nobody is there.
  std::optional<Endpoint> next_hop(sip::Message& request, std::string_view user);
  void forward(Leg leg, std::string_view user);

  World& world_;
  SeededRandom random_;
  sip::TransactionLayer layer_;
  Endpoint address_;
  std::string domain_, nonce_;
  sip::TransactionEvents events_;
  std::map<sip::TransactionId, Leg> legs_;  ///< by client transaction
  bool draining_ = false;
};

}  // namespace isthmus::sim
