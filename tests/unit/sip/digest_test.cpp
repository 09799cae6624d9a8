#include "sip/digest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace isthmus::sip {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr const char* kNonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";

DigestCredentials example(DigestAlgorithm algorithm) {
  DigestCredentials c;
  c.username = "Mufasa";
  c.realm = "http-auth@example.org";
  c.nonce = kNonce;
  c.uri = "/dir/index.html";
  c.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
  c.nc = "00000001";
  c.algorithm = algorithm;
  c.qop_auth = true;
  return c;
}

std::string respond(const DigestCredentials& c, std::string_view password,
                    std::string_view method = "GET") {
  return digest_response(c.algorithm, digest_ha1(c.algorithm, c.username, c.realm, password),
                         method, c);
}

TEST(Digest, gives_the_responses_of_rfc_7616) {
  EXPECT_EQ(respond(example(DigestAlgorithm::md5), "Circle of Life"),
            "8ca523f5e9506fed4657c9700eebdbec");
  EXPECT_EQ(respond(example(DigestAlgorithm::sha256), "Circle of Life"),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
  // RFC 7616 §3.9.2 as its erratum 4897 corrects it.
  DigestCredentials c;
  c.username = "J\xc3\xa4s\xc3\xb8n Doe";
  c.realm = "api@example.org";
  c.nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK";
  c.uri = "/doe.json";
  c.cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
  c.nc = "00000001";
  c.algorithm = DigestAlgorithm::sha512_256;
  c.qop_auth = true;
  EXPECT_EQ(respond(c, "Secret, or not?"),
            "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
}

// Values computed with another implementation (Python's hashlib).
TEST(Digest, session_algorithms_and_the_legacy_form_without_qop) {
  EXPECT_EQ(respond(example(DigestAlgorithm::md5_sess), "Circle of Life"),
            "e783283f46242139c486a698fec7211d");
  EXPECT_EQ(respond(example(DigestAlgorithm::sha256_sess), "Circle of Life"),
            "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7");
  EXPECT_EQ(respond(example(DigestAlgorithm::sha512_256_sess), "Circle of Life"),
            "3f2a34f923c38b0fb26dce2fdfc2ce326c23cecf86fbb1444f3e51fbbc2cb92e");
  DigestCredentials legacy = example(DigestAlgorithm::md5);
  legacy.qop_auth = false;
  EXPECT_EQ(respond(legacy, "Circle of Life"), "7b2cc3b30e75b4777ea31027084363fd");
}

TEST(Digest, reads_a_challenge_however_it_is_written) {
  auto c = DigestChallenge::parse(
      "digest  REALM = \"a \\\"b\\\" \\\\ c\" ,nonce=abc==, opaque=\"\", "
      "Algorithm=sha-256,\tQOP=\"auth-int , "
      "auth\", stale=TRUE, domain=\"sip:x\", charset=UTF-8");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->realm, "a \"b\" \\ c");
  EXPECT_EQ(c->nonce, "abc==");
  EXPECT_TRUE(c->has_opaque);
  EXPECT_EQ(c->opaque, "");
  EXPECT_EQ(c->algorithm, DigestAlgorithm::sha256);
  EXPECT_TRUE(c->qop_auth);
  EXPECT_TRUE(c->stale);
  auto plain = DigestChallenge::parse("Digest realm=\"r\", nonce=\"n\"");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->algorithm, DigestAlgorithm::md5);
  EXPECT_FALSE(plain->qop_auth || plain->stale || plain->has_opaque);
}

TEST(Digest, a_challenge_survives_writing_and_reading) {
  DigestChallenge c;
  c.realm = "quote\" and \\ and, comma";
  c.nonce = "n";
  c.opaque = "o=1";
  c.algorithm = DigestAlgorithm::sha512_256;
  c.qop_auth = c.stale = true;
  auto back = DigestChallenge::parse(c.to_string());
  ASSERT_TRUE(back) << c.to_string();
  EXPECT_EQ(back->realm, c.realm);
  EXPECT_EQ(back->nonce, c.nonce);
  EXPECT_EQ(back->opaque, c.opaque);
  EXPECT_EQ(back->algorithm, c.algorithm);
  EXPECT_TRUE(back->qop_auth && back->stale);
}

