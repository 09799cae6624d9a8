#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transaction_bench.hpp"

namespace isthmus::sip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace testing_bench;

class ServerTransactions : public testing::Test {
 protected:
  TransactionId open(std::string_view method, const Flow& flow) {
    bench.receive(their_request(method), flow);
    const auto* event = bench.last<RequestReceived>();
    bench.take_trace();
    return event ? event->server : 0;
  }
  Message reply(int status) {
    return Message::response_to(bench.last<RequestReceived>()->request, status, {}, "bob");
  }
  Message ack_of_failure(std::string_view branch = "z9hG4bKone") {
    Message ack = their_request("ACK", branch);
    ack.set(HeaderId::to, "<sip:bob@example.org>;tag=bob");
    return ack;
  }

  Bench bench;
};

TEST_F(ServerTransactions, a_silent_user_gets_its_caller_a_100_after_200_ms) {
  for (const Flow& flow : {bench.udp, bench.link}) {
    Bench fresh;
    fresh.receive(their_request("INVITE"), flow);
    fresh.receive(their_request("INVITE"), flow);
    fresh.until(1000);
    fresh.receive(their_request("INVITE"), flow);
    EXPECT_THAT(fresh.trace,
                ElementsAre("0 request INVITE", "200 send 100 INVITE", "1000 send 100 INVITE"));
    EXPECT_FALSE(fresh.last_sent().check());
    EXPECT_EQ(fresh.last_sent().to_tag(), "");
    EXPECT_EQ(fresh.last<SendMessage>()->flow, flow);
    EXPECT_EQ(fresh.layer.counters().responses_out, 1u);
    EXPECT_EQ(fresh.layer.counters().retransmissions_out, 1u);
    EXPECT_EQ(fresh.layer.counters().requests_in, 1u);
    EXPECT_EQ(fresh.layer.counters().retransmissions_in, 2u);
  }
}

