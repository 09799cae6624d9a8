// Digest as a server, on virtual time: RFC 7616, RFC 8760.
#include "sip/digest_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace isthmus::sip {
namespace {

using enum DigestVerdict;

struct Served : testing::Test {
  SeededRandom random{11}, client_random{12};
  DigestServer server{{"home.example"}, random};
  std::optional<DigestSecrets> alice = digest_secrets("alice", "home.example", "secret");
  Instant now{std::chrono::hours(1)};

  static Message request(std::string_view method = "REGISTER",
                         std::string_view uri = "sip:home.example") {
    Message message = Message::request(method, uri);
    message.add(HeaderId::via, "SIP/2.0/TLS a.invalid;branch=z9hG4bK1");
    message.add(HeaderId::from, "<sip:alice@home.example>;tag=1");
    message.add(HeaderId::to, "<sip:alice@home.example>");
    message.add(HeaderId::call_id, "one");
    message.add(HeaderId::cseq, "1 " + std::string(method));
    return message;
  }
  Message challenge(bool proxy = false, bool stale = false) {
    Message response = Message::response_to(request(), proxy ? 407 : 401);
    server.challenge(response, proxy, stale, now);
    return response;
  }
  /// Credentials that answer one challenge rightly, but for what `change` does to them.
  DigestCredentials answer(const DigestChallenge& to, unsigned count = 1,
                           std::string_view password = "secret",
                           const std::function<void(DigestCredentials&)>& change = nullptr) {
    DigestCredentials out;
    out.username = "alice";
    out.realm = to.realm;
    out.nonce = to.nonce;
    out.uri = "sip:home.example";
    out.algorithm = to.algorithm;
    out.qop_auth = true;
    out.cnonce = "c\"1";
    char nc[9];
    std::snprintf(nc, sizeof nc, "%08x", count);
    out.nc = nc;
    if (change) change(out);
    out.response =
        digest_response(out.algorithm, digest_ha1(out.algorithm, "alice", "home.example", password),
                        "REGISTER", out);
    return out;
  }
  DigestVerdict judge(const DigestCredentials& credentials) {
    return server.judge(credentials, request(), alice, now);
  }
  DigestChallenge strongest() { return challenges(challenge()).front(); }
};

TEST_F(Served, all_algorithms_are_offered_strongest_first) {
  Message response = challenge();
  std::vector<std::string_view> fields = response.fields(HeaderId::www_authenticate);
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_NE(fields[0].find("algorithm=SHA-512-256"), std::string_view::npos) << fields[0];
  EXPECT_NE(fields[1].find("algorithm=SHA-256"), std::string_view::npos) << fields[1];
  EXPECT_NE(fields[2].find("algorithm=MD5"), std::string_view::npos) << fields[2];
  for (std::string_view field : fields) {
    EXPECT_NE(field.find("qop=\"auth\""), std::string_view::npos) << field;
    EXPECT_EQ(field.find("stale"), std::string_view::npos) << field;
  }
  EXPECT_EQ(challenge(true).fields(HeaderId::proxy_authenticate).size(), 3u);
  EXPECT_TRUE(challenges(challenge(false, true)).front().stale);
}

TEST_F(Served, every_offered_algorithm_is_accepted) {
  for (const DigestChallenge& offer : challenges(challenge())) {
    // The three share a nonce; a client answers one of them.
    server = DigestServer({"home.example"}, random);
    auto fresh = challenges(challenge());
    for (const DigestChallenge& one : fresh) {
      if (one.algorithm != offer.algorithm) continue;
      EXPECT_EQ(judge(answer(one)), accepted) << to_text(one.algorithm);
    }
  }
}

TEST_F(Served, sdk_client_and_server_agree) {
  DigestClient client("alice", "secret", client_random);
  Message again = request();
  again.set(HeaderId::cseq, "2 REGISTER");
  ASSERT_TRUE(client.authorize(again, challenge()));
  auto found = server.find(again, false);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->algorithm, DigestAlgorithm::sha512_256);
  EXPECT_EQ(server.judge(*found, again, alice, now), accepted);
  EXPECT_FALSE(server.find(again, true)) << "not for a proxy";
}