TEST(Digest, refuses_challenges_it_cannot_answer) {
  for (const char* bad :
       {"", "Digest", "Basic realm=\"r\", nonce=\"n\"", "Digest realm=\"r\"", "Digest nonce=\"n\"",
        "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-1",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"", "Digest realm=\"r\", nonce=\"n",
        "Digest realm=\"r\", realm=\"s\", nonce=\"n\"", "realm=\"r\", nonce=\"n\"",
        "Digest realm=\"r\x01\", nonce=\"n\"", "Digest realm=r, nonce=n\x1a",
        "Digest realm=, nonce=\"n\"", "\"Digest\" realm=r"}) {
    EXPECT_FALSE(DigestChallenge::parse(bad)) << bad;
  }
}

TEST(Digest, credentials_survive_writing_and_reading) {
  DigestCredentials c = example(DigestAlgorithm::sha256);
  c.username = "who \"am\" \\ I";
  c.opaque = "xyz";
  c.response = respond(c, "pw");
  auto back = DigestCredentials::parse(c.to_string());
  ASSERT_TRUE(back) << c.to_string();
  EXPECT_EQ(back->username, c.username);
  EXPECT_EQ(back->realm, c.realm);
  EXPECT_EQ(back->nonce, c.nonce);
  EXPECT_EQ(back->uri, c.uri);
  EXPECT_EQ(back->response, c.response);
  EXPECT_EQ(back->cnonce, c.cnonce);
  EXPECT_EQ(back->opaque, c.opaque);
  EXPECT_EQ(back->nc, c.nc);
  EXPECT_EQ(back->algorithm, c.algorithm);
  EXPECT_TRUE(back->qop_auth);
}

TEST(Digest, refuses_credentials_that_cannot_be_right) {
  const std::string good =
      "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", "
      "response=\"0123456789abcdef0123456789abcdef\"";
  EXPECT_TRUE(DigestCredentials::parse(good));
  EXPECT_TRUE(DigestCredentials::parse(good + ", qop=auth, cnonce=\"c\", nc=0000000A"));
  for (const char* tail :
       {", qop=auth", ", qop=auth, cnonce=\"c\"", ", qop=auth, cnonce=\"c\", nc=1",
        ", qop=auth, cnonce=\"c\", nc=0000000g", ", qop=auth-int, cnonce=\"c\", nc=00000001",
        ", algorithm=SHA-256", ", algorithm=nonsense", ", username=\"v\"", ", Basic abc"}) {
    EXPECT_FALSE(DigestCredentials::parse(good + tail)) << tail;
  }
  EXPECT_FALSE(
      DigestCredentials::parse("Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"x\""));
  EXPECT_FALSE(DigestCredentials::parse(
      "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"x\", response=\"\""));
}

// --- the client
// -----------------------------------------------------------------------------------------------

