#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"
#include "sip/transaction.hpp"

namespace isthmus::sip {

using TransactionId = std::uint64_t;  ///< never reused within a process; 0 is none

/// What the layer asks of its owner, and what it reports. Drain after every input.
struct SendMessage {  ///< put these bytes on this flow now
  Flow flow;
  std::string bytes;
};
struct RequestReceived {  ///< a new request opened a server transaction; answer with respond()
  TransactionId server;
  Flow flow;
  Message request;
};
struct AckReceived {  ///< an ACK that belongs to no server transaction: the one of a 2xx
  Flow flow;
  Message ack;
};
struct CancelReceived {  ///< a CANCEL that matched `server`, an INVITE still open; the CANCEL
                         ///< itself was answered 200
  TransactionId server;
  Message cancel;
};
struct ResponseReceived {  ///< 1xx (100 included), 2xx (again for each retransmission, RFC 6026),
                           ///< or the one final failure
  TransactionId client;
  Flow flow;
  Message response;
  std::optional<Fault> fault{};  ///< it is what was left of a broken one
};
struct StrayResponse {  ///< matched no client transaction: a late 2xx to an INVITE, or junk
  Flow flow;
  Message response;
};
enum class ClientFailure : std::uint8_t { timeout, transport };
struct ClientFailed {  ///< no final response will come: count as 408 (timeout) or 503 (transport),
                       ///< §8.1.3.1
  TransactionId client;
  ClientFailure why;
};
/// No ACK came to a final failure of an INVITE (timer H), or the transport failed. The owner may
/// forget the transaction; over UDP a response given nevertheless is still tried (RFC 6026 §8.6).
struct ServerFailed {
  TransactionId server;
  ClientFailure why;
};
using TransactionEvent = std::variant<SendMessage, RequestReceived, AckReceived, CancelReceived,
                                      ResponseReceived, StrayResponse, ClientFailed, ServerFailed>;
using TransactionEvents = std::vector<TransactionEvent>;

/// Where a request goes when its first flow fails before anything came back.
struct FallbackFlow {
  Flow flow;
  std::string sent_by;
};

/// All client and server transactions of one owner (a gateway shard, a connector, an SDK client):
/// matching (RFC 3261 §17.1.3, §17.2.3 with the RFC 2543 fallback), the four state machines of §17
/// as amended by RFC 6026, and their timers. Pure: time and randomness are arguments; nothing
/// blocks. Single-threaded.
class TransactionLayer {
 public:
  TransactionLayer(TransactionTimers timers, Random& random);
  ~TransactionLayer();
  TransactionLayer(const TransactionLayer&) = delete;
  TransactionLayer& operator=(const TransactionLayer&) = delete;

  /// A message that passed Message::check(). Requests get received/rport on their top Via first
  /// (the transport does that, not this layer).
  void on_message(Message message, const Flow& flow, Instant now, TransactionEvents& out);

  /// A response that parse() or check() refuses, as bytes. A final one ends its transaction all the
  /// same, so that nobody waits until a timer gives up: it is reported with its fault and as much
  /// of it as is sound. A provisional one counts as 100. What matches no transaction, or cannot be
  /// mended, is dropped.
  void on_broken_response(std::string_view text, const Fault& fault, const Flow& flow, Instant now,
                          TransactionEvents& out);

  /// Opens a client transaction: puts a Via with a new branch and `sent_by` ("host:port") on top
  /// and sends. Not for ACK (send those bare, with add_via()).
  /// @param fallback  RFC 3261 §18.1.1: a request that was moved to TCP for its size goes by UDP
  /// after all when TCP is refused. The transaction keeps its id and begins anew there.
  /// @return its id; 0 when limits::kSipTransactions are open (nothing is sent; answer 503).
  TransactionId send_request(Message request, const Flow& flow, std::string_view sent_by,
                             Instant now, TransactionEvents& out,
                             std::optional<FallbackFlow> fallback = std::nullopt);

  /// Sends a response through a server transaction. 1xx, 2xx and failures as the state allows; a
  /// response that the state forbids is dropped and counted. A response to an unknown id is
  /// dropped.
  void respond(TransactionId server, Message response, Instant now, TransactionEvents& out);

  /// Cancels an INVITE client transaction (§9.1): at once if a provisional response came, else when
  /// one comes; nothing after a final response. @param extra headers for the CANCEL, as Reason.
  void cancel(TransactionId client, std::vector<std::pair<std::string, std::string>> extra,
              Instant now, TransactionEvents& out);

  /// The transport could not deliver to this flow (ICMP, closed connection or session): fails its
  /// transactions.
  void on_flow_failed(const Flow& flow, Instant now, TransactionEvents& out);
  /// A connection is over. Its client transactions fail, since answers would have come by it; its
  /// server transactions stay, since responses may find another way (§18.2.2).
  void on_flow_closed(const Flow& flow, Instant now, TransactionEvents& out);

  void on_timeout(Instant now, TransactionEvents& out);
  std::optional<Instant> next_deadline() const;

  /// Puts a Via with a fresh branch on a message that goes outside transactions (ACK of a 2xx).
  void add_via(Message& message, const Flow& flow, std::string_view sent_by);

  /// Messages are counted once as requests or responses when they are new (ACK, CANCEL and the
  /// layer's own 100, 200 and 481 included), and as retransmissions when they repeat one.
  struct Counters {
    std::uint64_t requests_in = 0, requests_out = 0, responses_in = 0, responses_out = 0;
    std::uint64_t retransmissions_in = 0, retransmissions_out = 0;
    std::uint64_t timeouts =
        0;  ///< timers B, F, H, and INVITEs that did not end after their CANCEL
    std::uint64_t stray_responses = 0;     ///< matched no client transaction
    std::uint64_t refused_over_limit = 0;  ///< requests in and out beyond limits::kSipTransactions
    std::uint64_t dropped_responses =
        0;  ///< of respond(): the id is unknown or the state forbids it
  };
  const Counters& counters() const;
  /// Where responses of a server transaction go; null once it is gone.
  const Flow* flow_of(TransactionId server) const;
  std::size_t open_client_transactions() const;
  std::size_t open_server_transactions() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace isthmus::sip
