#include "sip/server_transaction.hpp"

#include "base/text.hpp"
#include "sip/values.hpp"

namespace isthmus::sip {

// INVITE server (RFC 3261 §17.2.1 figure 7, RFC 6026 §7.1)
//
//                  | INVITE: pass up, timer for the 100
//                  v
//           +------------+--- INVITE: last response again, if any
//           | proceeding |--- 1xx of the user: send
//           +------------+--- 200 ms without a response: 100
//     300-699: send |   \--- 2xx: send ----------------+
//                   v                                   v
//            +-----------+                        +----------+--- INVITE: absorbed
//            | completed |                        | accepted |--- 2xx of the user: send again
//            +-----------+                        +----------+--- ACK: pass up
//             |  |     |  INVITE: response again        |
//             |  |     |  G: response again, doubles    | L
//             |  |                                      v
//         ACK |  | H: report -----------------------> terminated
//             v                                         ^
//            +-----------+                              |
//            | confirmed |--- ACK, INVITE: absorbed     |
//            +-----------+--- I (at once if reliable) --+
//
// Transport errors are reported once and, over UDP, leave the state as it is (RFC 6026 §8.6 on
// §17.2.4): the next try may pass. A proceeding transaction then lives 64*T1 unless the user
// answers, so that a user that has forgotten it leaves nothing behind. A reliable flow that failed
// is gone: terminated.

InviteServerTransaction::InviteServerTransaction(const TransactionTimers& timers, bool reliable,
                                                 Instant now)
    : timers_(&timers), send_at_(now + timers.trying), interval_(timers.t1), reliable_(reliable) {}

ServerActions InviteServerTransaction::on(Input input, Instant now) {
  switch (state_) {
    case State::proceeding:
      return proceeding(input, now);
    case State::completed:
      return completed(input, now);
    case State::confirmed:
      return confirmed(input);
    case State::accepted:
      return accepted(input);
    case State::terminated:
      break;
  }
  return refuse_response(input);
}

ServerActions InviteServerTransaction::on_timeout(Instant now) {
  if (end_at_ <= now) {
    switch (state_) {
      case State::confirmed:
        return on(Input::timer_i, now);
      case State::accepted:
        return on(Input::timer_l, now);
      default:
        return on(Input::timer_h, now);
    }
  }
  if (send_at_ <= now) {
    return on(state_ == State::proceeding ? Input::timer_100 : Input::timer_g, now);
  }
  return {};
}

ServerActions InviteServerTransaction::proceeding(Input input, Instant now) {
  switch (input) {
    case Input::invite:
      return {.send_again = responded_, .absorbed = true};
    case Input::provisional:
      responded_ = true;
      send_at_ = kNever;
      return {.send = true};
    case Input::success:
      state_ = State::accepted;
      send_at_ = kNever;
      end_at_ = now + timers_->timeout();
      return {.send = true};
    case Input::failure:
      state_ = State::completed;
      send_at_ = reliable_ ? kNever : now + interval_;
      end_at_ = now + timers_->timeout();
      return {.send = true};
    case Input::timer_100:
      send_at_ = kNever;
      if (responded_) return {};
      responded_ = true;
      return {.send_trying = true};
    case Input::transport_error:
      return fail_transport(now + timers_->timeout());
    case Input::timer_h:
      if (failure_reported_) return terminate({});
      break;
    case Input::ack:
    case Input::timer_g:
    case Input::timer_i:
    case Input::timer_l:
      break;
  }
  return {};
}

ServerActions InviteServerTransaction::completed(Input input, Instant now) {
  switch (input) {
    case Input::invite:
      return {.send_again = true, .absorbed = true};
    case Input::ack:
      state_ = State::confirmed;
      send_at_ = kNever;
      end_at_ = now + timers_->linger(reliable_);
      return reliable_ ? terminate({}) : ServerActions{};
    case Input::timer_g:
      if (reliable_) return {};
      interval_ = std::min(2 * interval_, timers_->t2);
      send_at_ = now + interval_;
      return {.send_again = true};
    case Input::timer_h:
      return terminate({.report_timeout = !failure_reported_});
    case Input::transport_error:
      return fail_transport(end_at_);
    case Input::provisional:
    case Input::success:
    case Input::failure:
      return refuse_response(input);
    case Input::timer_100:
    case Input::timer_i:
    case Input::timer_l:
      break;
  }
  return {};
}

ServerActions InviteServerTransaction::confirmed(Input input) {
  switch (input) {
    case Input::invite:
    case Input::ack:
      return {.absorbed = true};
    case Input::timer_i:
      return terminate({});
    case Input::provisional:
    case Input::success:
    case Input::failure:
      return refuse_response(input);
    case Input::timer_100:
    case Input::timer_g:
    case Input::timer_h:
    case Input::timer_l:
    case Input::transport_error:
      break;
  }
  return {};
}

ServerActions InviteServerTransaction::accepted(Input input) {
  switch (input) {
    case Input::invite:
      return {.absorbed = true};
    case Input::ack:
      return {.pass_ack = true};
    case Input::success:
      return {.send = true};
    case Input::timer_l:
      return terminate({});
    case Input::transport_error:
      return fail_transport(end_at_);
    case Input::provisional:
    case Input::failure:
      return refuse_response(input);
    case Input::timer_100:
    case Input::timer_g:
    case Input::timer_h:
    case Input::timer_i:
      break;
  }
  return {};
}

ServerActions InviteServerTransaction::refuse_response(Input input) const {
  return {.refused =
              input == Input::provisional || input == Input::success || input == Input::failure};
}

ServerActions InviteServerTransaction::fail_transport(Instant end_at) {
  ServerActions actions{.report_transport = !failure_reported_};
  failure_reported_ = true;
  if (reliable_) return terminate(actions);
  end_at_ = std::min(end_at_, end_at);
  return actions;
}

ServerActions InviteServerTransaction::terminate(ServerActions actions) {
  state_ = State::terminated;
  send_at_ = end_at_ = kNever;
  return actions;
}

// Non-INVITE server (RFC 3261 §17.2.2 figure 8)
//
//              | request: pass up
//              v
//         +--------+--- request: absorbed (RFC 3261 sends nothing before the user's first response)
//         | trying |--- 200-699: send ------------------+
//         +--------+                                    |
//      1xx: send |                                      |
//                v                                      |
//        +------------+--- request: last 1xx again      |
//        | proceeding |--- 1xx: send                    |
//        +------------+                                 |
//   200-699: send |                                     |
//                 v                                     v
//         +-----------+<---------------------------------
//         | completed |--- request: response again
//         +-----------+--- J (at once if reliable) ----------> terminated
//
// Trying and proceeding also end 64*T1 after the request, quietly: the client's timer F has fired
// by then and a response could only be a stray (RFC 4320 §4.2 forbids the 408). Transport errors as
// in the INVITE server.

NonInviteServerTransaction::NonInviteServerTransaction(const TransactionTimers& timers,
                                                       bool reliable, Instant now)
    : timers_(&timers), end_at_(now + timers.timeout()), reliable_(reliable) {}

ServerActions NonInviteServerTransaction::on(Input input, Instant now) {
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
  return {.refused = input == Input::provisional || input == Input::final};
}

ServerActions NonInviteServerTransaction::on_timeout(Instant now) {
  return end_at_ <= now ? on(Input::timer_j, now) : ServerActions{};
}

ServerActions NonInviteServerTransaction::trying(Input input, Instant now) {
  switch (input) {
    case Input::request:
      return {.absorbed = true};
    case Input::provisional:
      state_ = State::proceeding;
      return {.send = true};
    case Input::final:
      return complete(now);
    case Input::timer_j:
      return terminate({});
    case Input::transport_error:
      return fail_transport();
  }
  return {};
}

ServerActions NonInviteServerTransaction::proceeding(Input input, Instant now) {
  switch (input) {
    case Input::request:
      return {.send_again = true, .absorbed = true};
    case Input::provisional:
      return {.send = true};
    case Input::final:
      return complete(now);
    case Input::timer_j:
      return terminate({});
    case Input::transport_error:
      return fail_transport();
  }
  return {};
}

ServerActions NonInviteServerTransaction::completed(Input input) {
  switch (input) {
    case Input::request:
      return {.send_again = true, .absorbed = true};
    case Input::provisional:
    case Input::final:
      return {.refused = true};
    case Input::timer_j:
      return terminate({});
    case Input::transport_error:
      return fail_transport();
  }
  return {};
}

ServerActions NonInviteServerTransaction::complete(Instant now) {
  if (reliable_) return terminate({.send = true});
  state_ = State::completed;
  end_at_ = now + timers_->timeout();
  return {.send = true};
}

ServerActions NonInviteServerTransaction::fail_transport() {
  ServerActions actions{.report_transport = !failure_reported_};
  failure_reported_ = true;
  return reliable_ ? terminate(actions) : actions;
}

ServerActions NonInviteServerTransaction::terminate(ServerActions actions) {
  state_ = State::terminated;
  end_at_ = kNever;
  return actions;
}

std::optional<scan::Via> top_via_in(const Message& message) {
  std::string_view first;
  scan::List(message.get(HeaderId::via).value_or("")).next(first);
  return scan::via(first);
}

ServerKey server_key(const Message& request, const Flow& flow, std::string_view method) {
  const auto via = top_via_in(request);
  const auto cseq = scan::cseq(request.get(HeaderId::cseq).value_or(""));
  if (!via || !cseq) return {};
  const std::string_view branch = scan::find_param(via->params, "branch").value_or("");
  ServerKey key;
  key.text.reserve(128);
  key.rfc2543 = branch.size() <= kBranchCookie.size() ||
                !iequals(branch.substr(0, kBranchCookie.size()), kBranchCookie);
  auto append = [&key](std::string_view part) {
    key.text += part;
    key.text += '\n';  // stands in no header value, so that two keys never run into each other
  };
  append(method);
  append(flow.is_link() ? std::to_string(flow.session) : std::string());
  append(to_lower(branch));
  append(to_lower(via->host));
  Via sent_by;
  sent_by.transport = via->transport;
  sent_by.port = via->port;
  append(std::to_string(sent_by.sent_by_port()));
  if (!key.rfc2543) return key;
  append(request.request_uri());
  append(request.call_id());
  append(std::to_string(cseq->number));
  append(request.from_tag());
  // An ACK bears the To tag of the response, which its INVITE did not: the layer compares that one.
  if (method != to_text(Method::invite)) append(request.to_tag());
  return key;
}

}  // namespace isthmus::sip
