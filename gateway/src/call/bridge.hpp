#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "call/binding_table.hpp"
#include "call/call.hpp"
#include "call/media_plane.hpp"
#include "call/router.hpp"
#include "call/sent_by.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"
#include "sip/transaction_layer.hpp"

namespace isthmus::call {

struct BridgeConfig {
  sip::TransactionTimers timers;
  std::string software = "Isthmus";  ///< Server header of responses that are our own
  std::string link_host =
      "isthmus.invalid";                ///< sent-by and Contact host on links (RFC 7118 §5 words)
  std::vector<SentBy> network_sent_by;  ///< each local SIP listener, by Flow::local
  std::size_t max_calls = 10'000;       ///< calls at once; over it 503 with Retry-After
  std::size_t max_calls_per_session = 256;
  std::size_t max_bindings_per_session = 1024;
  Duration media_timeout = seconds(60);  ///< silence on both legs that ends a call; zero: never
  Duration session_grace = seconds(0);   ///< reserved for resume
};

/// What the bridge wants done or known. Drain after every input.
struct SendSip {
  sip::Flow flow;
  std::string bytes;
};
struct CallChanged {
  CallRecord record;
  bool ended = false;
};
struct RegistrationChanged {
  std::string aor, owner;
  bool registered = false;
};
struct Lookup {  ///< find this out (RoutePending::lookup), then call on_lookup_done with the same
                 ///< key
  std::string key;
};
struct WakeUser {  ///< a request waits for a device of this user (push hook)
  std::string user;
  std::string from;    ///< URI of who asks
  std::string method;  ///< "INVITE", "MESSAGE"
  std::string call_id;
};
using OwnRequestId = std::uint64_t;  ///< never reused within a process; 0 is none
/// A request outside dialogs of our own (Bridge::send_own).
struct OwnRequest {
  sip::Message request;  ///< complete but for Via
  /// Where it goes: the next one after a timeout, a transport fault or a 503 (RFC 3263 §4.3).
  std::vector<sip::Flow> flows;
  /// Not empty: user part of Contact, whose URI becomes our own address on the flow in use.
  std::string contact_token{};
};
/// How a request of our own ended: once for each, unless it was forgotten.
struct OwnResponse {
  OwnRequestId id = 0;
  sip::Flow flow;                        ///< the last that was tried
  std::optional<sip::Message> response;  ///< final; nothing: none came, and `failure` says why
  sip::ClientFailure failure{};
};
using Action =
    std::variant<SendSip, CallChanged, RegistrationChanged, Lookup, WakeUser, OwnResponse>;
using Actions = std::vector<Action>;

struct BridgeCounters {
  std::uint64_t calls_started = 0, calls_answered = 0, calls_failed = 0, calls_ended = 0;
  std::uint64_t registrations = 0, registration_failures = 0;
  std::uint64_t refreshes_answered = 0;  ///< REGISTERs that the registrar did not need to see
  std::uint64_t rejected_over_limit = 0, unmatched_dialog = 0, loops = 0, bad_sdp = 0,
                media_timeouts = 0;
  std::uint64_t broken_responses = 0;     ///< that ended a request all the same
  std::uint64_t misrouted_responses = 0;  ///< bore a Via of another; dropped
  std::uint64_t digits_converted = 0;     ///< between INFO and RFC 4733
};

/// A local answerer of REGISTER requests (provider/registrar.hpp implements it).
class RegisterHandler {
 public:
  virtual ~RegisterHandler() = default;
  virtual sip::Message on_register(const sip::Message& request, const sip::Flow& flow,
                                   Instant now) = 0;
  /// Judges a request outside dialogs, before it is routed; REGISTER is judged in on_register().
  /// @return the response that refuses it; nothing: it may pass, perhaps without credentials that
  ///   were meant for us.
  virtual std::optional<sip::Message> challenge(sip::Message& request, const sip::Flow& flow,
                                                Instant now) = 0;
};

/// The back-to-back user agent that joins a link and standard SIP (design: bridge.md). Pure:
/// messages, time and randomness come in, actions go out; media goes through the MediaPlane
/// interface. Call-ID, tags, CSeq and everything it has no reason to touch cross byte for byte. The
/// same class serves the gateway and the connector; their Router makes the difference.
/// Single-threaded.
class Bridge {
 public:
  /// @param registrar  answers what the router sends to it; may be null.
  Bridge(BridgeConfig config, Router& router, MediaPlane& media, BindingTable& bindings,
         RegisterHandler* registrar, Random& random);
  ~Bridge();
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  /// A message that passed sip::Message::check(), from a source that may speak to us.
  void on_message(sip::Message message, const sip::Flow& flow, Instant now, Actions& out);
  /// A response that parse() or check() refused: it ends its request as well as it can, and counts
  /// as 502 where it was a 2xx (RFC 3261 §21.5.3).
  void on_broken_response(std::string_view text, const sip::Fault& fault, const sip::Flow& flow,
                          Instant now, Actions& out);
  /// A datagram or link frame could not be delivered there.
  void on_flow_failed(const sip::Flow& flow, Instant now, Actions& out);
  /// A connection is over that had nothing left to send (TransactionLayer::on_flow_closed).
  void on_flow_closed(const sip::Flow& flow, Instant now, Actions& out);
  /// The session is gone for good: its calls end with BYE and a Reason toward the other leg.
  void on_session_closed(std::uint64_t session, Instant now, Actions& out);
  /// A lookup that was asked for came to an end, well or not: what waited for it is routed again.
  void on_lookup_done(std::string_view key, Instant now, Actions& out);
  /// A device of this user is there: what waited for it is routed again.
  void on_user_available(std::string_view user, Instant now, Actions& out);
  /// The media plane took a digit out of what that endpoint received (TelephoneEvents::taken).
  void on_digit(CallId call, MediaEndpointId from, const DtmfInfo& digit, Instant now,
                Actions& out);
  void on_timeout(Instant now, Actions& out);
  std::optional<Instant> next_deadline() const;

  /// Sends a request of our own outside dialogs: a registration, a probe. Its end comes as an
  /// `OwnResponse`, perhaps in `out` at once (no flow, too many transactions).
  OwnRequestId send_own(OwnRequest request, Instant now, Actions& out);
  /// Nobody waits for that one any more; its response will be dropped.
  void forget_own(OwnRequestId id);

  /// Whoever `upstream` is (Router::owner_of) may have forgotten its registrations, as after a
  /// restart: the next refresh of each device passes.
  void renew_registrations(std::string_view upstream);

  /// Ends a call from outside (administrator, shutdown): BYE or CANCEL on both legs. @return false:
  /// no such call.
  bool end_call(CallId id, std::string_view reason, Instant now, Actions& out);
  /// Whether a dialog leads there, or did a minute ago: a provider's second host, or who calls
  /// through it, known by a Contact or a route. It may speak inside dialogs.
  bool is_dialog_peer(const IpAddress& address, Instant now) const;

  /// From here on new calls are refused with 503; those that stand go on.
  void take_no_more_calls();
  std::size_t call_count() const;
  std::vector<CallRecord> calls(Instant now) const;
  const BridgeCounters& counters() const;
  const sip::TransactionLayer& transactions() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace isthmus::call
