#include "sip/values.hpp"

#include <gtest/gtest.h>

namespace isthmus::sip {
namespace {

TEST(via, plain_and_spaced_forms) {
  const auto via =
      Via::parse("SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;rport;received=198.51.100.1");
  ASSERT_TRUE(via);
  EXPECT_EQ(via->transport, "UDP");
  EXPECT_EQ(via->host, "192.0.2.1");
  EXPECT_EQ(via->port, 5070);
  EXPECT_EQ(via->branch(), "z9hG4bKx");
  EXPECT_EQ(via->to_string(),
            "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;rport;received=198.51.100.1");
  const auto spaced =
      Via::parse(" SIP / 2.0 / tls  first.example.com : 4000 ; ttl = 16 ; branch = z9 ");
  ASSERT_TRUE(spaced);
  EXPECT_EQ(spaced->to_string(), "SIP/2.0/tls first.example.com:4000;ttl=16;branch=z9");
  EXPECT_EQ(Via::parse("SIP/2.0/UDP h")->branch(), "");
}

TEST(via,
     ipv6_in_sent_by_and_received) {  // RFC 5118 §4.5: received comes with and without brackets
  for (const char* text : {"SIP/2.0/UDP [2001:db8::9:1]:6050;received=[2001:db8::9:255];branch=z9",
                           "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9"}) {
    const auto via = Via::parse(text);
    ASSERT_TRUE(via) << text;
    EXPECT_EQ(via->host, "[2001:db8::9:1]");
    EXPECT_EQ(via->to_string(), text);
  }
  EXPECT_FALSE(Via::parse("SIP/2.0/UDP 2001:db8::9:1"));
}

TEST(via, port_that_responses_go_to) {
  EXPECT_EQ(Via::parse("SIP/2.0/UDP h:5080")->sent_by_port(), 5080);
  EXPECT_EQ(Via::parse("SIP/2.0/UDP h")->sent_by_port(), 5060);
  EXPECT_EQ(Via::parse("SIP/2.0/TCP h")->sent_by_port(), 5060);
  EXPECT_EQ(Via::parse("SIP/2.0/tls h")->sent_by_port(), 5061);
}

TEST(via, fault_names_the_header) {
  const auto via = Via::parse("SIP/2.0/UDP");
  ASSERT_FALSE(via);
  EXPECT_EQ(via.error().reason(), "Malformed Via");
}

TEST(cseq, forms) {
  const auto cseq = CSeq::parse(" 0009   INVITE ");
  ASSERT_TRUE(cseq);
  EXPECT_EQ(cseq->number, 9u);
  EXPECT_EQ(cseq->method, Method::invite);
  EXPECT_EQ(cseq->to_string(), "9 INVITE");
  EXPECT_EQ(CSeq::parse("2147483647 X")->method_text, "X");
  EXPECT_EQ(CSeq::parse("1 X")->method, Method::unknown);
  for (const char* text : {"", "1", "1 ", " X", "2147483648 X", "1 X Y", "+1 X", "1X"})
    EXPECT_FALSE(CSeq::parse(text)) << text;
}

TEST(rack, forms) {
  const auto rack = RAck::parse("776656  1 INVITE");
  ASSERT_TRUE(rack);
  EXPECT_EQ(rack->rseq, 776656u);
  EXPECT_EQ(rack->cseq, 1u);
  EXPECT_EQ(rack->method_text, "INVITE");
  EXPECT_EQ(rack->to_string(), "776656 1 INVITE");
  for (const char* text :
       {"", "1", "1 2", "1 2 ", "x 1 INVITE", "1 x INVITE", "4294967296 1 INVITE",
        "2147483648 1 INVITE", "1 2147483648 INVITE", "1 2 IN VITE"}) {
    const auto broken = RAck::parse(text);
    ASSERT_FALSE(broken) << text;
    EXPECT_EQ(broken.error().header, HeaderId::rack);
  }
}

}  // namespace
}  // namespace isthmus::sip
