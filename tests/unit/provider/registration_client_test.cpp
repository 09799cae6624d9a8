// One registration of ours with a registrar that challenges, shortens, refuses and forgets, on
// virtual time.
#include <gtest/gtest.h>

#include <algorithm>

#include "provider/registration_client.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using sip::Message;
using State = RegistrationMachine::State;

struct RegistrationClientTest : testing::Test {
  Instant now{std::chrono::hours(1)};
  SeededRandom random{21};
  sip::Flow flow = sip::Flow::udp(*Endpoint::parse("198.51.100.1:5060"));
  RegistrationClient client{config(), random};
  std::optional<Message> sent;
  unsigned nonces = 0;
  std::uint32_t last_cseq = 0;

  static RegistrationConfig config() {
    RegistrationConfig made;
    made.registrar = "sip:example.net";
    made.aor = "sip:alice@example.net";
    made.auth_user = "alice-auth";
    made.password = "secret";
    made.contact_user = "tok";
    return made;
  }

  void take(std::optional<Message> next) {
    sent = std::move(next);
    if (!sent) return;
    auto parsed = Message::parse(sent->serialize());
    ASSERT_TRUE(parsed);
    parsed->prepend(HeaderId::via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
    EXPECT_FALSE(parsed->check());
    ASSERT_GT(sent->cseq()->number, last_cseq);  // RFC 3261 §10.2: one higher each time
    last_cseq = sent->cseq()->number;
  }
  void start() { take(client.start(now)); }
  void answer(int status, std::vector<std::pair<std::string, std::string>> headers = {}) {
    ASSERT_TRUE(sent) << "nothing to answer";
    Message response = Message::response_to(*sent, status, {}, "r");
    for (auto& [name, value] : headers) response.add(name, value);
    take(client.on_response(&response, flow, now));
  }
  void no_answer() { take(client.on_response(nullptr, flow, now)); }
  void accept(std::uint32_t expires_s = 3600) {
    answer(200, {{"Contact", "<sip:tok@192.0.2.1:5060>;expires=" + std::to_string(expires_s)},
                 {"Contact", "<sip:other@203.0.113.9>;expires=77"}});
  }
  void challenge(bool stale = false, const char* algorithm = "MD5") {
    answer(401, {{"WWW-Authenticate",
                  "Digest realm=\"example.net\", nonce=\"n" + std::to_string(++nonces) +
                      "\", qop=\"auth\", algorithm=" + algorithm + (stale ? ", stale=true" : "")}});
  }
  /// Runs to the next thing that it does by itself. @return how long that took
  Duration until_next() {
    auto next = client.next_deadline();
    EXPECT_TRUE(next);
    if (!next) return {};
    Duration wait = *next - now;
    now = *next;
    take(client.on_timeout(now));
    return wait;
  }
  bool has_credentials() const { return sent && sent->has(HeaderId::authorization); }
};

TEST_F(RegistrationClientTest, registers_with_an_answer_to_the_challenge) {
  start();
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->request_uri(), "sip:example.net");
  EXPECT_EQ(sent->to()->uri, "sip:alice@example.net");
  EXPECT_EQ(sent->number(HeaderId::expires), 3600u);
  EXPECT_TRUE(sent->lists(HeaderId::supported, "path"));
  std::string call_id(sent->call_id());
  challenge();
  ASSERT_TRUE(has_credentials());
  EXPECT_EQ(sent->call_id(), call_id);
  EXPECT_EQ(sip::DigestCredentials::parse(*sent->get(HeaderId::authorization))->username,
            "alice-auth");
  accept();
  EXPECT_EQ(client.state(), State::registered);
  EXPECT_TRUE(client.bound(now));
  EXPECT_FALSE(sent);
}

TEST_F(RegistrationClientTest, refreshes_once_in_the_expiry_that_was_granted) {
  start();
  accept(3600);
  for (int round = 0; round < 20; ++round) {
    Duration wait = until_next();
    EXPECT_GE(wait, seconds(3000));
    EXPECT_LE(wait, seconds(3300));  // with a minute and more for a second try
    EXPECT_TRUE(client.bound(now));
    accept(3600);
  }
  until_next();
  accept(60);  // the registrar shortens it
  Duration wait = until_next();
  EXPECT_GE(wait, seconds(10));
  EXPECT_LE(wait, seconds(30));
}

