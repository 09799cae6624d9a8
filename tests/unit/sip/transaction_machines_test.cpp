#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "sip/client_transaction.hpp"
#include "sip/server_transaction.hpp"

namespace isthmus::sip {
namespace {

const TransactionTimers kTimers;
const Instant kStart = Instant{} + std::chrono::hours(1);

template <typename Machine, typename Actions>
struct Row {
  typename Machine::State from;
  typename Machine::Input input;
  Actions actions;
  typename Machine::State to;
};

// Tries every input in every state. What stands in no row must do nothing: no action, the same
// state, and no timer touched.
template <typename Machine, typename Actions>
void check_table(const std::function<Machine(typename Machine::State)>& in_state,
                 const std::vector<Row<Machine, Actions>>& rows) {
  using State = typename Machine::State;
  using Input = typename Machine::Input;
  for (int s = 0; s <= static_cast<int>(State::terminated); ++s) {
    for (int i = 0; i <= static_cast<int>(Input::transport_error); ++i) {
      SCOPED_TRACE("state " + std::to_string(s) + ", input " + std::to_string(i));
      Machine machine = in_state(static_cast<State>(s));
      ASSERT_EQ(machine.state(), static_cast<State>(s)) << "the test did not reach the state";
      Instant before = machine.deadline();
      Actions expected{};
      State to = static_cast<State>(s);
      bool listed = false;
      for (const auto& row : rows) {
        if (row.from != to || static_cast<int>(row.input) != i) continue;
        expected = row.actions;
        to = row.to;
        listed = true;
        break;
      }
      Actions actions = machine.on(static_cast<Input>(i), kStart + milliseconds(150));
      EXPECT_EQ(actions, expected);
      EXPECT_EQ(machine.state(), to);
      if (!listed) {
        EXPECT_EQ(machine.deadline(), before);
      }
      if (machine.state() == State::terminated) {
        EXPECT_EQ(machine.deadline(), kNever);
      }
    }
  }
}

TEST(InviteClientTransaction, does_in_every_state_what_the_diagram_says) {
  using M = InviteClientTransaction;
  using S = M::State;
  using I = M::Input;
  auto in_state = [](S state) {
    M machine(kTimers, false, kStart);
    switch (state) {
      case S::calling:
        break;
      case S::proceeding:
        machine.on(I::provisional, kStart);
        break;
      case S::cancelling:
        machine.on(I::provisional, kStart);
        machine.on(I::cancel, kStart);
        break;
      case S::completed:
        machine.on(I::failure, kStart);
        break;
      case S::accepted:
        machine.on(I::success, kStart);
        break;
      case S::terminated:
        machine.on(I::transport_error, kStart);
        break;
    }
    return machine;
  };
  const ClientActions pass{.pass_up = true};
  const ClientActions refuse{.send_ack = true, .pass_up = true};
  check_table<M, ClientActions>(
      in_state, {
                    {S::calling, I::trying, pass, S::proceeding},
                    {S::calling, I::provisional, pass, S::proceeding},
                    {S::calling, I::success, pass, S::accepted},
                    {S::calling, I::failure, refuse, S::completed},
                    {S::calling, I::timer_a, {.send_request = true}, S::calling},
                    {S::calling, I::timer_b, {.report_timeout = true}, S::terminated},
                    {S::calling, I::transport_error, {.report_transport = true}, S::terminated},
                    {S::proceeding, I::trying, pass, S::proceeding},
                    {S::proceeding, I::provisional, pass, S::proceeding},
                    {S::proceeding, I::success, pass, S::accepted},
                    {S::proceeding, I::failure, refuse, S::completed},
                    {S::proceeding, I::cancel, {.send_cancel = true}, S::cancelling},
                    {S::proceeding, I::timer_c, {.send_cancel = true}, S::cancelling},
                    {S::proceeding, I::transport_error, {.report_transport = true}, S::terminated},
                    {S::cancelling, I::trying, pass, S::cancelling},
                    {S::cancelling, I::provisional, pass, S::cancelling},
                    {S::cancelling, I::success, pass, S::accepted},
                    {S::cancelling, I::failure, refuse, S::completed},
                    {S::cancelling, I::timer_b, {.report_timeout = true}, S::terminated},
                    {S::cancelling, I::transport_error, {.report_transport = true}, S::terminated},
                    {S::completed, I::failure, {.send_ack = true, .absorbed = true}, S::completed},
                    {S::completed, I::timer_d, {}, S::terminated},
                    {S::completed, I::transport_error, {}, S::terminated},
                    {S::accepted, I::success, pass, S::accepted},
                    {S::accepted, I::timer_m, {}, S::terminated},
                });
}

TEST(InviteClientTransaction, remembers_a_cancel_until_a_provisional_response) {
  using M = InviteClientTransaction;
  for (auto first : {M::Input::trying, M::Input::provisional}) {
    M machine(kTimers, false, kStart);
    EXPECT_EQ(machine.on(M::Input::cancel, kStart), ClientActions{});
    EXPECT_EQ(machine.state(), M::State::calling);
    EXPECT_EQ(machine.on(M::Input::timer_a, kStart), ClientActions{.send_request = true});
    EXPECT_EQ(machine.on(first, kStart), (ClientActions{.pass_up = true, .send_cancel = true}));
    EXPECT_EQ(machine.state(), M::State::cancelling);
    EXPECT_EQ(machine.deadline(), kStart + kTimers.timeout());
  }
}

TEST(InviteClientTransaction, ends_at_once_after_a_failure_over_a_reliable_flow) {
  using M = InviteClientTransaction;
  M machine(kTimers, true, kStart);
  EXPECT_EQ(machine.deadline(), kStart + kTimers.timeout());
  EXPECT_EQ(machine.on(M::Input::timer_a, kStart), ClientActions{});
  EXPECT_EQ(machine.on(M::Input::failure, kStart),
            (ClientActions{.send_ack = true, .pass_up = true}));
  EXPECT_EQ(machine.state(), M::State::terminated);
}

TEST(NonInviteClientTransaction, does_in_every_state_what_the_diagram_says) {
  using M = NonInviteClientTransaction;
  using S = M::State;
  using I = M::Input;
  auto in_state = [](S state) {
    M machine(kTimers, false, kStart);
    if (state == S::proceeding) machine.on(I::provisional, kStart);
    if (state == S::completed) machine.on(I::final, kStart);
    if (state == S::terminated) machine.on(I::timer_f, kStart);
    return machine;
  };
  const ClientActions pass{.pass_up = true};
  check_table<M, ClientActions>(
      in_state, {
                    {S::trying, I::provisional, pass, S::proceeding},
                    {S::trying, I::final, pass, S::completed},
                    {S::trying, I::timer_e, {.send_request = true}, S::trying},
                    {S::trying, I::timer_f, {.report_timeout = true}, S::terminated},
                    {S::trying, I::transport_error, {.report_transport = true}, S::terminated},
                    {S::proceeding, I::provisional, pass, S::proceeding},
                    {S::proceeding, I::final, pass, S::completed},
                    {S::proceeding, I::timer_e, {.send_request = true}, S::proceeding},
                    {S::proceeding, I::timer_f, {.report_timeout = true}, S::terminated},
                    {S::proceeding, I::transport_error, {.report_transport = true}, S::terminated},
                    {S::completed, I::final, {.absorbed = true}, S::completed},
                    {S::completed, I::timer_k, {}, S::terminated},
                    {S::completed, I::transport_error, {}, S::terminated},
                });
}

TEST(NonInviteClientTransaction, never_repeats_over_a_reliable_flow) {
  using M = NonInviteClientTransaction;
  for (bool provisional : {false, true}) {
    M machine(kTimers, true, kStart);
    if (provisional) machine.on(M::Input::provisional, kStart);
    EXPECT_EQ(machine.deadline(), kStart + kTimers.timeout());
    EXPECT_EQ(machine.on(M::Input::timer_e, kStart), ClientActions{});
    EXPECT_EQ(machine.on(M::Input::final, kStart), ClientActions{.pass_up = true});
    EXPECT_EQ(machine.state(), M::State::terminated);
  }
}

TEST(InviteServerTransaction, does_in_every_state_what_the_diagram_says) {
  using M = InviteServerTransaction;
  using S = M::State;
  using I = M::Input;
  auto in_state = [](S state) {
    M machine(kTimers, false, kStart);
    if (state == S::completed || state == S::confirmed) machine.on(I::failure, kStart);
    if (state == S::confirmed) machine.on(I::ack, kStart);
    if (state == S::accepted) machine.on(I::success, kStart);
    if (state == S::terminated) {
      machine.on(I::failure, kStart);
      machine.on(I::timer_h, kStart);
    }
    return machine;
  };
  const ServerActions send{.send = true};
  const ServerActions absorb{.absorbed = true};
  const ServerActions again{.send_again = true, .absorbed = true};
  const ServerActions refuse{.refused = true};
  const ServerActions report{.report_transport = true};
  check_table<M, ServerActions>(
      in_state, {
                    {S::proceeding, I::invite, absorb, S::proceeding},
                    {S::proceeding, I::provisional, send, S::proceeding},
                    {S::proceeding, I::success, send, S::accepted},
                    {S::proceeding, I::failure, send, S::completed},
                    {S::proceeding, I::timer_100, {.send_trying = true}, S::proceeding},
                    {S::proceeding, I::transport_error, report, S::proceeding},
                    {S::completed, I::invite, again, S::completed},
                    {S::completed, I::ack, {}, S::confirmed},
                    {S::completed, I::provisional, refuse, S::completed},
                    {S::completed, I::success, refuse, S::completed},
                    {S::completed, I::failure, refuse, S::completed},
                    {S::completed, I::timer_g, {.send_again = true}, S::completed},
                    {S::completed, I::timer_h, {.report_timeout = true}, S::terminated},
                    {S::completed, I::transport_error, report, S::completed},
                    {S::confirmed, I::invite, absorb, S::confirmed},
                    {S::confirmed, I::ack, absorb, S::confirmed},
                    {S::confirmed, I::provisional, refuse, S::confirmed},
                    {S::confirmed, I::success, refuse, S::confirmed},
                    {S::confirmed, I::failure, refuse, S::confirmed},
                    {S::confirmed, I::timer_i, {}, S::terminated},
                    {S::accepted, I::invite, absorb, S::accepted},
                    {S::accepted, I::ack, {.pass_ack = true}, S::accepted},
                    {S::accepted, I::provisional, refuse, S::accepted},
                    {S::accepted, I::success, send, S::accepted},
                    {S::accepted, I::failure, refuse, S::accepted},
                    {S::accepted, I::timer_l, {}, S::terminated},
                    {S::accepted, I::transport_error, report, S::accepted},
                    {S::terminated, I::provisional, refuse, S::terminated},
                    {S::terminated, I::success, refuse, S::terminated},
                    {S::terminated, I::failure, refuse, S::terminated},
                });
}

TEST(InviteServerTransaction, repeats_only_what_was_sent) {
  using M = InviteServerTransaction;
  M machine(kTimers, false, kStart);
  EXPECT_EQ(machine.on(M::Input::invite, kStart), ServerActions{.absorbed = true});
  EXPECT_EQ(machine.on_timeout(kStart + milliseconds(199)), ServerActions{});
  EXPECT_EQ(machine.on_timeout(kStart + milliseconds(200)), ServerActions{.send_trying = true});
  EXPECT_EQ(machine.deadline(), kNever);
  EXPECT_EQ(machine.on(M::Input::invite, kStart),
            (ServerActions{.send_again = true, .absorbed = true}));
  EXPECT_EQ(machine.on(M::Input::timer_100, kStart), ServerActions{}) << "a second 100";
}

TEST(InviteServerTransaction, lives_on_after_a_transport_error_over_udp_but_not_for_ever) {
  using M = InviteServerTransaction;
  M machine(kTimers, false, kStart);
  machine.on(M::Input::provisional, kStart);
  EXPECT_EQ(machine.on(M::Input::transport_error, kStart), ServerActions{.report_transport = true});
  EXPECT_EQ(machine.on(M::Input::transport_error, kStart), ServerActions{}) << "reported once";
  EXPECT_EQ(machine.deadline(), kStart + kTimers.timeout());
  M answered = machine;
  EXPECT_EQ(answered.on(M::Input::failure, kStart), ServerActions{.send = true});
  EXPECT_EQ(answered.on_timeout(kStart + kTimers.timeout()), ServerActions{}) << "reported already";
  EXPECT_EQ(answered.state(), M::State::terminated);
  EXPECT_EQ(machine.on_timeout(kStart + kTimers.timeout()), ServerActions{});
  EXPECT_EQ(machine.state(), M::State::terminated);
}

TEST(InviteServerTransaction, over_a_reliable_flow_waits_for_the_ack_and_is_gone) {
  using M = InviteServerTransaction;
  M machine(kTimers, true, kStart);
  machine.on(M::Input::failure, kStart);
  EXPECT_EQ(machine.deadline(), kStart + kTimers.timeout()) << "H alone, no G";
  EXPECT_EQ(machine.on(M::Input::timer_g, kStart), ServerActions{});
  EXPECT_EQ(machine.on(M::Input::ack, kStart), ServerActions{});
  EXPECT_EQ(machine.state(), M::State::terminated);
  M broken(kTimers, true, kStart);
  EXPECT_EQ(broken.on(M::Input::transport_error, kStart), ServerActions{.report_transport = true});
  EXPECT_EQ(broken.state(), M::State::terminated);
}

TEST(NonInviteServerTransaction, does_in_every_state_what_the_diagram_says) {
  using M = NonInviteServerTransaction;
  using S = M::State;
  using I = M::Input;
  auto in_state = [](S state) {
    M machine(kTimers, false, kStart);
    if (state == S::proceeding) machine.on(I::provisional, kStart);
    if (state == S::completed) machine.on(I::final, kStart);
    if (state == S::terminated) machine.on(I::timer_j, kStart);
    return machine;
  };
  const ServerActions send{.send = true};
  const ServerActions again{.send_again = true, .absorbed = true};
  const ServerActions refuse{.refused = true};
  const ServerActions report{.report_transport = true};
  check_table<M, ServerActions>(in_state,
                                {
                                    {S::trying, I::request, {.absorbed = true}, S::trying},
                                    {S::trying, I::provisional, send, S::proceeding},
                                    {S::trying, I::final, send, S::completed},
                                    {S::trying, I::timer_j, {}, S::terminated},
                                    {S::trying, I::transport_error, report, S::trying},
                                    {S::proceeding, I::request, again, S::proceeding},
                                    {S::proceeding, I::provisional, send, S::proceeding},
                                    {S::proceeding, I::final, send, S::completed},
                                    {S::proceeding, I::timer_j, {}, S::terminated},
                                    {S::proceeding, I::transport_error, report, S::proceeding},
                                    {S::completed, I::request, again, S::completed},
                                    {S::completed, I::provisional, refuse, S::completed},
                                    {S::completed, I::final, refuse, S::completed},
                                    {S::completed, I::timer_j, {}, S::terminated},
                                    {S::completed, I::transport_error, report, S::completed},
                                    {S::terminated, I::provisional, refuse, S::terminated},
                                    {S::terminated, I::final, refuse, S::terminated},
                                });
}

TEST(NonInviteServerTransaction, ends_with_its_response_over_a_reliable_flow) {
  using M = NonInviteServerTransaction;
  M machine(kTimers, true, kStart);
  EXPECT_EQ(machine.on(M::Input::final, kStart), ServerActions{.send = true});
  EXPECT_EQ(machine.state(), M::State::terminated);
}

}  // namespace
}  // namespace isthmus::sip