TEST_F(Served, wrong_password_unknown_user_and_missing_hash_are_all_wrong) {
  EXPECT_EQ(judge(answer(strongest(), 1, "guess")), wrong);
  EXPECT_EQ(server.judge(answer(strongest()), request(), std::nullopt, now), wrong);
  DigestSecrets only_md5{alice->md5, "", ""};
  EXPECT_EQ(server.judge(answer(strongest()), request(), only_md5, now), wrong);
  // Nobody's secret is no password either.
  DigestCredentials zeros = answer(strongest());
  zeros.response = digest_response(zeros.algorithm, std::string(64, '0'), "REGISTER", zeros);
  EXPECT_EQ(server.judge(zeros, request(), std::nullopt, now), wrong);
}

TEST_F(Served, another_method_realm_or_algorithm_does_not_pass) {
  EXPECT_EQ(server.judge(answer(strongest()), request("INVITE"), alice, now), wrong);
  Message other = request();
  other.add(HeaderId::authorization, answer(strongest(), 1, "secret", [](auto& credentials) {
                                       credentials.realm = "elsewhere.example";
                                     }).to_string());
  EXPECT_FALSE(server.find(other, false));
  DigestServer strict({"home.example", {DigestAlgorithm::sha256}}, random);
  Message weak = request();
  weak.add(HeaderId::authorization, answer(challenges(challenge()).back()).to_string());
  EXPECT_TRUE(server.find(weak, false));
  EXPECT_FALSE(strict.find(weak, false)) << "MD5 is not offered there (RFC 8760 §2.3)";
}

TEST_F(Served, credentials_for_another_realm_stay_when_ours_are_taken_off) {
  Message message = request();
  message.add(HeaderId::proxy_authorization,
              "Digest  username=\"x\", realm=\"elsewhere\", nonce=1");
  std::string before = message.serialize();
  server.remove_credentials(message, true);
  EXPECT_EQ(message.serialize(), before);
  message.add(HeaderId::proxy_authorization, answer(strongest()).to_string());
  server.remove_credentials(message, true);
  EXPECT_EQ(message.serialize(), before);
}

TEST_F(Served, digest_uri_may_name_another_host_but_no_other_user) {
  auto with_uri = [&](const char* uri) {
    return judge(
        answer(strongest(), 1, "secret", [&](auto& credentials) { credentials.uri = uri; }));
  };
  EXPECT_EQ(with_uri("sip:10.0.0.2:5060"), accepted) << "the connector the phone registers at";
  EXPECT_EQ(with_uri("sip:bob@home.example"), wrong_uri);
  EXPECT_EQ(with_uri("tel:+49301234"), wrong_uri);
}

TEST_F(Served, a_nonce_is_good_for_its_life_and_then_stale) {
  DigestChallenge offer = strongest();
  now += std::chrono::minutes(5);
  EXPECT_EQ(judge(answer(offer, 1)), accepted);
  now += milliseconds(1);
  EXPECT_EQ(judge(answer(offer, 2)), stale);
  EXPECT_EQ(judge(answer(offer, 2, "guess")), wrong) << "stale says that the password is right";
}

TEST_F(Served, nonces_of_another_run_or_of_nobody_are_stale) {
  SeededRandom other(99);
  DigestServer before({"home.example"}, other);
  Message response = Message::response_to(request(), 401);
  before.challenge(response, false, false, now);
  EXPECT_EQ(judge(answer(challenges(response).front())), stale);
  DigestChallenge made_up = strongest();
  made_up.nonce = "0123456789abcdef";
  EXPECT_EQ(judge(answer(made_up)), stale);
  made_up.nonce = std::string(48, 'z');
  EXPECT_EQ(judge(answer(made_up)), stale);
  made_up = strongest();
  made_up.nonce[3] = made_up.nonce[3] == '0' ? '1' : '0';  // another time under the same proof
  EXPECT_EQ(judge(answer(made_up)), stale);
}