Message make_request(int cseq = 1, std::string_view call_id = "c1") {
  Message request = Message::request("REGISTER", "sip:example.org");
  request.add(HeaderId::via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx");
  request.add(HeaderId::from, "<sip:alice@example.org>;tag=a");
  request.add(HeaderId::to, "<sip:alice@example.org>");
  request.add(HeaderId::call_id, call_id);
  request.add(HeaderId::cseq, std::to_string(cseq) + " REGISTER");
  return request;
}

Message challenge(const Message& request, std::vector<std::string> www,
                  std::vector<std::string> proxy = {}) {
  Message response = Message::response_to(request, proxy.empty() ? 401 : 407, {}, "srv");
  for (const auto& value : www) response.add(HeaderId::www_authenticate, value);
  for (const auto& value : proxy) response.add(HeaderId::proxy_authenticate, value);
  return response;
}

std::string digest(std::string_view realm, std::string_view nonce, std::string_view more = "") {
  return "Digest realm=\"" + std::string(realm) + "\", nonce=\"" + std::string(nonce) + '"' +
         std::string(more);
}

// Checks every answer in the request as the server would; returns them.
std::vector<DigestCredentials> verified(const Message& request, HeaderId header) {
  std::vector<DigestCredentials> all;
  for (auto value : request.fields(header)) {
    auto c = DigestCredentials::parse(value);
    EXPECT_TRUE(c) << value;
    if (!c) continue;
    EXPECT_EQ(c->response, respond(*c, "secret", request.method_text())) << value;
    EXPECT_EQ(c->uri, request.request_uri());
    all.push_back(*c);
  }
  return all;
}

class DigestClientTest : public testing::Test {
 protected:
  SeededRandom random{3};
  DigestClient client{"alice", "secret", random};
};

TEST_F(DigestClientTest, answers_with_the_strongest_algorithm) {
  Message request = make_request();
  Message response = challenge(request, {digest("r", "n1", ", qop=\"auth\""),
                                         digest("r", "n2", ", algorithm=SHA-256, qop=\"auth\""),
                                         digest("r", "n3", ", algorithm=SHA-1, qop=\"auth\"")});
  auto all = challenges(response);
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].algorithm, DigestAlgorithm::sha256);
  ASSERT_TRUE(client.authorize(request, response));
  auto answers = verified(request, HeaderId::authorization);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].nonce, "n2");
  EXPECT_EQ(answers[0].nc, "00000001");
  EXPECT_FALSE(answers[0].cnonce.empty());
}

TEST_F(DigestClientTest, prefers_qop_among_equals_and_reads_several_challenges_of_one_header) {
  Message request = make_request();
  ASSERT_TRUE(client.authorize(
      request, challenge(request, {digest("r", "old") + ", Digest realm=\"r\", nonce=\"new\", "
                                                        "qop=\"auth\", Basic realm=\"r\""})));
  auto answers = verified(request, HeaderId::authorization);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].nonce, "new");
}

TEST_F(DigestClientTest, answers_the_legacy_form_without_nc_and_cnonce) {
  Message request = make_request();
  ASSERT_TRUE(client.authorize(request, challenge(request, {digest("r", "n", ", opaque=\"\"")})));
  std::string value(*request.get(HeaderId::authorization));
  EXPECT_THAT(value, Not(HasSubstr("nc=")));
  EXPECT_THAT(value, Not(HasSubstr("qop")));
  EXPECT_THAT(value, HasSubstr("opaque=\"\""));
  verified(request, HeaderId::authorization);
}

TEST_F(DigestClientTest, counts_the_uses_of_a_nonce_and_keeps_its_cnonce) {
  std::string cnonce;
  for (int i = 1; i <= 12; ++i) {
    Message request = make_request(10 * i, "call-" + std::to_string(i));
    ASSERT_TRUE(client.authorize(
        request, challenge(request, {digest("r", "n", ", qop=\"auth\", algorithm=MD5-sess")})));
    auto answers = verified(request, HeaderId::authorization);
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_EQ(answers[0].nc, std::string("0000000") + "0123456789abc"[i]);
    if (i > 1) {
      EXPECT_EQ(answers[0].cnonce, cnonce);
    }
    cnonce = answers[0].cnonce;
  }
  Message request = make_request(500);
  ASSERT_TRUE(client.authorize(request, challenge(request, {digest("r", "m", ", qop=\"auth\"")})));
  auto answers = verified(request, HeaderId::authorization);
  EXPECT_EQ(answers.at(0).nc, "00000001");
  EXPECT_NE(answers.at(0).cnonce, cnonce);
}