TEST_F(RegistrationClientTest, refresh_bears_credentials_for_the_nonce_that_is_next) {
  start();
  challenge();
  answer(200, {{"Contact", "<sip:tok@192.0.2.1>;expires=600"},
               {"Authentication-Info", "nextnonce=\"fresh\""}});
  until_next();
  ASSERT_TRUE(has_credentials());
  auto credentials = sip::DigestCredentials::parse(*sent->get(HeaderId::authorization));
  EXPECT_EQ(credentials->nonce, "fresh");
  EXPECT_EQ(credentials->nc, "00000001");
  accept();
  EXPECT_EQ(client.state(), State::registered);
}

TEST_F(RegistrationClientTest, stale_nonce_and_two_realms_are_answered) {
  start();
  challenge();
  challenge(true);
  ASSERT_TRUE(has_credentials());
  answer(407, {{"Proxy-Authenticate", "Digest realm=\"proxy\", nonce=\"p1\", qop=\"auth\""}});
  ASSERT_TRUE(sent);
  EXPECT_TRUE(sent->has(HeaderId::proxy_authorization));
  EXPECT_TRUE(sent->has(HeaderId::authorization));
  accept();
  EXPECT_EQ(client.state(), State::registered);
}

TEST_F(RegistrationClientTest, wrong_password_is_not_hammered) {
  start();
  int registers = 0;
  Instant begun = now;
  while (now < begun + std::chrono::hours(24)) {
    ASSERT_TRUE(sent);
    ++registers;
    challenge();  // the answer is wrong: challenged anew, not stale
    if (sent) {
      ++registers;
      challenge();
    }
    ASSERT_FALSE(sent);
    EXPECT_EQ(client.state(), State::waiting);
    EXPECT_EQ(client.last_error(), "401 Unauthorized");
    until_next();
  }
  EXPECT_LE(registers, 200);  // two for each try, a quarter of an hour and more apart
  EXPECT_FALSE(client.renew(now).has_value() && client.state() == State::waiting);
}

TEST_F(RegistrationClientTest, silence_is_retried_ever_more_slowly_and_then_recovers) {
  start();
  for (int i = 0; i < 10; ++i) {
    no_answer();
    ASSERT_FALSE(sent);
    EXPECT_EQ(client.last_error(), "no answer");
    Duration wait = until_next();
    EXPECT_GE(wait, seconds(30));
    EXPECT_LE(wait, seconds(1800));
    if (i == 9) {
      EXPECT_GE(wait, seconds(900));
    }
  }
  accept();
  EXPECT_EQ(client.state(), State::registered);
  EXPECT_EQ(client.failures(), 0u);
  EXPECT_EQ(client.last_error(), "");
}

TEST_F(RegistrationClientTest, two_clients_do_not_retry_together) {
  std::vector<Duration> waits;
  for (int i = 0; i < 5; ++i) {
    RegistrationClient other(config(), random);
    ASSERT_TRUE(other.start(now));
    other.on_response(nullptr, flow, now);
    waits.push_back(*other.next_deadline() - now);
  }
  std::sort(waits.begin(), waits.end());
  EXPECT_EQ(std::adjacent_find(waits.begin(), waits.end()), waits.end());
}

TEST_F(RegistrationClientTest, interval_too_brief_asks_for_longer) {
  start();
  answer(423, {{"Min-Expires", "7200"}});
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->number(HeaderId::expires), 7200u);
  EXPECT_EQ(sent->contact()->params.get("expires"), "7200");
  accept(7200);
  until_next();
  EXPECT_EQ(sent->number(HeaderId::expires), 7200u);
}

TEST_F(RegistrationClientTest, interval_too_brief_without_a_sensible_minimum_is_a_failure) {
  for (const char* least : {"3600", "10", "4294967295", "x"}) {
    RegistrationClient other(config(), random);
    auto request = other.start(now);
    Message response = Message::response_to(*request, 423, {}, "r");
    response.add(HeaderId::min_expires, least);
    EXPECT_FALSE(other.on_response(&response, flow, now)) << least;
    EXPECT_EQ(other.state(), State::waiting);
  }
}