TEST_F(Served, each_count_of_a_nonce_is_good_once_in_any_order) {
  DigestChallenge offer = strongest();
  for (unsigned count : {1u, 2u, 5u, 3u, 4u, 200u, 199u, 137u}) {
    EXPECT_EQ(judge(answer(offer, count)), accepted) << count;
    EXPECT_EQ(judge(answer(offer, count)), stale) << "replayed " << count;
  }
  EXPECT_EQ(judge(answer(offer, 136)), stale) << "too far behind to be known";
  EXPECT_EQ(judge(answer(offer, 0)), stale);
  EXPECT_EQ(server.remembered_nonces(), 1u);
}

TEST_F(Served, a_client_without_qop_may_use_a_nonce_once) {
  auto legacy = [](DigestCredentials& credentials) {
    credentials.qop_auth = false;
    credentials.nc.clear();
    credentials.cnonce.clear();
  };
  DigestChallenge offer = challenges(challenge()).back();
  EXPECT_EQ(judge(answer(offer, 1, "secret", legacy)), accepted);
  EXPECT_EQ(judge(answer(offer, 1, "secret", legacy)), stale);
}

TEST_F(Served, remembered_nonces_are_bounded_and_forgetting_one_allows_no_replay) {
  constexpr std::size_t kMost = 100;
  DigestServer::Config config{"home.example"};
  config.most_nonces = kMost;
  server = DigestServer(config, random);
  DigestChallenge first = strongest();
  EXPECT_EQ(judge(answer(first)), accepted);
  for (std::size_t i = 0; i < kMost; ++i) {
    ASSERT_EQ(judge(answer(strongest())), accepted);
  }
  EXPECT_EQ(server.remembered_nonces(), kMost);
  EXPECT_EQ(judge(answer(first)), stale);
  EXPECT_EQ(judge(answer(first, 2)), stale) << "its uses are not known any more";
  now += std::chrono::minutes(6);
  EXPECT_EQ(judge(answer(strongest())), accepted);
  EXPECT_EQ(server.remembered_nonces(), 1u) << "old ones go by themselves";
}

TEST_F(Served, authentication_info_proves_the_server_and_renews_the_nonce_in_time) {
  DigestCredentials good = answer(strongest());
  ASSERT_EQ(judge(good), accepted);
  Message ok = Message::response_to(request(), 200);
  server.add_authentication_info(ok, good, *alice, now);
  std::string info(ok.get(HeaderId::authentication_info).value_or(""));
  // RFC 7616 §3.5: A2 is ":" and the uri.
  std::string proof = digest_response(good.algorithm, alice->sha512_256, "", good);
  EXPECT_EQ(info, "qop=auth, rspauth=\"" + proof + "\", cnonce=\"c\\\"1\", nc=00000001");
  now += std::chrono::minutes(3);
  ok = Message::response_to(request(), 200);
  server.add_authentication_info(ok, good, *alice, now);
  info = ok.get(HeaderId::authentication_info).value_or("");
  ASSERT_TRUE(info.starts_with("nextnonce=\"")) << info;
  DigestChallenge next = strongest();
  next.nonce = info.substr(11, info.find('"', 11) - 11);
  EXPECT_EQ(judge(answer(next)), accepted);
}

TEST_F(Served, rfc_7616_3_9_1_example_values) {
  // The example's user, realm and nonce, as a check of what is hashed and in which order.
  DigestCredentials example;
  example.username = "Mufasa";
  example.realm = "http-auth@example.org";
  example.nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
  example.uri = "/dir/index.html";
  example.qop_auth = true;
  example.nc = "00000001";
  example.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
  DigestSecrets secrets = digest_secrets("Mufasa", "http-auth@example.org", "Circle of Life");
  EXPECT_EQ(digest_response(DigestAlgorithm::md5, secrets.md5, "GET", example),
            "8ca523f5e9506fed4657c9700eebdbec");
  EXPECT_EQ(digest_response(DigestAlgorithm::sha256, secrets.sha256, "GET", example),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
}

}  // namespace
}  // namespace isthmus::sip
