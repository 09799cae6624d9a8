// Which refreshes of a device its registrar need not see, and what it is told.
#include <gtest/gtest.h>

#include "call/register_throttle.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct RegisterThrottleTest : testing::Test {
  RegisterThrottle throttle;
  Instant start{std::chrono::hours(1)};
  const std::vector<std::string> tokens{"tok"};

  static sip::Message request(unsigned cseq = 1, std::string contact = "<sip:ann@a.invalid>") {
    sip::Message out = sip::Message::request("REGISTER", "sip:example.org");
    out.add(HeaderId::via, "SIP/2.0/TLS a.invalid;branch=z9hG4bK" + std::to_string(cseq));
    out.add(HeaderId::from, "<sip:ann@example.org>;tag=" + std::to_string(cseq));
    out.add(HeaderId::to, "<sip:ann@example.org>");
    out.add(HeaderId::call_id, "c1");
    out.add(HeaderId::cseq, std::to_string(cseq) + " REGISTER");
    out.add(HeaderId::contact, contact);
    out.add(HeaderId::expires, "3600");
    out.add(HeaderId::user_agent, "phone/1");
    out.add(HeaderId::authorization,
            "Digest username=\"ann\", realm=\"example.org\", nonce=\"n" + std::to_string(cseq) +
                "\", uri=\"sip:example.org\", response=\"0123456789abcdef0123456789abcdef\"");
    return out;
  }
  void accept(std::uint32_t upstream_s = 3600) {
    sip::Message response = sip::Message::response_to(request(), 200, {}, "r");
    response.add(HeaderId::contact, "<sip:ann@a.invalid>;expires=60");
    response.add(HeaderId::contact, "<sip:ann@other.invalid>;expires=300");
    response.add(HeaderId::service_route, "<sip:out.example.org;lr>");
    response.add(HeaderId::expires, "60");
    throttle.accepted(request(), response,
                      {tokens, {"sip:ann@a.invalid"}, upstream_s, 60, "provider"}, start);
  }
  std::optional<sip::Message> answer(const sip::Message& refresh, Duration after) {
    return throttle.answer(refresh, tokens, 60, start + after, "l");
  }
};

TEST_F(RegisterThrottleTest, refresh_is_answered_until_the_registrar_has_to_be_asked) {
  accept();
  unsigned cseq = 1;
  int answered = 0;
  for (int s = 55; s <= 3600; s += 55) {
    auto response = answer(request(++cseq), seconds(s));
    if (!response) {
      EXPECT_GE(s, 3400);
      EXPECT_LE(s, 3500);  // with room for another try and a challenge
      break;
    }
    ++answered;
    EXPECT_EQ(response->status(), 200);
    EXPECT_EQ(response->values(HeaderId::contact).front(), "<sip:ann@a.invalid>;expires=60");
    EXPECT_EQ(response->get(HeaderId::service_route), "<sip:out.example.org;lr>");
    EXPECT_EQ(response->cseq()->number, cseq);
    EXPECT_FALSE(response->has(HeaderId::authorization));
  }
  EXPECT_GT(answered, 55);
}

TEST_F(RegisterThrottleTest, contacts_of_other_devices_grow_old_and_go) {
  accept();
  EXPECT_EQ(answer(request(2), seconds(100))->values(HeaderId::contact)[1],
            "<sip:ann@other.invalid>;expires=200");
  EXPECT_EQ(answer(request(3), seconds(301))->values(HeaderId::contact).size(), 1u);
}

TEST_F(RegisterThrottleTest, short_lived_binding_is_refreshed_at_half_its_life) {
  accept(100);
  auto early = answer(request(2), seconds(40));
  ASSERT_TRUE(early);
  // Told to come back while there is time: 60 s from now would be too late.
  EXPECT_EQ(early->values(HeaderId::contact).front(), "<sip:ann@a.invalid>;expires=30");
  EXPECT_FALSE(answer(request(3), seconds(50)));
}

