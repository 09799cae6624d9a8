// STUN as a keep-alive on a SIP socket, against the sample responses of RFC 5769.
#include "transport/stun_answer.hpp"

#include <gtest/gtest.h>

namespace isthmus::transport {
namespace {

constexpr const char* kTransaction = "b7e7a701bc34d686fa87dfae";

Bytes request(const std::string& attributes = "", const std::string& type = "0001",
              const std::string& cookie = "2112a442") {
  Bytes body = *from_hex(attributes);
  char length[5];
  std::snprintf(length, sizeof length, "%04zx", body.size());
  return *from_hex(type + length + cookie + kTransaction + attributes);
}

TEST(StunAnswer, tells_the_mapping_as_rfc_5769_has_it) {
  auto v4 = stun_answer(request(), *Endpoint::parse("192.0.2.1:32853"));
  ASSERT_TRUE(v4);
  EXPECT_EQ(to_hex(*v4),
            "0101000c2112a442" + std::string(kTransaction) + "002000080001a147e112a643");
  auto v6 =
      stun_answer(request(), *Endpoint::parse("[2001:db8:1234:5678:11:2233:4455:6677]:32853"));
  ASSERT_TRUE(v6);
  EXPECT_EQ(to_hex(*v6), "010100182112a442" + std::string(kTransaction) +
                             "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9");
}

TEST(StunAnswer, attributes_that_need_no_understanding_are_skipped) {
  // SOFTWARE "abc" with its padding, FINGERPRINT.
  EXPECT_TRUE(stun_answer(request("8022000361626300802800040badcafe"),
                          *Endpoint::parse("192.0.2.1:32853")));
}

TEST(StunAnswer, attributes_that_would_need_it_are_named_in_a_420) {
  // PRIORITY of ICE, and MESSAGE-INTEGRITY-SHA256 cut short.
  auto answer =
      stun_answer(request("002400046e0001ff001c000400000000"), *Endpoint::parse("192.0.2.1:32853"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(to_hex(*answer),
            "011100102112a442" + std::string(kTransaction) + "0009000400000414000a00040024001c");
  answer = stun_answer(request("002400046e0001ff"), *Endpoint::parse("192.0.2.1:32853"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(to_hex(*answer),
            "011100102112a442" + std::string(kTransaction) + "0009000400000414000a000200240000");
}

TEST(StunAnswer, anything_else_gets_none) {
  Endpoint source = *Endpoint::parse("192.0.2.1:32853");
  EXPECT_FALSE(stun_answer({}, source));
  EXPECT_FALSE(stun_answer(as_bytes("OPTIONS sip:a SIP/2.0\r\n\r\n"), source));
  EXPECT_FALSE(stun_answer(Bytes(20, 0), source));
  EXPECT_FALSE(stun_answer(request("", "0101"), source)) << "a response";
  EXPECT_FALSE(stun_answer(request("", "0011"), source)) << "an indication";
  EXPECT_FALSE(stun_answer(request("", "0001", "00000000"), source)) << "RFC 3489";
  Bytes whole = request("802200046162636400240004");
  whole.resize(whole.size() - 4);
  EXPECT_FALSE(stun_answer(whole, source)) << "length says more than there is";
  EXPECT_FALSE(stun_answer(request("8022000861626364"), source)) << "an attribute past the end";
}

}  // namespace
}  // namespace isthmus::transport
