// Digest in front of the built-in registrar: who is asked for a password, and what it is good for.
#include "provider/digest_gate.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "provider/registrar.hpp"

namespace isthmus::provider {
namespace {

using sip::HeaderId;
using sip::Message;

struct Users final : SipUserDirectory {
  std::map<std::string, SipUser, std::less<>> users;
  void add(const std::string& name, std::vector<std::string> aors) {
    users[name] = {name, sip::digest_secrets(name, "home.example", name + "-pw"), std::move(aors)};
  }
  std::optional<SipUser> find_sip_user(std::string_view name) override {
    auto found = users.find(name);
    return found == users.end() ? std::nullopt : std::optional(found->second);
  }
};

struct Gated : testing::Test {
  SeededRandom random{5};
  Users users;
  DigestGate gate{{"home.example"},
                  users,
                  [](const sip::Uri& uri) { return iequals(uri.host, "home.example"); },
                  random};
  Registrar registrar{
      {"home.example"}, [](const sip::Flow&, std::string_view) { return true; }, random};
  Instant now{std::chrono::hours(1)};
  sip::Flow site = sip::Flow::link(7);
  unsigned cseq = 0;

  Gated() {
    users.add("alice", {"alice", "100"});
    users.add("bob", {"bob"});
    registrar.set_gate(&gate);
  }
  Message request(const std::string& method, const std::string& uri, const std::string& from,
                  const std::string& to) {
    Message message = Message::request(method, uri);
    message.add(HeaderId::via, "SIP/2.0/TLS a.invalid;branch=z9hG4bK1");
    message.add(HeaderId::from, "<" + from + ">;tag=1");
    message.add(HeaderId::to, "<" + to + ">");
    message.add(HeaderId::call_id, "one");
    message.add(HeaderId::cseq, std::to_string(++cseq) + " " + method);
    message.add(HeaderId::contact, "<sip:x@a.invalid>");
    return message;
  }
  Message answer_of(Message& message) {
    if (message.method() == sip::Method::register_)
      return registrar.on_register(message, site, now);
    auto refusal = registrar.challenge(message, site, now);
    return refusal ? *refusal : Message::response_to(message, 200);
  }
  /// Asks, answers the challenge with these credentials, and asks again.
  Message with_password(Message message, const std::string& user, const std::string& password) {
    Message first = answer_of(message);
    sip::DigestClient client(user, password, random);
    message.set(HeaderId::cseq, std::to_string(++cseq) + " " + std::string(message.method_text()));
    if (!client.authorize(message, first)) return first;
    passed = message;
    Message second = answer_of(passed);
    return second;
  }
  Message register_of(const std::string& aor) {
    return request("REGISTER", "sip:home.example", aor, aor);
  }
  Message passed = Message::response(100);
};

TEST_F(Gated, register_is_challenged_with_401_and_accepted_with_the_right_password) {
  Message message = register_of("sip:alice@home.example");
  Message response = answer_of(message);
  EXPECT_EQ(response.status(), 401);
  EXPECT_EQ(response.fields(HeaderId::www_authenticate).size(), 3u);
  EXPECT_EQ(registrar.contact_count(), 0u);
  response = with_password(register_of("sip:alice@home.example"), "alice", "alice-pw");
  EXPECT_EQ(response.status(), 200);
  EXPECT_TRUE(response.has(HeaderId::authentication_info));
  EXPECT_EQ(registrar.contact_count(), 1u);
  EXPECT_EQ(gate.counters().accepted, 1u);
}

TEST_F(Gated, who_may_register_what) {
  struct Case {
    const char *aor, *user, *password;
    int status;
  };
  for (const Case& c : {Case{"sip:100@home.example", "alice", "alice-pw", 200},
                        {"sip:bob@home.example", "alice", "alice-pw", 403},
                        {"sip:alice@home.example", "alice", "bob-pw", 401},
                        {"sip:alice@home.example", "nobody", "alice-pw", 401}}) {
    EXPECT_EQ(with_password(register_of(c.aor), c.user, c.password).status(), c.status) << c.aor;
  }
}

TEST_F(Gated, calls_of_our_domain_are_challenged_with_407_and_lose_our_credentials) {
  Message invite =
      request("INVITE", "sip:bob@home.example", "sip:alice@home.example", "sip:bob@home.example");
  EXPECT_EQ(answer_of(invite).status(), 407);
  EXPECT_EQ(with_password(invite, "alice", "alice-pw").status(), 200);
  EXPECT_FALSE(passed.has(HeaderId::proxy_authorization));
  EXPECT_EQ(with_password(invite, "bob", "bob-pw").status(), 403) << "bob is not alice";
}

TEST_F(Gated, what_is_challenged_and_what_is_not) {
  struct Case {
    const char *method, *uri, *from;
    int status;
  };
  for (const Case& c : {
           Case{"INVITE", "sip:bob@home.example", "sip:alice@home.example", 407},
           {"MESSAGE", "sip:bob@home.example", "sip:alice@home.example", 407},
           {"FROB", "sip:bob@home.example", "sip:alice@home.example", 407},
           {"INVITE", "sip:carol@example.org", "sip:alice@home.example", 407},
           {"INVITE", "sip:bob@home.example", "sip:anonymous@anonymous.invalid", 407},
           {"INVITE", "sip:carol@example.org", "sip:dave@example.org", 200},
           {"OPTIONS", "sip:home.example", "sip:probe@10.0.0.2", 200},
           {"OPTIONS", "sip:bob@home.example", "sip:probe@10.0.0.2", 407},
       }) {
    Message message = request(c.method, c.uri, c.from, c.uri);
    EXPECT_EQ(answer_of(message).status(), c.status) << c.method << " " << c.uri << " " << c.from;
  }
  Message anonymous = request("INVITE", "sip:bob@home.example", "sip:anonymous@anonymous.invalid",
                              "sip:bob@home.example");
  EXPECT_EQ(with_password(anonymous, "alice", "alice-pw").status(), 200)
      << "one of our users is it";
  site = sip::Flow::udp(*Endpoint::parse("192.0.2.1:5060"));
  Message from_provider =
      request("INVITE", "sip:bob@home.example", "sip:x@example.org", "sip:bob@home.example");
  EXPECT_EQ(answer_of(from_provider).status(), 200);
}

TEST_F(Gated, guessing_is_slowed_down_for_the_one_who_guesses_alone) {
  int limited = 0;
  for (unsigned i = 0; i < limits::kAuthBurstPerSource + 5; ++i) {
    limited +=
        with_password(register_of("sip:bob@home.example"), "bob", "guess" + std::to_string(i))
            .status() == 403;
  }
  EXPECT_EQ(limited, 5);
  EXPECT_EQ(gate.counters().limited, 5u);
  EXPECT_EQ(with_password(register_of("sip:bob@home.example"), "bob", "bob-pw").status(), 403)
      << "a right guess is not told from a wrong one";
  EXPECT_EQ(with_password(register_of("sip:alice@home.example"), "alice", "alice-pw").status(), 200)
      << "another phone behind the same connector";
  site = sip::Flow::link(8);
  EXPECT_EQ(with_password(register_of("sip:bob@home.example"), "bob", "bob-pw").status(), 200)
      << "the same user elsewhere";
  site = sip::Flow::link(7);
  now += limits::kAuthRefillPerSource;
  EXPECT_EQ(with_password(register_of("sip:bob@home.example"), "bob", "bob-pw").status(), 200);
}

TEST_F(Gated, a_user_who_is_removed_is_refused_at_once) {
  EXPECT_EQ(with_password(register_of("sip:bob@home.example"), "bob", "bob-pw").status(), 200);
  users.users.erase("bob");
  EXPECT_EQ(with_password(register_of("sip:bob@home.example"), "bob", "bob-pw").status(), 401);
}

TEST_F(Gated, credentials_for_another_uri_are_a_bad_request) {
  Message invite =
      request("INVITE", "sip:bob@home.example", "sip:alice@home.example", "sip:bob@home.example");
  sip::DigestClient client("alice", "alice-pw", random);
  Message first = answer_of(invite);
  Message other = request("INVITE", "sip:alice@home.example", "sip:alice@home.example",
                          "sip:alice@home.example");
  ASSERT_TRUE(client.authorize(other, first));
  invite.add(HeaderId::proxy_authorization, *other.get(HeaderId::proxy_authorization));
  EXPECT_EQ(answer_of(invite).status(), 400);
}

}  // namespace
}  // namespace isthmus::provider
