// REGISTER (RFC 3261 §10) with a registrar played by hand, on virtual time.
#include "sip/digest.hpp"
#include "ua_support.hpp"

namespace isthmus::ua {
namespace {

using sip::HeaderId;

struct Registering : Alone {
  /// 200 with our Contact for so many seconds, among others.
  void accept(const std::string& expires) {
    const sip::Message request = ann.sent("REGISTER ");
    respond("REGISTER", 200, "r1", {},
            {{"Contact", "<sip:ann@elsewhere.example>;expires=7"},
             {"Contact", "<" + ann.agent.contact_uri() + ">;expires=" + expires}});
  }
  std::string sent_expires() {
    const auto contact = ann.sent("REGISTER ").contact();
    return std::string(contact->params.get("expires").value_or(""));
  }
  RegistrationState state() { return ann.registrations.back().state; }
};

TEST_F(Registering, asks_and_is_refreshed_before_it_runs_out) {
  ann.register_for(600);
  const sip::Message first = ann.sent("REGISTER ");
  EXPECT_EQ(first.request_uri(), "sip:home.example");
  EXPECT_EQ(first.to()->uri, "sip:ann@home.example");
  EXPECT_EQ(first.contact()->uri, ann.agent.contact_uri());
  EXPECT_TRUE(first.top_via()->host.ends_with(".invalid"));
  EXPECT_EQ(first.top_via()->transport, "TLS");
  EXPECT_EQ(sent_expires(), "600");
  accept("300");
  EXPECT_EQ(state(), RegistrationState::registered);
  EXPECT_EQ(ann.registrations.back().expires_s, 300u) << "ours, not the other device's";
  world.run_for(seconds(224));
  EXPECT_EQ(ann.count_sent("REGISTER "), 1u);
  world.run_for(seconds(47));
  ASSERT_EQ(ann.count_sent("REGISTER "), 2u) << "between 75 and 90 % of the time";
  const sip::Message again = ann.sent("REGISTER ");
  EXPECT_EQ(again.call_id(), first.call_id());
  EXPECT_EQ(again.cseq()->number, first.cseq()->number + 1);
}

TEST_F(Registering, is_removed_with_expires_0) {
  ann.register_for(600);
  accept("600");
  ann.unregister();
  EXPECT_EQ(sent_expires(), "0");
  respond("REGISTER", 200, "r1");
  EXPECT_EQ(state(), RegistrationState::unregistered);
  EXPECT_FALSE(ann.agent.next_deadline() && *ann.agent.next_deadline() > world.now + seconds(60));
  world.run_for(seconds(1000));
  EXPECT_EQ(ann.count_sent("REGISTER "), 2u);
}

TEST_F(Registering, longer_interval_is_taken_when_the_registrar_asks_for_it) {
  ann.register_for(60);
  respond("REGISTER", 423, "r1", {}, {{"Min-Expires", "1800"}});
  EXPECT_EQ(sent_expires(), "1800");
  accept("1800");
  EXPECT_EQ(state(), RegistrationState::registered);
}

TEST_F(Registering, absurd_min_expires_does_not_loop) {
  ann.register_for(600);
  respond("REGISTER", 423, "r1", {}, {{"Min-Expires", "60"}});
  EXPECT_EQ(state(), RegistrationState::failed);
  EXPECT_EQ(ann.count_sent("REGISTER "), 1u);
}

TEST_F(Registering, unavailable_registrar_is_asked_again_later_and_later) {
  ann.register_for(600);
  std::vector<Instant> asked = {world.now};
  for (int i = 0; i < 7; ++i) {
    respond("REGISTER", 503, "r1");
    ASSERT_EQ(state(), RegistrationState::failed);
    ASSERT_TRUE(ann.registrations.back().retry_in);
    const std::size_t before = ann.count_sent("REGISTER ");
    ASSERT_TRUE(world.run_until([&] { return ann.count_sent("REGISTER ") > before; },
                                std::chrono::minutes(20)));
    asked.push_back(world.now);
  }
  EXPECT_LT(asked[1] - asked[0], seconds(60));
  EXPECT_GT(asked[6] - asked[5], asked[1] - asked[0]);
  EXPECT_LE(asked[7] - asked[6], seconds(616)) << "ten minutes and some at most";
}

TEST_F(Registering, retry_after_is_obeyed) {
  ann.register_for(600);
  respond("REGISTER", 503, "r1", {}, {{"Retry-After", "400"}});
  world.run_for(seconds(399));
  EXPECT_EQ(ann.count_sent("REGISTER "), 1u);
  world.run_for(seconds(2));
  EXPECT_EQ(ann.count_sent("REGISTER "), 2u);
}

TEST_F(Registering, silence_is_a_timeout_and_tried_again) {
  ann.register_for(600);
  world.run_for(seconds(33));
  EXPECT_EQ(state(), RegistrationState::failed);
  EXPECT_EQ(ann.registrations.back().status, 408);
  EXPECT_TRUE(ann.registrations.back().retry_in);
}

TEST_F(Registering, refusal_for_good_is_final) {
  for (const int status : {403, 404, 604}) {
    ann.register_for(600);
    respond("REGISTER", status, "r1");
    EXPECT_EQ(state(), RegistrationState::failed);
    EXPECT_EQ(ann.registrations.back().status, status);
    EXPECT_FALSE(ann.registrations.back().retry_in);
    const std::size_t sent = ann.count_sent("REGISTER ");
    world.run_for(seconds(2000));
    EXPECT_EQ(ann.count_sent("REGISTER "), sent);
  }
}

TEST_F(Registering, new_link_registers_anew) {
  ann.register_for(600);
  accept("600");
  ann.link_down();
  EXPECT_EQ(state(), RegistrationState::unregistered);
  world.run_for(seconds(1000));
  EXPECT_EQ(ann.count_sent("REGISTER "), 1u) << "nothing is sent without a link";
  ann.link_up();
  EXPECT_EQ(ann.count_sent("REGISTER "), 2u);
  accept("600");
  EXPECT_EQ(state(), RegistrationState::registered);
}

TEST_F(Registering, challenge_without_a_password_says_what_is_missing) {
  ann.register_for(600);
  respond("REGISTER", 401, "r1", {},
          {{"WWW-Authenticate", "Digest realm=\"p\", nonce=\"n\", qop=\"auth\""}});
  EXPECT_EQ(state(), RegistrationState::failed);
  EXPECT_NE(ann.registrations.back().reason.find("password"), std::string::npos);
}

struct DigestRegistering : Alone, testing::WithParamInterface<const char*> {
  DigestRegistering() {
    UserAgentOptions options = test_options("ann");
    options.digest_user = "auth-ann";
    options.digest_password = "secret";
    digest.emplace(world, std::move(options), 2);
    digest->connected = false;
    digest->link_up();
  }
  void challenge(const std::string& algorithm, const std::string& nonce) {
    sip::Message response = sip::Message::response_to(digest->sent("REGISTER "), 401, {}, "r1");
    response.add(HeaderId::www_authenticate, "Digest realm=\"prov\", nonce=\"" + nonce +
                                                 "\", qop=\"auth\", algorithm=" + algorithm);
    digest->inject(response.serialize());
  }
  std::optional<UaNode> digest;
};

TEST_P(DigestRegistering, answers_the_challenge_and_gives_up_when_it_is_refused) {
  const std::string algorithm = GetParam();
  digest->register_for(600);
  challenge(algorithm, "n1");
  ASSERT_EQ(digest->count_sent("REGISTER "), 2u);
  const sip::Message again = digest->sent("REGISTER ");
  const auto given = sip::DigestCredentials::parse(*again.get(HeaderId::authorization));
  ASSERT_TRUE(given);
  EXPECT_EQ(given->username, "auth-ann");
  EXPECT_EQ(sip::to_text(given->algorithm), algorithm);
  const std::string ha1 = sip::digest_ha1(given->algorithm, "auth-ann", "prov", "secret");
  EXPECT_EQ(given->response, sip::digest_response(given->algorithm, ha1, "REGISTER", *given));
  challenge(algorithm, "n2");  // not stale: the password is wrong
  EXPECT_EQ(digest->count_sent("REGISTER "), 2u);
  EXPECT_EQ(digest->registrations.back().state, RegistrationState::failed);
  EXPECT_EQ(digest->registrations.back().status, 401);
}

INSTANTIATE_TEST_SUITE_P(algorithms, DigestRegistering, testing::Values("MD5", "SHA-256"));

}  // namespace
}  // namespace isthmus::ua