TEST_F(DigestClientTest, holds_the_realms_of_a_path_at_once) {
  Message request = make_request();
  ASSERT_TRUE(
      client.authorize(request, challenge(request, {}, {digest("p1", "a", ", qop=\"auth\"")})));
  ASSERT_TRUE(
      client.authorize(request, challenge(request, {}, {digest("p2", "b", ", qop=\"auth\"")})));
  ASSERT_TRUE(
      client.authorize(request, challenge(request, {digest("home", "c", ", qop=\"auth\"")})));
  auto proxies = verified(request, HeaderId::proxy_authorization);
  ASSERT_THAT(proxies, SizeIs(2));
  EXPECT_EQ(proxies[0].realm, "p1");
  EXPECT_EQ(proxies[1].realm, "p2");
  auto home = verified(request, HeaderId::authorization);
  ASSERT_THAT(home, SizeIs(1));
  EXPECT_EQ(home[0].realm, "home");
  Message both = make_request(9, "c9");
  ASSERT_TRUE(client.authorize(both, challenge(both, {digest("home", "c", ", qop=\"auth\"")},
                                               {digest("p1", "a", ", qop=\"auth\"")})));
  EXPECT_EQ(verified(both, HeaderId::authorization).at(0).nc, "00000002");
  EXPECT_EQ(verified(both, HeaderId::proxy_authorization).at(0).nc, "00000002");
}

TEST_F(DigestClientTest, notices_that_its_answer_was_refused) {
  for (const char* second : {"n1", "n2"}) {
    DigestClient fresh("alice", "secret", random);
    Message request = make_request();
    ASSERT_TRUE(
        fresh.authorize(request, challenge(request, {digest("r", "n1", ", qop=\"auth\"")})));
    std::string before = request.serialize();
    EXPECT_FALSE(
        fresh.authorize(request, challenge(request, {digest("r", second, ", qop=\"auth\"")})));
    EXPECT_EQ(request.serialize(), before) << "a refused request is left as it was";
  }
}

TEST_F(DigestClientTest, notices_it_in_a_request_that_was_kept_without_the_answer) {
  Message first = make_request(1);
  Message sent = first;
  ASSERT_TRUE(client.authorize(sent, challenge(first, {digest("r", "n1", ", qop=\"auth\"")})));
  Message second = make_request(2);
  EXPECT_FALSE(client.authorize(second, challenge(second, {digest("r", "n2", ", qop=\"auth\"")})));
  Message later = make_request(3);
  EXPECT_TRUE(client.authorize(later, challenge(later, {digest("r", "n1", ", qop=\"auth\"")})))
      << "a later request of the same Call-ID is not the refused one";
}

TEST_F(DigestClientTest, a_stale_nonce_is_no_refusal) {
  Message request = make_request();
  ASSERT_TRUE(client.authorize(request, challenge(request, {digest("r", "n1", ", qop=\"auth\"")})));
  ASSERT_TRUE(client.authorize(
      request, challenge(request, {digest("r", "n2", ", qop=\"auth\", stale=true")})));
  auto answers = verified(request, HeaderId::authorization);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].nonce, "n2");
  EXPECT_FALSE(client.authorize(
      request, challenge(request, {digest("r", "n2", ", qop=\"auth\", stale=true")})))
      << "a nonce that was fresh cannot be stale: no endless loop";
}

TEST_F(DigestClientTest, a_nonce_renewed_without_stale_is_believed_once) {
  Message first = make_request(1, "c1");
  ASSERT_TRUE(client.authorize(first, challenge(first, {digest("r", "n1", ", qop=\"auth\"")})));
  Message request = make_request(5, "c2");
  ASSERT_TRUE(client.authorize(request, challenge(request, {digest("r", "n1", ", qop=\"auth\"")})));
  EXPECT_TRUE(client.authorize(request, challenge(request, {digest("r", "n2", ", qop=\"auth\"")})));
  EXPECT_FALSE(
      client.authorize(request, challenge(request, {digest("r", "n3", ", qop=\"auth\"")})));
}

