#include "sip/client_transaction.hpp"

#include "base/limits.hpp"

namespace isthmus::sip {

// INVITE client (RFC 3261 §17.1.1.2 figure 5, RFC 6026 §7.2; timer C and the end of a cancelled
// INVITE: §16.6, §9.1)
//
//                    | INVITE sent, B, A (unreliable)
//                    v
//               +---------+--- A: INVITE again, A doubles
//               | calling |--- cancel: remembered
//               +---------+--- B or transport error: report ----------------------> terminated
//     1xx: pass up |   |  \--- 2xx: pass up ----------------------------+
//                  |   +--- 300-699: ACK, pass up ----------------+     |
//                  | (cancel was wanted: to cancelling, CANCEL)   |     |
//                  v                                              |     |
//             +------------+--- 1xx: pass up; 101-199 restart C   |     |
//             | proceeding |--- transport error: report ----------|-----|---------> terminated
//             +------------+--- 2xx, 300-699: as from calling --->|---->|
//  C or cancel: CANCEL |                                          |     |
//                      v                                          |     |
//             +------------+--- 1xx: pass up                      |     |
//             | cancelling |--- B or transport error: report -----|-----|---------> terminated
//             +------------+--- 2xx, 300-699: as from calling --->|---->|
//                                                                 v     |
//               +-----------+--- 300-699: ACK again                     |
//               | completed |--- D or transport error ------------------|---------> terminated
//               +-----------+                                           v
//               +-----------+--- 2xx: pass up, each one
//               | accepted  |--- M -----------------------------------------------> terminated
//               +-----------+
//
// A transport error in completed ends quietly: the user has its final response. Accepted has none
// (RFC 6026).

InviteClientTransaction::InviteClientTransaction(const TransactionTimers& timers, bool reliable,
                                                 Instant now)
    : timers_(&timers), interval_(timers.t1), reliable_(reliable) {
  end_at_ = now + timers.timeout();
  if (!reliable) retransmit_at_ = now + interval_;
}

ClientActions InviteClientTransaction::on(Input input, Instant now) {
  switch (state_) {
    case State::calling:
      return calling(input, now);
    case State::proceeding:
      return proceeding(input, now);
    case State::cancelling:
      return cancelling(input, now);
    case State::completed:
      return completed(input);
    case State::accepted:
      return accepted(input);
    case State::terminated:
      break;
  }
  return {};
}

ClientActions InviteClientTransaction::on_timeout(Instant now) {
  if (end_at_ <= now) {
    switch (state_) {
      case State::completed:
        return on(Input::timer_d, now);
      case State::accepted:
        return on(Input::timer_m, now);
      default:
        return on(Input::timer_b, now);
    }
  }
  if (ring_at_ <= now) return on(Input::timer_c, now);
  if (retransmit_at_ <= now) return on(Input::timer_a, now);
  return {};
}

ClientActions InviteClientTransaction::calling(Input input, Instant now) {
  switch (input) {
    case Input::trying:
    case Input::provisional:
      enter(cancel_wanted_ ? State::cancelling : State::proceeding, now);
      return {.pass_up = true, .send_cancel = cancel_wanted_};
    case Input::success:
      enter(State::accepted, now);
      return {.pass_up = true};
    case Input::failure:
      enter(State::completed, now);
      return {.send_ack = true, .pass_up = true};
    case Input::cancel:
      cancel_wanted_ = true;
      return {};
    case Input::timer_a:
      if (reliable_) return {};
      interval_ *= 2;
      retransmit_at_ = now + interval_;
      return {.send_request = true};
    case Input::timer_b:
      enter(State::terminated, now);
      return {.report_timeout = true};
    case Input::transport_error:
      enter(State::terminated, now);
      return {.report_transport = true};
    case Input::timer_c:
    case Input::timer_d:
    case Input::timer_m:
      break;
  }
  return {};
}

ClientActions InviteClientTransaction::proceeding(Input input, Instant now) {
  switch (input) {
    case Input::trying:
      return {.pass_up = true};
    case Input::provisional:
      ring_at_ = now + timers_->timer_c;
      return {.pass_up = true};
    case Input::success:
      enter(State::accepted, now);
      return {.pass_up = true};
    case Input::failure:
      enter(State::completed, now);
      return {.send_ack = true, .pass_up = true};
    case Input::cancel:
    case Input::timer_c:
      enter(State::cancelling, now);
      return {.send_cancel = true};
    case Input::transport_error:
      enter(State::terminated, now);
      return {.report_transport = true};
    case Input::timer_a:
    case Input::timer_b:
    case Input::timer_d:
    case Input::timer_m:
      break;
  }
  return {};
}

ClientActions InviteClientTransaction::cancelling(Input input, Instant now) {
  switch (input) {
    case Input::trying:
    case Input::provisional:
      return {.pass_up = true};
    case Input::success:
      enter(State::accepted, now);
      return {.pass_up = true};
    case Input::failure:
      enter(State::completed, now);
      return {.send_ack = true, .pass_up = true};
    case Input::timer_b:
      enter(State::terminated, now);
      return {.report_timeout = true};
    case Input::transport_error:
      enter(State::terminated, now);
      return {.report_transport = true};
    case Input::cancel:
    case Input::timer_a:
    case Input::timer_c:
    case Input::timer_d:
    case Input::timer_m:
      break;
  }
  return {};
}

ClientActions InviteClientTransaction::completed(Input input) {
  switch (input) {
    case Input::failure:
      return {.send_ack = true, .absorbed = true};
    case Input::timer_d:
    case Input::transport_error:
      enter(State::terminated, {});
      return {};
    case Input::trying:
    case Input::provisional:
    case Input::success:
    case Input::cancel:
    case Input::timer_a:
    case Input::timer_b:
    case Input::timer_c:
    case Input::timer_m:
      break;
  }
  return {};
}

ClientActions InviteClientTransaction::accepted(Input input) {
  switch (input) {
    case Input::success:
      return {.pass_up = true};
    case Input::timer_m:
      enter(State::terminated, {});
      return {};
    case Input::trying:
    case Input::provisional:
    case Input::failure:
    case Input::cancel:
    case Input::timer_a:
    case Input::timer_b:
    case Input::timer_c:
    case Input::timer_d:
    case Input::transport_error:
      break;
  }
  return {};
}

void InviteClientTransaction::enter(State state, Instant now) {
  state_ = state;
  retransmit_at_ = end_at_ = ring_at_ = kNever;
  switch (state) {
    case State::proceeding:
      ring_at_ = now + timers_->timer_c;
      break;
    case State::cancelling:
    case State::accepted:
      end_at_ = now + timers_->timeout();
      break;
    case State::completed:
      end_at_ = now + timers_->timer_d(reliable_);
      if (reliable_) enter(State::terminated, now);
      break;
    case State::calling:
    case State::terminated:
      break;
  }
}

// Non-INVITE client (RFC 3261 §17.1.2.2 figure 6)
//
//                 | request sent, F, E (unreliable)
//                 v
//            +--------+--- E: request again, E doubles up to T2
//            | trying |--- F or transport error: report -----------------> terminated
//            +--------+--- 200-699: pass up -------------------+
//     1xx: pass up |                                           |
//                  v                                           |
//          +------------+--- 1xx: pass up                      |
//          | proceeding |--- E: request again, E = T2          |
//          +------------+--- F or transport error: report -----|--------> terminated
//                  | 200-699: pass up                          |
//                  v                                           v
//          +-----------+<---------------------------------------
//          | completed |--- 200-699: absorbed
//          +-----------+--- K (at once if reliable) --------------------> terminated

NonInviteClientTransaction::NonInviteClientTransaction(const TransactionTimers& timers,
                                                       bool reliable, Instant now)
    : timers_(&timers), interval_(timers.t1), reliable_(reliable) {
  end_at_ = now + timers.timeout();
  if (!reliable) retransmit_at_ = now + interval_;
}

ClientActions NonInviteClientTransaction::on(Input input, Instant now) {
  switch (state_) {
    case State::trying:
      return trying(input, now);
    case State::proceeding:
      return proceeding(input, now);
    case State::completed:
      return completed(input);
    case State::terminated:
      break;
  }
  return {};
}

ClientActions NonInviteClientTransaction::on_timeout(Instant now) {
  if (end_at_ <= now) {
    return on(state_ == State::completed ? Input::timer_k : Input::timer_f, now);
  }
  if (retransmit_at_ <= now) return on(Input::timer_e, now);
  return {};
}

ClientActions NonInviteClientTransaction::trying(Input input, Instant now) {
  switch (input) {
    case Input::provisional:
      state_ = State::proceeding;
      return {.pass_up = true};
    case Input::final:
      return complete(now);
    case Input::timer_e:
      if (reliable_) return {};
      interval_ = std::min(2 * interval_, timers_->t2);
      retransmit_at_ = now + interval_;
      return {.send_request = true};
    case Input::timer_f:
      return terminate({.report_timeout = true});
    case Input::transport_error:
      return terminate({.report_transport = true});
    case Input::timer_k:
      break;
  }
  return {};
}

ClientActions NonInviteClientTransaction::proceeding(Input input, Instant now) {
  switch (input) {
    case Input::provisional:
      return {.pass_up = true};
    case Input::final:
      return complete(now);
    case Input::timer_e:
      if (reliable_) return {};
      retransmit_at_ = now + timers_->t2;
      return {.send_request = true};
    case Input::timer_f:
      return terminate({.report_timeout = true});
    case Input::transport_error:
      return terminate({.report_transport = true});
    case Input::timer_k:
      break;
  }
  return {};
}

ClientActions NonInviteClientTransaction::completed(Input input) {
  switch (input) {
    case Input::final:
      return {.absorbed = true};
    case Input::timer_k:
    case Input::transport_error:
      return terminate({});
    case Input::provisional:
    case Input::timer_e:
    case Input::timer_f:
      break;
  }
  return {};
}

ClientActions NonInviteClientTransaction::complete(Instant now) {
  if (reliable_) return terminate({.pass_up = true});
  state_ = State::completed;
  retransmit_at_ = kNever;
  end_at_ = now + timers_->linger(reliable_);
  return {.pass_up = true};
}

ClientActions NonInviteClientTransaction::terminate(ClientActions actions) {
  state_ = State::terminated;
  retransmit_at_ = end_at_ = kNever;
  return actions;
}

namespace {

// What ACK and CANCEL have in common with their INVITE: Request-URI, top Via alone, Route, From,
// Call-ID, CSeq number.
Message companion(const Message& invite, Method method, std::string_view to) {
  Message message = Message::request(to_text(method), invite.request_uri());
  if (auto vias = invite.values(HeaderId::via); !vias.empty()) message.add(HeaderId::via, vias[0]);
  message.add(HeaderId::max_forwards, std::to_string(limits::kMaxForwards));
  for (std::string_view route : invite.fields(HeaderId::route)) {
    message.add(HeaderId::route, route);
  }
  message.add(HeaderId::from, invite.get(HeaderId::from).value_or(""));
  message.add(HeaderId::to, to);
  message.add(HeaderId::call_id, invite.call_id());
  auto cseq = invite.cseq();
  message.add(HeaderId::cseq,
              std::to_string(cseq ? cseq->number : 0) + ' ' + std::string(to_text(method)));
  return message;
}

}  // namespace

Message make_ack(const Message& invite, const Message& failure) {
  return companion(invite, Method::ack, failure.get(HeaderId::to).value_or(""));
}

Message make_cancel(const Message& invite,
                    const std::vector<std::pair<std::string, std::string>>& extra) {
  Message cancel = companion(invite, Method::cancel, invite.get(HeaderId::to).value_or(""));
  for (const auto& [name, value] : extra) cancel.add(name, value);
  return cancel;
}

}  // namespace isthmus::sip
