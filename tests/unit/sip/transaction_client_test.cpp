#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "transaction_bench.hpp"

namespace isthmus::sip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace testing_bench;

Message answer(const Message& request, int status, std::string_view tag = "bob") {
  return Message::response_to(request, status, {}, tag);
}

TEST(ClientTransactions, an_unanswered_invite_over_udp_is_repeated_with_doubling_gaps) {
  Bench bench;
  bench.send(our_request("INVITE"), bench.udp);
  bench.until(60'000);
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "500 send INVITE", "1500 send INVITE",
                                       "3500 send INVITE", "7500 send INVITE", "15500 send INVITE",
                                       "31500 send INVITE", "32000 client failed: timeout"));
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_EQ(bench.layer.counters().requests_out, 1u);
  EXPECT_EQ(bench.layer.counters().retransmissions_out, 6u);
  EXPECT_EQ(bench.layer.counters().timeouts, 1u);
  EXPECT_FALSE(bench.layer.next_deadline());
}

TEST(ClientTransactions, another_request_over_udp_is_repeated_every_four_seconds_at_most) {
  Bench bench;
  bench.send(our_request("OPTIONS"), bench.udp);
  bench.until(60'000);
  EXPECT_THAT(
      bench.trace,
      ElementsAre("0 send OPTIONS", "500 send OPTIONS", "1500 send OPTIONS", "3500 send OPTIONS",
                  "7500 send OPTIONS", "11500 send OPTIONS", "15500 send OPTIONS",
                  "19500 send OPTIONS", "23500 send OPTIONS", "27500 send OPTIONS",
                  "31500 send OPTIONS", "32000 client failed: timeout"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST(ClientTransactions, a_link_and_tcp_carry_each_request_once) {
  for (Flow flow : {Flow::link(3), Flow{Transport::tcp, *Endpoint::parse("192.0.2.9:5060")}}) {
    Bench bench;
    bench.send(our_request("INVITE"), flow);
    bench.send(our_request("OPTIONS"), flow);
    bench.until(60'000);
    EXPECT_THAT(bench.trace,
                ElementsAre("0 send INVITE", "0 send OPTIONS", "32000 client failed: timeout",
                            "32000 client failed: timeout"));
    EXPECT_EQ(bench.open(), 0u);
  }
}

TEST(ClientTransactions, ended_ones_are_forgotten_together_and_never_too_early) {
  Bench bench;
  std::vector<Message> answers;
  for (int i = 1; i <= 50; ++i) {
    bench.until(i);
    bench.send(our_request("OPTIONS", i), bench.udp);
    answers.push_back(answer(bench.last_sent(), 200));
    bench.receive(answers.back(), bench.udp);
  }
  // Timer K runs 5 s from each answer: from 5001 to 5050 ms.
  EXPECT_EQ(bench.layer.next_deadline(), bench.start + milliseconds(5100));
  bench.until(5099);
  EXPECT_EQ(bench.open(), 50u);
  bench.take_trace();
  for (const Message& repeat : answers) bench.receive(repeat, bench.udp);
  EXPECT_THAT(bench.trace, IsEmpty());
  bench.until(5100);
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_FALSE(bench.layer.next_deadline());
}

TEST(ClientTransactions, retransmissions_are_byte_for_byte_the_request) {
  Bench bench;
  bench.send(our_request("INVITE"), bench.udp);
  bench.until(600);
  const auto* first = std::get_if<SendMessage>(&bench.events.at(0));
  const auto* second = std::get_if<SendMessage>(&bench.events.at(1));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->bytes, second->bytes);
  EXPECT_EQ(first->flow, bench.udp);
  EXPECT_EQ(second->flow, bench.udp);
}

TEST(ClientTransactions, the_via_names_transport_branch_and_rport) {
  Bench bench;
  bench.send(our_request("OPTIONS"), bench.udp);
  auto via = bench.last_sent().top_via();
  ASSERT_TRUE(via);
  EXPECT_EQ(via->transport, "UDP");
  EXPECT_EQ(via->host, "gw.example.net");
  EXPECT_EQ(via->port, 5060);
  EXPECT_TRUE(via->params.has("rport"));
  EXPECT_EQ(via->branch().substr(0, 7), kBranchCookie);
  std::string branch = via->branch();
  bench.send(our_request("OPTIONS"), bench.link);
  via = bench.last_sent().top_via();
  ASSERT_TRUE(via);
  EXPECT_EQ(via->transport, "TLS");
  EXPECT_FALSE(via->params.has("rport"));
  EXPECT_NE(via->branch(), branch);
  Message ack = our_request("ACK");
  bench.layer.add_via(ack, bench.udp, "gw.example.net");
  ASSERT_TRUE(ack.top_via());
  EXPECT_EQ(ack.top_via()->transport, "UDP");
}

TEST(ClientTransactions, a_provisional_response_slows_other_requests_to_t2) {
  Bench bench;
  bench.send(our_request("OPTIONS"), bench.udp);
  bench.until(100);
  bench.receive(answer(bench.last_sent(), 100), bench.udp);
  bench.until(13'000);
  EXPECT_THAT(bench.take_trace(),
              ElementsAre("0 send OPTIONS", "100 response 100 OPTIONS", "500 send OPTIONS",
                          "4500 send OPTIONS", "8500 send OPTIONS", "12500 send OPTIONS"));
  bench.receive(answer(bench.last_sent(), 200), bench.udp);
  bench.receive(answer(bench.last_sent(), 200), bench.udp);
  bench.until(17'999);
  EXPECT_EQ(bench.open(), 1u) << "K is 5 s";
  bench.until(18'000);
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_THAT(bench.trace, ElementsAre("13000 response 200 OPTIONS"));
  EXPECT_EQ(bench.layer.counters().retransmissions_in, 1u);
  EXPECT_EQ(bench.layer.counters().responses_in, 2u);
}

TEST(ClientTransactions, a_ringing_invite_is_repeated_no_more_and_timer_c_ends_it) {
  Bench bench;
  bench.send(our_request("INVITE"), bench.udp);
  Message invite = bench.last_sent();
  bench.until(600);
  bench.receive(answer(invite, 100), bench.udp);
  bench.until(100'000);
  bench.receive(answer(invite, 180), bench.udp);
  bench.until(279'999);
  EXPECT_THAT(bench.take_trace(),
              ElementsAre("0 send INVITE", "500 send INVITE", "600 response 100 INVITE",
                          "100000 response 180 INVITE"));
  bench.until(280'000);
  EXPECT_THAT(bench.take_trace(), ElementsAre("280000 send CANCEL"));
  bench.receive(answer(bench.last_sent(), 200), bench.udp);
  bench.receive(answer(invite, 180), bench.udp);
  bench.until(600'000);
  EXPECT_THAT(bench.trace,
              ElementsAre("280000 response 180 INVITE", "312000 client failed: timeout"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST(ClientTransactions, a_hundred_trying_does_not_restart_timer_c) {
  Bench bench;
  bench.send(our_request("INVITE"), bench.link);
  Message invite = bench.last_sent();
  bench.receive(answer(invite, 180), bench.link);
  bench.until(100'000);
  bench.receive(answer(invite, 100), bench.link);
  bench.take_trace();
  bench.until(180'000);
  EXPECT_THAT(bench.trace, ElementsAre("180000 send CANCEL"));
}

TEST(ClientTransactions, a_refused_invite_is_acknowledged_on_its_own_branch) {
  Bench bench;
  Message request = our_request("INVITE", 5);
  request.add(HeaderId::route, "<sip:p1.example.org;lr>, <sip:p2.example.org;lr>");
  request.add(HeaderId::route, "<sip:p3.example.org;lr>");
  bench.send(std::move(request), bench.udp);
  Message invite = bench.last_sent();
  bench.receive(answer(invite, 486, "busy-bob"), bench.udp);
  EXPECT_THAT(bench.take_trace(),
              ElementsAre("0 send INVITE", "0 send ACK", "0 response 486 INVITE"));
  Message ack = bench.last_sent();
  EXPECT_FALSE(ack.check());
  EXPECT_EQ(ack.request_uri(), invite.request_uri());
  EXPECT_EQ(ack.values(HeaderId::via).size(), 1u);
  EXPECT_EQ(ack.get(HeaderId::via), invite.get(HeaderId::via));
  EXPECT_EQ(ack.values(HeaderId::route), invite.values(HeaderId::route));
  EXPECT_EQ(ack.get(HeaderId::from), invite.get(HeaderId::from));
  EXPECT_EQ(ack.to_tag(), "busy-bob");
  EXPECT_EQ(ack.call_id(), "call-5");
  EXPECT_EQ(ack.get(HeaderId::cseq), "5 ACK");
  bench.until(1000);
  bench.receive(answer(invite, 486, "busy-bob"), bench.udp);
  EXPECT_THAT(bench.take_trace(), ElementsAre("1000 send ACK"));
  EXPECT_EQ(bench.last_sent().serialize(), ack.serialize());
  bench.until(31'999);
  EXPECT_EQ(bench.open(), 1u) << "D is 32 s";
  bench.until(32'000);
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_THAT(bench.trace, IsEmpty());
  EXPECT_EQ(bench.layer.counters().requests_out, 2u);
  EXPECT_EQ(bench.layer.counters().retransmissions_out, 1u);
  EXPECT_EQ(bench.layer.counters().retransmissions_in, 1u);
}

TEST(ClientTransactions, an_accepted_invite_passes_every_2xx_for_64_t1) {
  Bench bench;
  TransactionId id = bench.send(our_request("INVITE"), bench.udp);
  Message invite = bench.last_sent();
  bench.receive(answer(invite, 200, "phone-1"), bench.udp);
  bench.until(500);
  bench.receive(answer(invite, 200, "phone-1"), bench.udp);
  bench.receive(answer(invite, 200, "phone-2"), bench.udp);
  bench.receive(answer(invite, 180, "phone-3"), bench.udp);
  bench.receive(answer(invite, 486, "phone-4"), bench.udp);
  EXPECT_EQ(bench.last<ResponseReceived>()->client, id);
  EXPECT_EQ(bench.last<ResponseReceived>()->response.to_tag(), "phone-2");
  bench.until(32'001);
  bench.receive(answer(invite, 200, "phone-1"), bench.udp);
  EXPECT_THAT(bench.trace,
              ElementsAre("0 send INVITE", "0 response 200 INVITE", "500 response 200 INVITE",
                          "500 response 200 INVITE", "32001 stray 200 INVITE"));
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_EQ(bench.layer.counters().stray_responses, 1u);
}

TEST(ClientTransactions, responses_match_by_branch_and_method) {
  Bench bench;
  bench.send(our_request("INVITE"), bench.udp);
  Message invite = bench.last_sent();
  Message other_branch = answer(invite, 200);
  other_branch.set(HeaderId::via, "SIP/2.0/UDP gw.example.net:5060;branch=z9hG4bKelse");
  bench.receive(other_branch, bench.udp);
  Message other_method = answer(invite, 200);
  other_method.set(HeaderId::cseq, "1 BYE");
  bench.receive(other_method, bench.udp);
  bench.receive(answer(invite, 200), Flow::udp(*Endpoint::parse("192.0.2.77:5062")));
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "0 stray 200 INVITE", "0 stray 200 BYE",
                                       "0 response 200 INVITE"))
      << "UDP answers may come from another address";
}

TEST(ClientTransactions, a_link_session_cannot_answer_for_another) {
  Bench bench;
  bench.send(our_request("INVITE"), Flow::link(1));
  Message invite = bench.last_sent();
  bench.receive(answer(invite, 200), Flow::link(2));
  bench.receive(answer(invite, 200), bench.udp);
  bench.receive(answer(invite, 200), Flow::link(1));
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "0 stray 200 INVITE", "0 stray 200 INVITE",
                                       "0 response 200 INVITE"));
}

TEST(ClientTransactions, a_failed_flow_fails_its_requests_in_their_order_and_no_others) {
  Bench bench;
  std::vector<TransactionId> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(bench.send(our_request("OPTIONS", i), Flow::link(1)));
  TransactionId other = bench.send(our_request("OPTIONS"), Flow::link(2));
  // Ends one in the middle, which moves the last into its place in the flow's list, and then that
  // one.
  for (std::size_t index : {2u, 5u}) {
    auto* sent = std::get_if<SendMessage>(&bench.events.at(index));
    ASSERT_TRUE(sent);
    bench.receive(answer(*Message::parse(sent->bytes), 200), Flow::link(1));
  }
  bench.events.clear();
  bench.fail(Flow::link(1));
  std::vector<TransactionId> failed;
  for (const auto& event : bench.events) {
    auto* failure = std::get_if<ClientFailed>(&event);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->why, ClientFailure::transport);
    failed.push_back(failure->client);
  }
  EXPECT_THAT(failed, ElementsAre(ids[0], ids[1], ids[3], ids[4]));
  EXPECT_EQ(bench.layer.open_client_transactions(), 1u);
  EXPECT_NE(other, 0u);
  bench.fail(Flow::link(1));
  EXPECT_EQ(bench.events.size(), 4u) << "nothing was left there";
}

TEST(ClientTransactions, a_late_wakeup_sends_once_and_never_bursts) {
  Bench bench;
  bench.send(our_request("OPTIONS"), bench.udp);
  bench.take_trace();
  bench.now += seconds(20);
  TransactionEvents out;
  bench.layer.on_timeout(bench.now, out);
  EXPECT_EQ(out.size(), 1u);
  bench.now += seconds(20);
  out.clear();
  bench.layer.on_timeout(bench.now, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(describe(out[0]), "client failed: timeout");
}

TEST(ClientTransactions, a_timer_of_zero_does_not_hang) {
  TransactionTimers timers;
  timers.t1 = timers.t2 = Duration::zero();
  Bench bench(timers);
  bench.send(our_request("OPTIONS"), bench.udp);
  bench.until(1000);
  EXPECT_EQ(bench.open(), 0u);
}

// --- CANCEL (RFC 3261 §9.1)
// -----------------------------------------------------------------------------------

TEST(Cancel, waits_for_a_provisional_response) {
  Bench bench;
  Message request = our_request("INVITE", 9);
  request.add(HeaderId::route, "<sip:p1.example.org;lr>");
  TransactionId id = bench.send(std::move(request), bench.udp);
  Message invite = bench.last_sent();
  bench.until(100);
  bench.cancel(id, {{"Reason", "SIP;cause=200"}});
  bench.until(700);
  EXPECT_THAT(bench.take_trace(), ElementsAre("0 send INVITE", "500 send INVITE"));
  bench.receive(answer(invite, 180), bench.udp);
  EXPECT_THAT(bench.take_trace(), ElementsAre("700 response 180 INVITE", "700 send CANCEL"));
  Message cancel = bench.last_sent();
  EXPECT_FALSE(cancel.check());
  EXPECT_EQ(cancel.request_uri(), invite.request_uri());
  EXPECT_EQ(cancel.values(HeaderId::via).size(), 1u);
  EXPECT_EQ(cancel.get(HeaderId::via), invite.get(HeaderId::via));
  EXPECT_EQ(cancel.get(HeaderId::route), invite.get(HeaderId::route));
  EXPECT_EQ(cancel.get(HeaderId::from), invite.get(HeaderId::from));
  EXPECT_EQ(cancel.get(HeaderId::to), invite.get(HeaderId::to));
  EXPECT_EQ(cancel.call_id(), "call-9");
  EXPECT_EQ(cancel.get(HeaderId::cseq), "9 CANCEL");
  EXPECT_EQ(cancel.get(HeaderId::reason), "SIP;cause=200");
  bench.until(1300);
  EXPECT_THAT(bench.take_trace(), ElementsAre("1200 send CANCEL")) << "it is repeated over UDP";
  bench.receive(answer(cancel, 200), bench.udp);
  bench.receive(answer(invite, 487), bench.udp);
  bench.until(100'000);
  EXPECT_THAT(bench.trace, ElementsAre("1300 send ACK", "1300 response 487 INVITE"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST(Cancel, goes_at_once_when_it_rings_and_only_once) {
  Bench bench;
  TransactionId id = bench.send(our_request("INVITE"), bench.link);
  bench.receive(answer(bench.last_sent(), 183), bench.link);
  bench.cancel(id);
  bench.cancel(id);
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "0 response 183 INVITE", "0 send CANCEL"));
}

TEST(Cancel, a_success_that_crosses_it_is_passed_up) {
  Bench bench;
  TransactionId id = bench.send(our_request("INVITE"), bench.udp);
  Message invite = bench.last_sent();
  bench.receive(answer(invite, 180), bench.udp);
  bench.cancel(id);
  Message cancel = bench.last_sent();
  bench.receive(answer(invite, 200), bench.udp);
  bench.receive(answer(cancel, 481), bench.udp);
  bench.until(100'000);
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "0 response 180 INVITE", "0 send CANCEL",
                                       "0 response 200 INVITE"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST(Cancel, after_a_final_response_nothing_is_sent) {
  for (int status : {200, 486}) {
    Bench bench;
    TransactionId id = bench.send(our_request("INVITE"), bench.udp);
    bench.receive(answer(bench.last_sent(), status), bench.udp);
    bench.take_trace();
    bench.cancel(id);
    bench.until(100'000);
    bench.cancel(id);
    EXPECT_THAT(bench.trace, IsEmpty());
  }
}

TEST(Cancel, a_wish_before_a_final_response_is_forgotten_with_it) {
  Bench bench;
  TransactionId id = bench.send(our_request("INVITE"), bench.udp);
  Message invite = bench.last_sent();
  bench.cancel(id);
  bench.receive(answer(invite, 200), bench.udp);
  bench.receive(answer(invite, 180), bench.udp);
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "0 response 200 INVITE"));
}

TEST(Cancel, is_not_for_other_requests) {
  Bench bench;
  TransactionId id = bench.send(our_request("OPTIONS"), bench.udp);
  bench.receive(answer(bench.last_sent(), 100), bench.udp);
  bench.cancel(id);
  bench.cancel(id + 1000);
  EXPECT_THAT(bench.trace, ElementsAre("0 send OPTIONS", "0 response 100 OPTIONS"));
}

TEST(Cancel, an_invite_that_ignores_it_ends_after_64_t1_and_the_cancel_quietly) {
  Bench bench;
  TransactionId id = bench.send(our_request("INVITE"), bench.link);
  bench.receive(answer(bench.last_sent(), 180), bench.link);
  bench.until(10'000);
  bench.cancel(id);
  bench.take_trace();
  bench.until(100'000);
  EXPECT_THAT(bench.trace, ElementsAre("42000 client failed: timeout"));
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_EQ(bench.layer.counters().timeouts, 1u);
}

TEST(Limits, beyond_the_last_transaction_requests_are_refused_and_answered_503) {
  Bench bench;
  TransactionEvents out;
  for (std::size_t i = 0; i < limits::kSipTransactions; ++i) {
    ASSERT_NE(bench.layer.send_request(our_request("OPTIONS"), Flow::link(i % 1000), "gw.invalid",
                                       bench.now, out),
              0u);
    out.clear();
  }
  EXPECT_EQ(bench.send(our_request("OPTIONS"), bench.udp), 0u);
  EXPECT_THAT(bench.trace, IsEmpty());
  bench.receive(their_request("INVITE"), bench.udp);
  bench.receive(their_request("INVITE"), bench.udp);
  EXPECT_THAT(bench.take_trace(), ElementsAre("0 send 503 INVITE", "0 send 503 INVITE"));
  const auto* first = std::get_if<SendMessage>(&bench.events.at(0));
  const auto* second = std::get_if<SendMessage>(&bench.events.at(1));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->bytes, second->bytes) << "a stateless answer has the same tag each time";
  EXPECT_FALSE(Message::parse(first->bytes)->to_tag().empty());
  EXPECT_EQ(bench.layer.counters().refused_over_limit, 3u);
  bench.layer.on_timeout(bench.now + seconds(32), out);
  EXPECT_EQ(out.size(), limits::kSipTransactions);
  EXPECT_EQ(bench.open(), 0u);
}

}  // namespace
}  // namespace isthmus::sip