TEST_F(DigestClientTest, later_requests_bear_credentials_before_they_are_asked) {
  Message first = make_request(1, "c1");
  client.anticipate(first);
  EXPECT_FALSE(first.has(HeaderId::authorization));  // nobody asked yet
  ASSERT_TRUE(client.authorize(first, challenge(first, {digest("r", "n1", ", qop=\"auth\"")})));
  Message second = make_request(1, "c2");
  client.anticipate(second);
  client.anticipate(second);  // once is enough
  ASSERT_THAT(second.fields(HeaderId::authorization), SizeIs(1));
  EXPECT_EQ(verified(second, HeaderId::authorization).at(0).nc, "00000002");
  // Its nonce has aged: that is no refusal, the answer to a fresh one is.
  ASSERT_TRUE(client.authorize(second, challenge(second, {digest("r", "n2", ", qop=\"auth\"")})));
  ASSERT_FALSE(client.authorize(second, challenge(second, {digest("r", "n3", ", qop=\"auth\"")})));
  Message third = make_request(1, "c3");
  client.anticipate(third);
  EXPECT_FALSE(third.has(HeaderId::authorization));
}

TEST_F(DigestClientTest, takes_the_next_nonce_that_a_success_names) {
  Message request = make_request(1, "c1");
  ASSERT_TRUE(client.authorize(request, challenge(request, {digest("r", "n1", ", qop=\"auth\"")})));
  Message ok = Message::response_to(request, 200);
  ok.add(HeaderId::authentication_info, "qop=auth, nc=00000001, nextnonce=\"n2\"");
  Message stranger = make_request(1, "c9");
  EXPECT_FALSE(client.learn(stranger, ok));  // bore no answer of ours
  EXPECT_TRUE(client.learn(request, ok));
  Message next = make_request(1, "c2");
  client.anticipate(next);
  EXPECT_EQ(verified(next, HeaderId::authorization).at(0).nonce, "n2");
  EXPECT_EQ(verified(next, HeaderId::authorization).at(0).nc, "00000001");
  Message odd = Message::response_to(next, 200);
  odd.add(HeaderId::authentication_info, "=, \"nextnonce");
  EXPECT_TRUE(client.learn(next, odd));  // ours, but says nothing
  Message after = make_request(1, "c3");
  client.anticipate(after);
  EXPECT_EQ(verified(after, HeaderId::authorization).at(0).nonce, "n2");
}

TEST_F(DigestClientTest, without_a_usable_challenge_it_says_so) {
  Message request = make_request();
  EXPECT_FALSE(client.authorize(request, challenge(request, {})));
  EXPECT_FALSE(client.authorize(request, challenge(request, {"Basic realm=\"r\"", "Digest x"})));
  EXPECT_FALSE(request.has(HeaderId::authorization));
}

TEST_F(DigestClientTest, remembers_a_bounded_number_of_realms) {
  for (int i = 0; i < 100; ++i) {
    Message request = make_request(1, "c" + std::to_string(i));
    ASSERT_TRUE(client.authorize(
        request, challenge(request, {digest("r" + std::to_string(i), "n", ", qop=\"auth\"")})));
  }
  Message oldest = make_request(1, "x");
  ASSERT_TRUE(client.authorize(oldest, challenge(oldest, {digest("r0", "n", ", qop=\"auth\"")})));
  EXPECT_EQ(verified(oldest, HeaderId::authorization).at(0).nc, "00000001");
  Message newest = make_request(1, "y");
  ASSERT_TRUE(client.authorize(newest, challenge(newest, {digest("r99", "n", ", qop=\"auth\"")})));
  EXPECT_EQ(verified(newest, HeaderId::authorization).at(0).nc, "00000002");
  std::vector<std::string> many;
  for (int i = 0; i < 100; ++i) many.push_back(digest("m" + std::to_string(i), "n"));
  Message flooded = make_request(1, "z");
  ASSERT_TRUE(client.authorize(flooded, challenge(flooded, many)));
  EXPECT_THAT(flooded.fields(HeaderId::authorization), SizeIs(limits::kDigestRealms));
}

}  // namespace
}  // namespace isthmus::sip
