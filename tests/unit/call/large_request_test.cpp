// Which of our listeners stands for us on a flow, and requests that are too large for UDP.
#include "bridge_bench.hpp"
#include "call/sent_by.hpp"

namespace isthmus::call {
namespace {

using sip::Flow;
using sip::HeaderId;
using sip::Transport;

Endpoint endpoint(const char* text) {
  return *Endpoint::parse(text);
}

TEST(SentByOfFlow, is_the_listener_that_it_came_in_by_else_the_nearest_in_kind) {
  const std::vector<SentBy> listeners = {
      {Transport::udp, endpoint("192.0.2.1:5060")},
      {Transport::tcp, endpoint("192.0.2.1:5060")},
      {Transport::tls, endpoint("192.0.2.1:5061")},
      {Transport::udp, endpoint("[2001:db8::1]:5060")},
      {Transport::udp, endpoint("192.0.2.2:5070")},
  };
  const auto of = [&](Transport transport, const char* remote, std::uint32_t local) {
    Flow flow = Flow::to(transport, endpoint(remote));
    flow.local = local;
    return sent_by_of(listeners, flow).host_port;
  };
  EXPECT_EQ(of(Transport::udp, "198.51.100.1:5060", 0), "192.0.2.1:5060");
  EXPECT_EQ(of(Transport::udp, "198.51.100.1:5060", 4), "192.0.2.2:5070");
  EXPECT_EQ(of(Transport::udp, "[2001:db8::9]:5060", 0), "[2001:db8::1]:5060");
  EXPECT_EQ(of(Transport::tls, "198.51.100.1:5061", 0), "192.0.2.1:5061");
  EXPECT_EQ(of(Transport::tcp, "198.51.100.1:5060", 4), "192.0.2.1:5060") << "not of its transport";
  EXPECT_EQ(of(Transport::tls, "[2001:db8::9]:5061", 0), "192.0.2.1:5061") << "none of its family";
  EXPECT_EQ(of(Transport::udp, "198.51.100.1:5060", 99), "192.0.2.1:5060");
}

struct LargeRequestTest : BridgeBench {
  const Flow tcp = Flow::to(Transport::tcp, carol.remote);
  sip::Message large() {
    sip::Message out = request("INVITE", "sip:carol@example.org", sdp());
    out.add("X-Filler", std::string(1300, 'x'));
    return out;
  }
};

TEST_F(LargeRequestTest, goes_by_tcp_and_its_answer_is_heard) {
  give(large(), alice);
  ASSERT_EQ(count(tcp, "INVITE"), 1u);
  EXPECT_EQ(count(carol, "INVITE"), 0u);
  const sip::Message sent_invite = last(tcp, "INVITE");
  EXPECT_EQ(sent_invite.top_via()->transport, "TCP");
  give(response(sent_invite, 200, "c1", sdp()), tcp);
  EXPECT_EQ(count(alice, "INVITE", 200), 1u);
}

TEST_F(LargeRequestTest, goes_by_udp_after_all_when_tcp_is_refused_and_the_next_one_at_once) {
  give(large(), alice);
  flow_failed(tcp);
  ASSERT_EQ(count(carol, "INVITE"), 1u);
  const sip::Message sent_invite = last(carol, "INVITE");
  EXPECT_EQ(sent_invite.top_via()->transport, "UDP");
  give(response(sent_invite, 180, "c1"), carol);
  EXPECT_EQ(count(alice, "INVITE", 180), 1u);
  give(large(), alice);
  EXPECT_EQ(count(tcp, "INVITE"), 1u);
  EXPECT_EQ(count(carol, "INVITE"), 2u);
  now += std::chrono::minutes(11);
  give(large(), alice);
  EXPECT_EQ(count(tcp, "INVITE"), 2u) << "a refusal is not remembered for ever";
}

/// An INVITE without an offer: the answer, and so the size, is in the ACK.
struct LargeAckTest : LargeRequestTest {
  sip::Message ok = sip::Message::request("NONE", "sip:none.invalid");
  void call_late() {
    give(request("INVITE", "sip:carol@example.org"), alice);
    ok = response(last(carol, "INVITE"), 200, "c1", sdp());
    give(ok, carol);
    sip::Message ack = by_caller(last(alice, "INVITE", 200), "ACK", 1, sdp());
    ack.add("X-Filler", std::string(1300, 'x'));
    give(ack, alice);
  }
};

TEST_F(LargeAckTest, goes_by_tcp_as_often_as_the_2xx_comes) {
  call_late();
  EXPECT_EQ(count(carol, "ACK"), 0u);
  ASSERT_EQ(count(tcp, "ACK"), 1u);
  EXPECT_EQ(last(tcp, "ACK").top_via()->transport, "TCP");
  give(ok, carol);
  ASSERT_EQ(count(tcp, "ACK"), 2u);
  EXPECT_EQ(sent.back().message.serialize(), last(tcp, "ACK").serialize());
  EXPECT_EQ(last(tcp, "ACK").body(), last(tcp, "ACK").body());
}

TEST_F(LargeAckTest, goes_by_udp_after_all_when_tcp_was_refused) {
  call_late();
  ASSERT_EQ(count(tcp, "ACK"), 1u);
  const std::string body(last(tcp, "ACK").body());
  flow_failed(tcp);
  give(ok, carol);
  give(ok, carol);
  EXPECT_EQ(count(tcp, "ACK"), 1u);
  ASSERT_EQ(count(carol, "ACK"), 2u);
  const sip::Message ack = last(carol, "ACK");
  EXPECT_EQ(ack.top_via()->transport, "UDP");
  EXPECT_EQ(ack.fields(HeaderId::via).size(), 1u);
  EXPECT_EQ(ack.body(), body);
}

TEST_F(LargeRequestTest, that_fails_is_acknowledged_by_the_transport_that_it_took) {
  give(large(), alice);
  give(response(last(tcp, "INVITE"), 486, "c1"), tcp);
  EXPECT_EQ(count(alice, "INVITE", 486), 1u);
  ASSERT_EQ(count(tcp, "ACK"), 1u) << "RFC 3261 §17.1.1.3: small as it is";
  EXPECT_EQ(last(tcp, "ACK").top_via()->branch(), last(tcp, "INVITE").top_via()->branch());
  EXPECT_EQ(count(carol, "ACK"), 0u);
}

TEST_F(LargeRequestTest, is_cancelled_by_the_transport_that_it_took) {
  const sip::Message invited = large();
  give(invited, alice);
  give(response(last(tcp, "INVITE"), 180, "c1"), tcp);
  give(cancel_of(invited), alice);
  EXPECT_EQ(count(tcp, "CANCEL"), 1u);
  EXPECT_EQ(count(carol, "CANCEL"), 0u);
}

TEST_F(LargeRequestTest, stays_on_udp_where_the_policy_says_so) {
  router.policies[carol].datagram_bytes = 0;
  give(large(), alice);
  EXPECT_EQ(count(tcp, "INVITE"), 0u);
  EXPECT_EQ(count(carol, "INVITE"), 1u);
  router.policies[carol].datagram_bytes = 4000;
  give(large(), alice);
  EXPECT_EQ(count(carol, "INVITE"), 2u);
}

TEST_F(LargeRequestTest, of_ordinary_size_stays_on_udp) {
  give(request("INVITE", "sip:carol@example.org", sdp()), alice);
  EXPECT_EQ(count(carol, "INVITE"), 1u);
}

}  // namespace
}  // namespace isthmus::call
