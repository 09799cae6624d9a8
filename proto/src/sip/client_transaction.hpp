#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sip/message.hpp"
#include "sip/transaction.hpp"

namespace isthmus::sip {

/// What a client machine wants done for one input, in the order of the members.
struct ClientActions {
  bool send_request = false;  ///< the same bytes again
  bool send_ack = false;      ///< of a failure (RFC 3261 §17.1.1.3)
  bool pass_up = false;       ///< the response is for the user
  bool send_cancel = false;   ///< a provisional response allows it now (§9.1)
  bool absorbed = false;      ///< a repeat of a final response
  bool report_timeout = false;
  bool report_transport = false;
  bool operator==(const ClientActions&) const = default;
};

/// INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2, timer C of §16.6): when to send
/// what, without messages. The diagram stands in the .cpp file. Sending the INVITE first is the
/// caller's.
class InviteClientTransaction {
 public:
  /// `cancelling` is Proceeding after the CANCEL went out: it ends after 64*T1 (§9.1).
  enum class State : std::uint8_t {
    calling,
    proceeding,
    cancelling,
    completed,
    accepted,
    terminated
  };
  enum class Input : std::uint8_t {
    trying,       ///< 100
    provisional,  ///< 101-199
    success,      ///< 2xx
    failure,      ///< 300-699
    cancel,       ///< the user's wish
    timer_a,
    timer_b,
    timer_c,
    timer_d,
    timer_m,
    transport_error,
  };

  /// @param timers must outlive the machine.
  InviteClientTransaction(const TransactionTimers& timers, bool reliable, Instant now);

  ClientActions on(Input input, Instant now);
  /// The one most important timer that is due; call again until `deadline()` lies after `now`.
  ClientActions on_timeout(Instant now);
  Instant deadline() const { return std::min({retransmit_at_, end_at_, ring_at_}); }
  bool cancel_wanted() const { return cancel_wanted_; }
  State state() const { return state_; }
  /// Nothing but its end is due: it only absorbs repeats.
  bool lingers() const { return state_ == State::completed || state_ == State::accepted; }

 private:
  ClientActions calling(Input input, Instant now);
  ClientActions proceeding(Input input, Instant now);
  ClientActions cancelling(Input input, Instant now);
  ClientActions completed(Input input);
  ClientActions accepted(Input input);
  void enter(State state, Instant now);

  const TransactionTimers* timers_;
  Instant retransmit_at_ = kNever;  ///< A
  Instant end_at_ = kNever;         ///< B in calling and cancelling, D in completed, M in accepted
  Instant ring_at_ = kNever;        ///< C
  Duration interval_;
  State state_ = State::calling;
  bool reliable_;
  bool cancel_wanted_ = false;
};

/// Non-INVITE client transaction (RFC 3261 §17.1.2).
class NonInviteClientTransaction {
 public:
  enum class State : std::uint8_t { trying, proceeding, completed, terminated };
  enum class Input : std::uint8_t {
    provisional,  ///< 1xx
    final,        ///< 200-699
    timer_e,
    timer_f,
    timer_k,
    transport_error,
  };

  /// @param timers must outlive the machine.
  NonInviteClientTransaction(const TransactionTimers& timers, bool reliable, Instant now);

  ClientActions on(Input input, Instant now);
  ClientActions on_timeout(Instant now);
  Instant deadline() const { return std::min(retransmit_at_, end_at_); }
  State state() const { return state_; }
  bool lingers() const { return state_ == State::completed; }  ///< nothing but its end is due

 private:
  ClientActions trying(Input input, Instant now);
  ClientActions proceeding(Input input, Instant now);
  ClientActions completed(Input input);
  ClientActions complete(Instant now);
  ClientActions terminate(ClientActions actions);

  const TransactionTimers* timers_;
  Instant retransmit_at_ = kNever;  ///< E
  Instant end_at_ = kNever;         ///< F, then K
  Duration interval_;
  State state_ = State::trying;
  bool reliable_;
};

/// The ACK of a failure (§17.1.1.3): the INVITE's branch and Route, the failure's To.
Message make_ack(const Message& invite, const Message& failure);

/// The CANCEL of an INVITE as it was sent (§9.1). @param extra headers to add, as Reason.
Message make_cancel(const Message& invite,
                    const std::vector<std::pair<std::string, std::string>>& extra);

}  // namespace isthmus::sip
