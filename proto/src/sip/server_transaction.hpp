#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "sip/flow.hpp"
#include "sip/message.hpp"
#include "sip/scan.hpp"
#include "sip/transaction.hpp"

namespace isthmus::sip {

/// What a server machine wants done for one input, in the order of the members.
struct ServerActions {
  bool send_trying = false;  ///< the layer's own 100
  bool send = false;         ///< the user's response
  bool send_again = false;   ///< the last response that was sent
  bool pass_ack = false;     ///< an ACK for the user: that of a 2xx
  bool absorbed = false;     ///< a repeated request or ACK
  bool refused = false;      ///< the user's response may not be sent any more
  bool report_timeout = false;
  bool report_transport = false;
  bool operator==(const ServerActions&) const = default;
};

/// INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1): when to send what, without
/// messages.
class InviteServerTransaction {
 public:
  enum class State : std::uint8_t { proceeding, completed, confirmed, accepted, terminated };
  enum class Input : std::uint8_t {
    invite,  ///< a repeat of the request
    ack,
    provisional,
    success,
    failure,  ///< responses of the user: 1xx, 2xx, 300-699
    timer_100,
    timer_g,
    timer_h,
    timer_i,
    timer_l,
    transport_error,
  };

  /// @param timers must outlive the machine.
  InviteServerTransaction(const TransactionTimers& timers, bool reliable, Instant now);

  ServerActions on(Input input, Instant now);
  /// The one most important timer that is due; call again until `deadline()` lies after `now`.
  ServerActions on_timeout(Instant now);
  Instant deadline() const { return std::min(send_at_, end_at_); }
  State state() const { return state_; }
  /// Nothing but its end is due: it only absorbs repeats.
  bool lingers() const { return state_ == State::confirmed || state_ == State::accepted; }

 private:
  ServerActions proceeding(Input input, Instant now);
  ServerActions completed(Input input, Instant now);
  ServerActions confirmed(Input input);
  ServerActions accepted(Input input);
  ServerActions refuse_response(Input input) const;
  ServerActions fail_transport(Instant end_at);
  ServerActions terminate(ServerActions actions);

  const TransactionTimers* timers_;
  Instant send_at_ = kNever;  ///< the 100, then G
  Instant end_at_ = kNever;   ///< H, I or L
  Duration interval_;
  State state_ = State::proceeding;
  bool reliable_;
  bool responded_ = false;
  bool failure_reported_ = false;
};

/// Non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320).
class NonInviteServerTransaction {
 public:
  enum class State : std::uint8_t { trying, proceeding, completed, terminated };
  enum class Input : std::uint8_t {
    request,  ///< a repeat
    provisional,
    final,  ///< responses of the user
    timer_j,
    transport_error,
  };

  /// @param timers must outlive the machine.
  NonInviteServerTransaction(const TransactionTimers& timers, bool reliable, Instant now);

  ServerActions on(Input input, Instant now);
  ServerActions on_timeout(Instant now);
  Instant deadline() const { return end_at_; }
  State state() const { return state_; }
  bool lingers() const { return state_ == State::completed; }  ///< nothing but its end is due

 private:
  ServerActions trying(Input input, Instant now);
  ServerActions proceeding(Input input, Instant now);
  ServerActions completed(Input input);
  ServerActions complete(Instant now);
  ServerActions fail_transport();
  ServerActions terminate(ServerActions actions);

  const TransactionTimers* timers_;
  Instant end_at_ =
      kNever;  ///< J; before a final response the time at which the client has given up
  State state_ = State::trying;
  bool reliable_;
  bool failure_reported_ = false;
};

/// The top Via as views into the message: keys are made of it for each message that comes.
std::optional<scan::Via> top_via_in(const Message& message);

/// What names a server transaction (RFC 3261 §17.2.3): branch, sent-by and method; for clients of
/// RFC 2543 the Request-URI, tags, Call-ID, CSeq and Via in place of the branch. Requests of a link
/// match within their session only. `text` is empty when the top Via or CSeq cannot be read.
struct ServerKey {
  std::string text;
  bool rfc2543 = false;
};
/// @param method instead of the request's own: INVITE when an ACK or a CANCEL looks for its INVITE.
ServerKey server_key(const Message& request, const Flow& flow, std::string_view method);

}  // namespace isthmus::sip
