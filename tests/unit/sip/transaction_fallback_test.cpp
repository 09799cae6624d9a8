// A request whose flow fails before anything came back goes another way; and what a connection's
// end means to the transactions that use it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transaction_bench.hpp"

namespace isthmus::sip {
namespace {

using testing::ElementsAre;
using namespace testing_bench;

class FallbackBench : public Bench {
 public:
  const Flow tcp = Flow::to(Transport::tcp, udp.remote);

  TransactionId send_with_fallback(Message request) {
    TransactionEvents out;
    TransactionId id = layer.send_request(std::move(request), tcp, "gw.example.net:5060", now, out,
                                          FallbackFlow{udp, "gw.example.net:5062"});
    record(std::move(out));
    return id;
  }
  void closed(const Flow& flow) {
    TransactionEvents out;
    layer.on_flow_closed(flow, now, out);
    record(std::move(out));
  }
};

TEST(TransactionFallback, a_refused_flow_begins_the_transaction_anew_on_the_other) {
  for (const char* method : {"INVITE", "MESSAGE"}) {
    FallbackBench bench;
    const TransactionId id = bench.send_with_fallback(our_request(method));
    const std::string first = bench.last_sent().top_via()->branch();
    EXPECT_EQ(bench.last_sent().top_via()->transport, "TCP");
    bench.until(200);
    bench.fail(bench.tcp);
    const Message again = bench.last_sent();
    EXPECT_EQ(again.top_via()->transport, "UDP");
    EXPECT_EQ(again.top_via()->port, 5062);
    EXPECT_EQ(again.values(HeaderId::via).size(), 1u);
    EXPECT_NE(again.top_via()->branch(), first);
    EXPECT_EQ(std::get<SendMessage>(bench.events.back()).flow, bench.udp);
    bench.until(800);  // timers of UDP from the moment of the second attempt
    EXPECT_THAT(bench.trace,
                ElementsAre(std::string("0 send ") + method, std::string("200 send ") + method,
                            std::string("700 send ") + method));
    bench.receive(Message::response_to(again, 200, {}, "bob"), bench.udp);
    EXPECT_EQ(std::get<ResponseReceived>(bench.events.back()).client, id);
    bench.until(60'000);
    EXPECT_EQ(bench.open(), 0u);
  }
}

TEST(TransactionFallback, is_used_once) {
  FallbackBench bench;
  bench.send_with_fallback(our_request("INVITE"));
  bench.fail(bench.tcp);
  bench.fail(bench.udp);
  EXPECT_THAT(bench.trace,
              ElementsAre("0 send INVITE", "0 send INVITE", "0 client failed: transport"));
  EXPECT_EQ(bench.open(), 0u);
}

TEST(TransactionFallback, is_over_once_anything_came_back) {
  FallbackBench bench;
  bench.send_with_fallback(our_request("INVITE"));
  bench.receive(Message::response_to(bench.last_sent(), 100), bench.tcp);
  bench.fail(bench.tcp);
  EXPECT_THAT(bench.trace,
              ElementsAre("0 send INVITE", "0 response 100 INVITE", "0 client failed: transport"));
}

TEST(TransactionFallback, a_cancelled_invite_takes_no_second_way) {
  FallbackBench bench;
  const TransactionId id = bench.send_with_fallback(our_request("INVITE"));
  bench.cancel(id);
  bench.fail(bench.tcp);
  EXPECT_THAT(bench.trace, ElementsAre("0 send INVITE", "0 client failed: transport"));
}

TEST(TransactionFallback, a_closed_connection_fails_what_waits_for_answers_only) {
  FallbackBench bench;
  bench.send(our_request("OPTIONS"), bench.tcp);
  Message invite = our_request("INVITE");
  invite.add(HeaderId::via, "SIP/2.0/TCP peer.example;branch=z9hG4bKpeer");
  bench.receive(invite, bench.tcp);
  const TransactionId server = std::get<RequestReceived>(bench.events.back()).server;
  bench.closed(bench.tcp);
  EXPECT_EQ(bench.trace.back(), "0 client failed: transport");
  bench.respond(server, Message::response_to(invite, 486, {}, "bob"));
  EXPECT_EQ(bench.trace.back(), "0 send 486 INVITE") << "it may find another way";
}

}  // namespace
}  // namespace isthmus::sip