TEST_F(RegisterThrottleTest, whatever_changes_passes) {
  accept();
  auto passes = [&](const char* what, auto edit) {
    sip::Message changed = request(9);
    edit(changed);
    EXPECT_FALSE(answer(changed, seconds(10))) << what;
  };
  auto contact = [](const char* value) {
    return [value](sip::Message& m) { m.set(HeaderId::contact, value); };
  };
  passes("contact URI", contact("<sip:ann@b.invalid>"));
  passes("q", contact("<sip:ann@a.invalid>;q=0.5"));
  passes("instance", contact("<sip:ann@a.invalid>;+sip.instance=\"<urn:uuid:1>\""));
  passes("display name", contact("\"A\" <sip:ann@a.invalid>"));
  passes("removal", contact("<sip:ann@a.invalid>;expires=0"));
  passes("removal of all", contact("*"));
  passes("one more contact", contact("<sip:ann@a.invalid>, <sip:ann@b.invalid>"));
  passes("no contact: a query", [](sip::Message& m) { m.remove(HeaderId::contact); });
  passes("Expires: 0", [](sip::Message& m) { m.set(HeaderId::expires, "0"); });
  passes("Require", [](sip::Message& m) { m.add(HeaderId::require, "gruu"); });
  passes("To", [](sip::Message& m) { m.set(HeaderId::to, "<sip:bob@example.org>"); });
  passes("From", [](sip::Message& m) { m.set(HeaderId::from, "<sip:bob@example.org>;tag=1"); });
  passes("Call-ID", [](sip::Message& m) { m.set(HeaderId::call_id, "c2"); });
  passes("unknown header", [](sip::Message& m) { m.add("X-Device-Token", "1"); });
  passes("missing header", [](sip::Message& m) { m.remove(HeaderId::user_agent); });
  passes("body", [](sip::Message& m) { m.set_body("x", "text/plain"); });
  passes("registrar", [](sip::Message& m) { m.set_request_uri("sip:example.com"); });
  passes("older CSeq", [](sip::Message& m) { m.set(HeaderId::cseq, "1 REGISTER"); });
  passes("credentials of another user", [](sip::Message& m) {
    m.set(HeaderId::authorization,
          "Digest username=\"bob\", realm=\"example.org\", nonce=\"n\", uri=\"sip:example.org\", "
          "response=\"0123456789abcdef0123456789abcdef\"");
  });
  passes("another scheme of credentials",
         [](sip::Message& m) { m.set(HeaderId::authorization, "Bearer abc"); });
  // And what does not matter is answered still.
  sip::Message same = request(10);
  same.set(HeaderId::expires, "120");
  same.add(HeaderId::date, "Thu, 01 Jan 2026 00:00:00 GMT");
  same.remove(HeaderId::authorization);
  EXPECT_TRUE(answer(same, seconds(10)));
  EXPECT_FALSE(throttle.answer(request(11), {"other"}, 60, start, "l"));
}

TEST_F(RegisterThrottleTest, forgotten_or_renewed_ones_pass) {
  accept();
  throttle.forget(tokens);
  EXPECT_FALSE(answer(request(2), seconds(1)));
  accept();
  throttle.forget_upstream("another");
  EXPECT_TRUE(answer(request(2), seconds(1)));
  throttle.forget_upstream("provider");
  EXPECT_FALSE(answer(request(3), seconds(1)));
  accept();
  throttle.expire(start + seconds(3599));
  EXPECT_TRUE(throttle.empty());
}

TEST_F(RegisterThrottleTest, answer_too_large_to_keep_is_not_kept) {
  sip::Message response = sip::Message::response_to(request(), 200, {}, "r");
  response.add(HeaderId::contact, "<sip:ann@a.invalid>;expires=60");
  response.add("X-Large", std::string(5000, 'x'));
  throttle.accepted(request(), response, {tokens, {"sip:ann@a.invalid"}, 3600, 60, "provider"},
                    start);
  EXPECT_TRUE(throttle.empty());
}

}  // namespace
}  // namespace isthmus::call