TEST_F(ServerTransactions, an_answering_user_needs_no_100) {
  TransactionId id = open("INVITE", bench.udp);
  bench.until(199);
  bench.respond(id, reply(180));
  bench.until(20'000);
  bench.receive(their_request("INVITE"), bench.udp);
  EXPECT_THAT(bench.trace, ElementsAre("199 send 180 INVITE", "20000 send 180 INVITE"));
}

TEST_F(ServerTransactions, no_100_for_other_requests) {
  open("OPTIONS", bench.udp);
  bench.receive(their_request("OPTIONS"), bench.udp);
  bench.until(31'000);
  EXPECT_THAT(bench.trace, IsEmpty());
}

TEST_F(ServerTransactions, a_refusal_is_repeated_until_the_ack) {
  TransactionId id = open("INVITE", bench.udp);
  bench.respond(id, reply(486));
  bench.until(12'000);
  bench.receive(their_request("INVITE"), bench.udp);
  bench.receive(ack_of_failure(), bench.udp);
  bench.receive(ack_of_failure(), bench.udp);
  bench.receive(their_request("INVITE"), bench.udp);
  EXPECT_THAT(bench.take_trace(),
              ElementsAre("0 send 486 INVITE", "500 send 486 INVITE", "1500 send 486 INVITE",
                          "3500 send 486 INVITE", "7500 send 486 INVITE", "11500 send 486 INVITE",
                          "12000 send 486 INVITE"));
  bench.until(16'999);
  EXPECT_EQ(bench.open(), 1u) << "I is 5 s";
  bench.until(17'000);
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_THAT(bench.trace, IsEmpty());
}

TEST_F(ServerTransactions, a_refusal_without_an_ack_is_reported_after_64_t1) {
  TransactionId id = open("INVITE", bench.udp);
  bench.respond(id, reply(486));
  bench.until(31'900);
  bench.take_trace();
  bench.until(100'000);
  EXPECT_THAT(bench.trace, ElementsAre("32000 server failed: timeout"));
  EXPECT_EQ(bench.last<ServerFailed>()->server, id);
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_EQ(bench.layer.counters().timeouts, 1u);
}

TEST_F(ServerTransactions, over_a_link_a_refusal_goes_once_and_its_ack_ends_it) {
  TransactionId id = open("INVITE", bench.link);
  bench.respond(id, reply(486));
  bench.until(5000);
  EXPECT_THAT(bench.take_trace(), ElementsAre("0 send 486 INVITE"));
  bench.receive(ack_of_failure(), bench.link);
  EXPECT_THAT(bench.trace, IsEmpty());
  EXPECT_EQ(bench.open(), 0u);
}

TEST_F(ServerTransactions, an_accepted_invite_absorbs_repeats_and_leaves_2xx_and_acks_to_the_user) {
  TransactionId id = open("INVITE", bench.udp);
  bench.respond(id, reply(200));
  bench.receive(their_request("INVITE"), bench.udp);
  bench.until(500);
  bench.respond(id, reply(200));
  bench.receive(ack_of_failure("z9hG4bKother"), bench.udp);  // as RFC 3261 clients do
  bench.receive(ack_of_failure(), bench.udp);                // on the branch of the INVITE
  bench.respond(id, reply(486));
  bench.respond(id, reply(180));
  bench.until(31'999);
  bench.receive(their_request("INVITE"), bench.udp);
  EXPECT_THAT(bench.take_trace(),
              ElementsAre("0 send 200 INVITE", "500 send 200 INVITE", "500 ack", "500 ack"));
  EXPECT_EQ(bench.layer.counters().dropped_responses, 2u);
  bench.until(32'000);
  EXPECT_EQ(bench.open(), 0u);
  bench.respond(id, reply(200));
  EXPECT_THAT(bench.trace, IsEmpty());
  EXPECT_EQ(bench.layer.counters().dropped_responses, 3u);
}

TEST_F(ServerTransactions, an_ack_that_fits_nothing_is_for_the_user) {
  bench.receive(ack_of_failure(), bench.udp);
  EXPECT_THAT(bench.trace, ElementsAre("0 ack"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST_F(ServerTransactions, an_ack_before_any_final_response_is_ignored) {
  TransactionId id = open("INVITE", bench.udp);
  bench.receive(ack_of_failure(), bench.udp);
  bench.respond(id, reply(486));
  EXPECT_THAT(bench.trace, ElementsAre("0 send 486 INVITE"));
}

TEST_F(ServerTransactions, another_request_is_answered_again_for_64_t1) {
  TransactionId id = open("OPTIONS", bench.udp);
  bench.receive(their_request("OPTIONS"), bench.udp);
  bench.respond(id, reply(100));
  bench.receive(their_request("OPTIONS"), bench.udp);
  bench.until(1000);
  bench.respond(id, reply(200));
  bench.respond(id, reply(404));
  bench.receive(their_request("OPTIONS"), bench.udp);
  bench.until(32'999);
  bench.receive(their_request("OPTIONS"), bench.udp);
  EXPECT_THAT(bench.take_trace(),
              ElementsAre("0 send 100 OPTIONS", "0 send 100 OPTIONS", "1000 send 200 OPTIONS",
                          "1000 send 200 OPTIONS", "32999 send 200 OPTIONS"));
  bench.until(33'000);
  EXPECT_EQ(bench.open(), 0u);
  EXPECT_EQ(bench.layer.counters().dropped_responses, 1u);
}

TEST_F(ServerTransactions, a_request_that_the_user_never_answers_leaves_nothing_behind) {
  open("MESSAGE", bench.udp);
  bench.until(32'000);
  EXPECT_THAT(bench.trace, IsEmpty());
  EXPECT_EQ(bench.open(), 0u);
}

TEST_F(ServerTransactions, a_request_matches_by_branch_sent_by_and_method) {
  open("INVITE", bench.udp);
  bench.receive(their_request("INVITE", "Z9HG4BKONE"), bench.udp);
  EXPECT_THAT(bench.take_trace(), IsEmpty()) << "branches compare without regard to case";
  bench.receive(their_request("INVITE", "z9hG4bKone", "192.0.2.9:5061"), bench.udp);
  bench.receive(their_request("INVITE", "z9hG4bKone", "192.0.2.10"), bench.udp);
  bench.receive(their_request("INVITE", "z9hG4bKtwo"), bench.udp);
  bench.receive(their_request("OPTIONS"), bench.udp);
  EXPECT_THAT(bench.take_trace(), ElementsAre("0 request INVITE", "0 request INVITE",
                                              "0 request INVITE", "0 request OPTIONS"));
  bench.receive(their_request("INVITE", "z9hG4bKone", "192.0.2.9"), bench.udp);
  EXPECT_THAT(bench.trace, IsEmpty()) << "no port is 5060";
}

TEST_F(ServerTransactions, two_link_sessions_may_use_the_same_branch) {
  bench.receive(their_request("INVITE"), Flow::link(1));
  bench.receive(their_request("INVITE"), Flow::link(2));
  bench.receive(their_request("CANCEL"), Flow::link(3));
  EXPECT_THAT(bench.trace,
              ElementsAre("0 request INVITE", "0 request INVITE", "0 send 481 CANCEL"));
}

TEST_F(ServerTransactions, clients_of_rfc_2543_match_by_their_headers) {
  for (std::string_view branch : {"", "1", "z9hG4bK"}) {
    Bench old;
    old.receive(their_request("INVITE", branch), old.udp);
    old.receive(their_request("INVITE", branch), old.udp);
    Message other = their_request("INVITE", branch);
    other.set(HeaderId::call_id, "another call");
    old.receive(other, old.udp);
    EXPECT_THAT(old.take_trace(), ElementsAre("0 request INVITE", "0 request INVITE")) << branch;
    const auto* request = old.last<RequestReceived>();
    old.respond(request->server, Message::response_to(request->request, 486, {}, "bob"));
    Message ack = their_request("ACK", branch);
    ack.set(HeaderId::call_id, "another call");
    ack.set(HeaderId::to, "<sip:bob@example.org>;tag=wrong");
    old.receive(ack, old.udp);
    ack.set(HeaderId::to, "<sip:bob@example.org>;tag=bob");
    old.receive(ack, old.udp);
    old.receive(their_request("CANCEL", branch), old.udp);
    EXPECT_THAT(old.trace,
                ElementsAre("0 send 486 INVITE", "0 ack", "0 send 200 CANCEL", "0 cancel"))
        << branch;
    old.until(4999);
    EXPECT_EQ(old.layer.open_server_transactions(), 2u);
    old.until(5000);
    EXPECT_EQ(old.layer.open_server_transactions(), 1u) << "the right ACK confirmed it";
  }
}

TEST_F(ServerTransactions, a_message_that_nobody_checked_does_no_harm) {
  for (const char* text : {"INVITE sip:a SIP/2.0\r\n\r\n", "ACK sip:a SIP/2.0\r\nVia: junk\r\n\r\n",
                           "CANCEL sip:a SIP/2.0\r\nCSeq: x\r\n\r\n"}) {
    bench.receive(text, bench.udp);
  }
  EXPECT_THAT(bench.trace, IsEmpty());
  bench.receive("SIP/2.0 200 OK\r\n\r\n", bench.udp);
  EXPECT_EQ(bench.trace.size(), 1u);
  EXPECT_EQ(bench.layer.counters().stray_responses, 1u);
  EXPECT_EQ(bench.open(), 0u);
}

TEST_F(ServerTransactions, a_cancel_is_answered_and_reported_while_the_invite_is_open) {
  TransactionId id = open("INVITE", bench.udp);
  bench.respond(id, reply(180));
  bench.receive(their_request("CANCEL"), bench.udp);
  EXPECT_EQ(bench.last<CancelReceived>()->server, id);
  EXPECT_EQ(bench.last_sent().to_tag(), "bob") << "the tag of the 180 (RFC 3261 §9.2)";
  EXPECT_EQ(bench.last_sent().get(HeaderId::cseq), "1 CANCEL");
  bench.receive(their_request("CANCEL"), bench.udp);
  bench.respond(id, reply(487));
  bench.receive(their_request("CANCEL"), bench.udp);
  EXPECT_THAT(bench.trace,
              ElementsAre("0 send 180 INVITE", "0 send 200 CANCEL", "0 cancel", "0 send 200 CANCEL",
                          "0 send 487 INVITE", "0 send 200 CANCEL"));
  EXPECT_EQ(bench.layer.counters().requests_in, 2u);
  EXPECT_EQ(bench.layer.counters().retransmissions_in, 2u);
}

TEST_F(ServerTransactions, a_cancel_before_any_response_has_a_tag_too) {
  open("INVITE", bench.link);
  bench.receive(their_request("CANCEL"), bench.link);
  EXPECT_THAT(bench.trace, ElementsAre("0 send 200 CANCEL", "0 cancel"));
  EXPECT_FALSE(bench.last_sent().to_tag().empty());
}

TEST_F(ServerTransactions, a_cancel_after_the_final_response_is_answered_and_changes_nothing) {
  for (int status : {200, 486}) {
    Bench fresh;
    fresh.receive(their_request("INVITE"), fresh.udp);
    const auto* request = fresh.last<RequestReceived>();
    fresh.respond(request->server, Message::response_to(request->request, status, {}, "bob"));
    fresh.take_trace();
    fresh.receive(their_request("CANCEL"), fresh.udp);
    EXPECT_THAT(fresh.trace, ElementsAre("0 send 200 CANCEL"));
  }
}

TEST_F(ServerTransactions, a_cancel_of_nothing_gets_481_and_leaves_nothing_behind) {
  bench.receive(their_request("CANCEL"), bench.udp);
  std::string first = bench.last<SendMessage>()->bytes;
  bench.receive(their_request("CANCEL"), bench.udp);
  EXPECT_EQ(bench.last<SendMessage>()->bytes, first);
  EXPECT_THAT(bench.trace, ElementsAre("0 send 481 CANCEL", "0 send 481 CANCEL"));
  EXPECT_FALSE(bench.last_sent().check());
  EXPECT_EQ(bench.open(), 0u);
}

TEST_F(ServerTransactions, responses_go_where_the_request_came_from) {
  TransactionId id = open("OPTIONS", bench.udp);
  bench.receive(their_request("OPTIONS"), Flow::udp(*Endpoint::parse("203.0.113.66:9")));
  bench.respond(id, reply(200));
  EXPECT_EQ(bench.last<SendMessage>()->flow, bench.udp);
}

TEST_F(ServerTransactions, a_failed_link_ends_its_transactions_at_once) {
  TransactionId id = open("INVITE", bench.link);
  bench.fail(bench.link);
  EXPECT_THAT(bench.trace, ElementsAre("0 server failed: transport"));
  EXPECT_EQ(bench.last<ServerFailed>()->server, id);
  EXPECT_EQ(bench.open(), 0u);
  bench.respond(id, reply(200));
  EXPECT_EQ(bench.trace.size(), 1u);
}

TEST_F(ServerTransactions, an_icmp_error_over_udp_is_reported_and_an_answer_still_tried) {
  TransactionId id = open("INVITE", bench.udp);
  bench.respond(id, reply(180));
  bench.fail(bench.udp);
  bench.fail(bench.udp);
  bench.respond(id, reply(480));
  bench.receive(ack_of_failure(), bench.udp);
  bench.until(100'000);
  EXPECT_THAT(bench.trace,
              ElementsAre("0 send 180 INVITE", "0 server failed: transport", "0 send 480 INVITE"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST_F(ServerTransactions, ids_are_never_used_twice) {
  TransactionId a = open("OPTIONS", bench.link);
  bench.respond(a, reply(200));
  TransactionId b = open("OPTIONS", bench.link);
  bench.respond(b, reply(200));
  TransactionId c = bench.send(our_request("OPTIONS"), bench.link);
  EXPECT_TRUE(a < b && b < c) << a << ' ' << b << ' ' << c;
}

}  // namespace
}  // namespace isthmus::sip
