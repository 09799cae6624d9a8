#pragma once
// TransactionLayer: what it is made of. For transaction_layer*.cpp only.
#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/limits.hpp"
#include "sip/client_transaction.hpp"
#include "sip/keyed_hash.hpp"
#include "sip/server_transaction.hpp"
#include "sip/transaction_layer.hpp"

namespace isthmus::sip {

struct TransactionLayer::Impl {
  struct Entry;
  // Deadlines in order of time, then of age: two runs of the same inputs fire alike.
  struct Timer {
    Instant at;
    TransactionId id;
    Entry* entry;
    bool operator<(const Timer& other) const {
      return at != other.at ? at < other.at : id < other.id;
    }
  };

  // What timers and flows know of a transaction of either kind.
  struct Entry {
    TransactionId id = 0;
    Flow flow;
    const std::string* key = nullptr;  // owned by the key table
    std::size_t flow_slot = 0;         // where it stands in its flow's list
    Instant armed = kNever;            // when its timer fires, and where that stands
    std::set<Timer>::iterator timer;
    bool server = false;
  };

  struct Client : Entry {
    std::variant<InviteClientTransaction, NonInviteClientTransaction> machine;
    std::string bytes;  // the request while it may be sent again or acknowledged; then the ACK
    std::vector<std::pair<std::string, std::string>> cancel_headers;
    std::unique_ptr<FallbackFlow> fallback;  // another way, until something came back
    bool own = false;                        // a CANCEL of the layer: nothing about it is reported

    template <typename Machine>
    Client(Machine m, TransactionId client_id, const Flow& to) : machine(m) {
      id = client_id;
      flow = to;
    }
    InviteClientTransaction* invite() { return std::get_if<InviteClientTransaction>(&machine); }
  };

  struct Server : Entry {
    std::variant<InviteServerTransaction, NonInviteServerTransaction> machine;
    std::string bytes;   // the last response, or the 100 to come
    std::string to_tag;  // that our responses bear
    bool cancelled = false;

    template <typename Machine>
    Server(Machine m, TransactionId server_id, const Flow& from) : machine(m) {
      id = server_id;
      flow = from;
      server = true;
    }
    InviteServerTransaction* invite() { return std::get_if<InviteServerTransaction>(&machine); }
  };

  Impl(TransactionTimers timers_in, Random& random_in)
      : timers(sane(timers_in)), random(random_in), hash(random_in) {}
  static TransactionTimers sane(TransactionTimers timers);
  static std::string client_key(std::string_view branch, std::string_view method, const Flow& flow);

  // Requests and responses that came in.
  void on_request(Message request, const Flow& flow, Instant now, TransactionEvents& out);
  void on_ack(Message ack, const Flow& flow, Instant now, TransactionEvents& out);
  void on_cancel(Message cancel, const Flow& flow, const std::string& key, TransactionEvents& out);
  void on_response(Message response, const Flow& flow, Instant now, TransactionEvents& out);
  void on_broken_response(std::string_view text, const Fault& fault, const Flow& flow, Instant now,
                          TransactionEvents& out);
  void open_server(Message request, const Flow& flow, std::string key, Instant now,
                   TransactionEvents& out);
  Server* find_server(const ServerKey& key);
  void reply_stateless(const Message& request, int status, std::string_view to_tag,
                       const Flow& flow, TransactionEvents& out);
  std::string derived_tag(const std::string& key) const;

  // Doing what the machines ask for.
  void perform(Client& client, ClientActions actions, Message* response, const Flow& from,
               Instant now, TransactionEvents& out);
  void perform(Server& server, ServerActions actions, Message* message, const Flow& from,
               TransactionEvents& out);
  void send_ack(Client& client, const Message* response, TransactionEvents& out);
  void send_cancel(Client& client, Instant now, TransactionEvents& out);
  void fire(Entry& entry, Instant now, TransactionEvents& out);
  void fail(Entry& entry, Instant now, TransactionEvents& out);
  bool fall_back(Client& client, Instant now, TransactionEvents& out);
  void fail_all(const Flow& flow, bool servers_too, Instant now, TransactionEvents& out);

  // Bookkeeping.
  Client& add_client(Client fresh, std::string key);
  Server& add_server(Server fresh, std::string key);
  void track(Entry& entry, Instant deadline);
  void untrack(Entry& entry);
  void arm(Entry& entry, Instant deadline);
  void settle(Client& client);
  void settle(Server& server);
  bool full() const { return clients.size() + servers.size() >= limits::kSipTransactions; }
  std::string put_via(Message& message, const Flow& flow, std::string_view sent_by);

  TransactionTimers timers;
  Random& random;
  KeyedHash hash;
  TransactionId last_id = 0;
  std::unordered_map<TransactionId, Client> clients;
  std::unordered_map<TransactionId, Server> servers;
  std::unordered_map<std::string, Client*, KeyedStringHash> clients_by_key{0,
                                                                           KeyedStringHash{&hash}};
  std::unordered_map<std::string, Server*, KeyedStringHash> servers_by_key{0,
                                                                           KeyedStringHash{&hash}};
  std::unordered_map<Flow, std::vector<Entry*>, FlowHash> by_flow;
  std::set<Timer> deadlines;
  Counters counters;
};

}  // namespace isthmus::sip