TEST_F(RegistrationClientTest, retry_after_of_a_busy_registrar_is_obeyed) {
  start();
  answer(503, {{"Retry-After", "4000 (maintenance)"}});
  EXPECT_GE(until_next(), seconds(4000));
  answer(503, {{"Retry-After", "99999999"}});
  EXPECT_LE(until_next(), seconds(86400));
}

TEST_F(RegistrationClientTest, endless_demands_end) {
  start();
  for (int i = 0; i < 10 && sent; ++i) challenge(true);
  EXPECT_FALSE(sent);
  EXPECT_EQ(client.state(), State::waiting);
  EXPECT_LE(last_cseq, 5u);
}

TEST_F(RegistrationClientTest, leaving_removes_the_binding_and_nothing_more) {
  start();
  accept();
  take(client.stop(now));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->number(HeaderId::expires), 0u);
  EXPECT_EQ(sent->contact()->params.get("expires"), "0");
  challenge();
  ASSERT_TRUE(has_credentials());
  EXPECT_EQ(sent->number(HeaderId::expires), 0u);
  answer(200);
  EXPECT_EQ(client.state(), State::off);
  EXPECT_FALSE(client.next_deadline());
  EXPECT_FALSE(client.bound(now));
}

TEST_F(RegistrationClientTest, leaving_while_a_register_is_open_waits_for_its_end) {
  start();
  EXPECT_FALSE(client.stop(now));
  accept();
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->number(HeaderId::expires), 0u);
  EXPECT_FALSE(client.start(now));  // wanted again meanwhile
  answer(200);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->number(HeaderId::expires), 3600u);
}

TEST_F(RegistrationClientTest, registrar_that_was_away_is_asked_anew) {
  start();
  accept();
  now += seconds(100);
  take(client.renew(now));
  ASSERT_TRUE(sent);
  EXPECT_EQ(client.state(), State::refreshing);
  accept();
  EXPECT_EQ(client.state(), State::registered);
}

TEST_F(RegistrationClientTest, service_route_is_kept_while_registered) {
  start();
  answer(200, {{"Contact", "<sip:tok@192.0.2.1>;expires=600"},
               {"Service-Route", "<sip:p1.example.net;lr>, <sip:p2.example.net;lr>"}});
  EXPECT_EQ(client.service_route(),
            (std::vector<std::string>{"<sip:p1.example.net;lr>", "<sip:p2.example.net;lr>"}));
  take(client.stop(now));
  answer(200);
  EXPECT_TRUE(client.service_route().empty());
}

TEST_F(RegistrationClientTest, outbound_is_asked_for_with_instance_and_reg_id) {
  RegistrationConfig asked = config();
  asked.instance = "urn:uuid:00000000-0000-4000-8000-000000000001";
  RegistrationClient other(asked, random);
  auto request = other.start(now);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->contact()->params.get("+sip.instance"),
            "\"<urn:uuid:00000000-0000-4000-8000-000000000001>\"");
  EXPECT_EQ(request->contact()->params.get("reg-id"), "1");
  EXPECT_TRUE(request->lists(HeaderId::supported, "outbound"));
}

TEST_F(RegistrationClientTest, redirection_is_followed_and_forgotten_after_a_failure) {
  start();
  answer(302, {{"Contact", "<sip:198.51.100.2:5070>"}});
  ASSERT_TRUE(sent);
  EXPECT_EQ(client.redirect(), "sip:198.51.100.2:5070");
  EXPECT_EQ(sent->request_uri(), "sip:example.net");
  answer(302, {{"Contact", "<sip:198.51.100.2:5070>"}});  // in a circle
  EXPECT_FALSE(sent);
  EXPECT_EQ(client.redirect(), "");
}

TEST_F(RegistrationClientTest, junk_in_a_response_harms_nothing) {
  start();
  answer(200, {{"Contact", "<<>>;;;"}, {"Contact", "*"}, {"Expires", "4294967295"}});
  EXPECT_EQ(client.state(), State::registered);
  EXPECT_LE(*client.bound_until() - now, std::chrono::hours(24 * 8));
  take(client.renew(now));
  answer(200, {{"Contact", "<sip:tok@192.0.2.1>;expires=0"}});
  EXPECT_GE(*client.next_deadline() - now, seconds(1));  // never in a tight loop
}

}  // namespace
}  // namespace isthmus::provider
