#include "session/token.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"

namespace isthmus::session {
namespace {

using ::testing::HasSubstr;

constexpr WallSeconds kNow{seconds(1'800'000'000)};  // 2027-01-15T08:00:00Z

HmacKey hmac_key(std::uint8_t fill) {
  return {Bytes(32, fill)};
}
Ed25519PrivateKey private_key(std::uint8_t fill) {
  return {Bytes(32, fill)};
}

TokenVerifier::Policy policy() {
  TokenVerifier::Policy out;
  out.issuer = "https://login.example";
  out.audience = "isthmus";
  return out;
}

TokenVerifier hmac_verifier() {
  auto rules = policy();
  rules.hmac_keys = {hmac_key(1), hmac_key(2)};
  return TokenVerifier(rules);
}

TokenVerifier ed25519_verifier() {
  auto rules = policy();
  rules.ed25519_keys = {*public_key_of(private_key(8)), *public_key_of(private_key(9))};
  return TokenVerifier(rules);
}

TokenClaims claims() {
  TokenClaims out;
  out.subject = "alice";
  out.issuer = "https://login.example";
  out.audience = "isthmus";
  out.expires_at = kNow + seconds(600);
  return out;
}

std::string minted(const SigningKey& key, const TokenClaims& what) {
  auto token = mint_token(key, what);
  EXPECT_TRUE(token);
  return token ? *token : std::string();
}

std::string encoded(std::string_view text) {
  return base64_encode(as_bytes(text), Base64::url);
}

TokenFault fault_of(const TokenVerifier& verifier, std::string_view token, WallSeconds now = kNow) {
  auto result = verifier.verify(token, now);
  EXPECT_FALSE(result) << "token was accepted";
  return result ? TokenFault{255} : result.error().fault;
}

/// A token with any payload, correctly signed with HMAC key 1: what a careless issuer could send.
std::string signed_payload(std::string_view payload) {
  std::string text = encoded(R"({"alg":"HS256","kid":"any"})") + "." + encoded(payload);
  Bytes mac(32), key = hmac_key(1).secret;
  HMAC(EVP_sha256(), key.data(), 32, as_bytes(text).data(), text.size(), mac.data(), nullptr);
  return text + "." + base64_encode(mac, Base64::url);
}

TEST(Token, minted_tokens_verify_with_both_algorithms) {
  for (bool hmac : {true, false}) {
    SigningKey key = hmac ? SigningKey(hmac_key(2)) : SigningKey(private_key(9));
    TokenVerifier verifier = hmac ? hmac_verifier() : ed25519_verifier();
    auto verified = verifier.verify(minted(key, claims()), kNow);
    ASSERT_TRUE(verified) << verified.error().text;
    EXPECT_EQ(verified->subject, "alice");
    EXPECT_EQ(verified->expires_at, kNow + seconds(600));
    EXPECT_TRUE(verified->aors.empty());
  }
}

TEST(Token, addresses_of_record_are_carried) {
  TokenClaims what = claims();
  what.aors = {"alice", "+4930123", "*"};
  auto verified = hmac_verifier().verify(minted(hmac_key(1), what), kNow);
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->aors, what.aors);
}

// RFC 8037 appendix A.4: the signature is good, and so the fault has to be the payload, which is no
// JSON.
TEST(Token, ed25519_example_of_rfc_8037_has_a_good_signature) {
  TokenVerifier::Policy rules;
  auto key = parse_ed25519_public_key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
  ASSERT_TRUE(key);
  rules.ed25519_keys = {*key};
  EXPECT_EQ(
      fault_of(TokenVerifier(rules),
               "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PP"
               "Ot7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
      TokenFault::malformed);
}

// RFC 7515 appendix A.1: a good signature over claims without "sub".
TEST(Token, hmac_example_of_rfc_7515_has_a_good_signature) {
  TokenVerifier::Policy rules;
  auto key = parse_hmac_key(
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
  ASSERT_TRUE(key);
  rules.hmac_keys = {*key};
  EXPECT_EQ(
      fault_of(TokenVerifier(rules),
               "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
               "ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU"
               "1p1r_wW1gFWFOEjXk"),
      TokenFault::missing_claim);
}

TEST(Token, alg_none_is_refused_in_every_spelling) {
  std::string token = minted(hmac_key(1), claims());
  std::string payload = token.substr(token.find('.') + 1);
  payload = payload.substr(0, payload.find('.'));
  for (const char* header :
       {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"NONE"})", R"({"alg":"hs256"})",
        R"({"alg":""})", R"({"alg":null})", R"({"alg":["HS256"]})", R"({})", R"({"alg":"HS512"})",
        R"({"alg":"RS256"})"}) {
    SCOPED_TRACE(header);
    EXPECT_EQ(fault_of(hmac_verifier(), encoded(header) + "." + payload + "."),
              TokenFault::algorithm_refused);
    EXPECT_EQ(fault_of(ed25519_verifier(), encoded(header) + "." + payload + "."),
              TokenFault::algorithm_refused);
  }
}

TEST(Token, missing_signature_is_a_bad_signature) {
  std::string token = minted(hmac_key(1), claims());
  EXPECT_EQ(fault_of(hmac_verifier(), token.substr(0, token.rfind('.') + 1)),
            TokenFault::bad_signature);
}

// RFC 8725 §2.1: an attacker who knows the public key signs with it as if it were an HMAC secret.
TEST(Token, hs256_with_the_public_key_as_secret_is_refused) {
  HmacKey confused{public_key_of(private_key(8))->raw};
  std::string token = minted(confused, claims());
  EXPECT_EQ(fault_of(ed25519_verifier(), token), TokenFault::algorithm_refused);
  auto rules = policy();
  rules.ed25519_keys = {*public_key_of(private_key(8))};
  rules.hmac_keys = {hmac_key(1)};
  EXPECT_EQ(fault_of(TokenVerifier(rules), token), TokenFault::bad_signature)
      << "with both key types configured as well";
}

TEST(Token, signature_of_a_foreign_key_is_refused) {
  EXPECT_EQ(fault_of(hmac_verifier(), minted(hmac_key(3), claims())), TokenFault::bad_signature);
  EXPECT_EQ(fault_of(ed25519_verifier(), minted(private_key(3), claims())),
            TokenFault::bad_signature);
}

TEST(Token, every_tampered_character_is_noticed) {
  for (bool hmac : {true, false}) {
    SigningKey key = hmac ? SigningKey(hmac_key(1)) : SigningKey(private_key(8));
    TokenVerifier verifier = hmac ? hmac_verifier() : ed25519_verifier();
    const std::string token = minted(key, claims());
    for (std::size_t i = 0; i < token.size(); ++i) {
      std::string tampered = token;
      tampered[i] = token[i] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(verifier.verify(tampered, kNow)) << "at " << i;
    }
  }
}

TEST(Token, payload_of_one_token_does_not_fit_the_signature_of_another) {
  TokenClaims mallory = claims();
  mallory.subject = "mallory";
  std::string a = minted(hmac_key(1), claims()), b = minted(hmac_key(1), mallory);
  std::string mixed = a.substr(0, a.rfind('.')) + b.substr(b.rfind('.'));
  EXPECT_EQ(fault_of(hmac_verifier(), mixed), TokenFault::bad_signature);
}

TEST(Token, expiry_counts_after_the_leeway_and_says_when) {
  std::string token = minted(hmac_key(1), claims());
  TokenVerifier verifier = hmac_verifier();
  EXPECT_TRUE(verifier.verify(token, kNow + seconds(600 + 29)));
  auto late = verifier.verify(token, kNow + seconds(600 + 30));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().fault, TokenFault::expired);
  EXPECT_EQ(late.error().text, "token expired at 2027-01-15T08:10:00Z, it is 2027-01-15T08:10:30Z");
}

TEST(Token, a_token_of_the_future_waits_for_its_nbf) {
  TokenClaims what = claims();
  what.not_before = kNow + seconds(100);
  std::string token = minted(private_key(8), what);
  TokenVerifier verifier = ed25519_verifier();
  EXPECT_EQ(fault_of(verifier, token), TokenFault::not_yet_valid);
  EXPECT_EQ(fault_of(verifier, token, kNow + seconds(69)), TokenFault::not_yet_valid);
  EXPECT_TRUE(verifier.verify(token, kNow + seconds(70)));
}

TEST(Token, issuer_and_audience_are_checked_when_configured) {
  TokenClaims what = claims();
  what.issuer = "https://evil.example";
  EXPECT_EQ(fault_of(hmac_verifier(), minted(hmac_key(1), what)), TokenFault::wrong_issuer);
  what.issuer.clear();
  EXPECT_EQ(fault_of(hmac_verifier(), minted(hmac_key(1), what)), TokenFault::wrong_issuer);
  what = claims();
  what.audience = "another";
  EXPECT_EQ(fault_of(hmac_verifier(), minted(hmac_key(1), what)), TokenFault::wrong_audience);
  what.audience.clear();
  EXPECT_EQ(fault_of(hmac_verifier(), minted(hmac_key(1), what)), TokenFault::wrong_audience);

  TokenVerifier::Policy open;
  open.hmac_keys = {hmac_key(1)};
  EXPECT_TRUE(TokenVerifier(open).verify(minted(hmac_key(1), what), kNow));
}

TEST(Token, no_keys_means_no_tokens) {
  EXPECT_EQ(fault_of(TokenVerifier(), minted(hmac_key(1), claims())), TokenFault::not_accepted);
}

TEST(Token, a_huge_token_is_refused_before_anything_is_computed) {
  EXPECT_EQ(fault_of(hmac_verifier(), std::string(limits::kTokenBytes + 1, 'A')),
            TokenFault::too_long);
  TokenClaims what = claims();
  what.aors.assign(limits::kAorsPerUser, std::string(100, 'a'));
  EXPECT_EQ(fault_of(hmac_verifier(), minted(hmac_key(1), what)), TokenFault::too_long);
}

TEST(Token, anything_that_is_no_token_is_malformed) {
  std::string deep = std::string(1000, '[') + std::string(1000, ']');
  for (std::string text :
       {std::string(), std::string("."), std::string(".."), std::string("a.b"),
        std::string("a.b.c.d"), std::string("!.!.!"), encoded("[]") + ".e30.",
        encoded("{") + ".e30.", encoded(deep) + ".e30.", encoded("\xff\xfe") + ".e30.",
        encoded(R"({"alg":"HS256"})") + ".e30.****"}) {
    EXPECT_EQ(fault_of(hmac_verifier(), text), TokenFault::malformed) << text;
  }
}

TEST(Token, critical_extensions_are_refused) {
  std::string token = minted(hmac_key(1), claims());
  std::string rest = token.substr(token.find('.'));
  EXPECT_EQ(fault_of(hmac_verifier(), encoded(R"({"alg":"HS256","crit":["exp"]})") + rest),
            TokenFault::algorithm_refused);
}

TEST(Token, well_signed_claims_still_need_the_right_types) {
  TokenVerifier::Policy rules;
  rules.hmac_keys = {hmac_key(1)};
  TokenVerifier verifier(rules);
  ASSERT_TRUE(verifier.verify(signed_payload(R"({"sub":"a","exp":1900000000.5})"), kNow));
  const std::pair<const char*, TokenFault> cases[] = {
      {R"([])", TokenFault::malformed},
      {R"({"sub":"a"})", TokenFault::missing_claim},
      {R"({"exp":1900000000})", TokenFault::missing_claim},
      {R"({"sub":"a","exp":"1900000000"})", TokenFault::malformed},
      {R"({"sub":"a","exp":-1})", TokenFault::malformed},
      {R"({"sub":"a","exp":1e300})", TokenFault::malformed},
      {R"({"sub":"a","exp":18446744073709551615})", TokenFault::malformed},
      {R"({"sub":"a","exp":9223372036854775807})", TokenFault::malformed},
      {R"({"sub":"a","exp":null})", TokenFault::malformed},
      {R"({"sub":7,"exp":1900000000})", TokenFault::malformed},
      {R"({"sub":"","exp":1900000000})", TokenFault::malformed},
      {R"({"sub":"a\r\nVia: x","exp":1900000000})", TokenFault::malformed},
      {R"({"sub":"a","exp":1900000000,"nbf":"soon"})", TokenFault::malformed},
      {R"({"sub":"a","exp":1900000000,"aors":"a"})", TokenFault::malformed},
      {R"({"sub":"a","exp":1900000000,"aors":[1]})", TokenFault::malformed},
      {R"({"sub":"a","exp":1900000000,"aors":["x y"]})", TokenFault::malformed},
  };
  for (auto [payload, fault] : cases) {
    SCOPED_TRACE(payload);
    EXPECT_EQ(fault_of(verifier, signed_payload(payload)), fault);
  }
}

TEST(Token, an_audience_may_be_one_of_several) {
  TokenVerifier::Policy rules;
  rules.hmac_keys = {hmac_key(1)};
  rules.audience = "isthmus";
  TokenVerifier verifier(rules);
  EXPECT_TRUE(verifier.verify(
      signed_payload(R"({"sub":"a","exp":1900000000,"aud":["web",3,"isthmus"]})"), kNow));
  for (const char* audience : {R"(["web"])", R"([])", R"({"isthmus":1})", R"("isthmus2")"}) {
    std::string payload = std::string(R"({"sub":"a","exp":1900000000,"aud":)") + audience + "}";
    EXPECT_EQ(fault_of(verifier, signed_payload(payload)), TokenFault::wrong_audience) << audience;
  }
}

TEST(Token, an_error_text_does_not_repeat_what_an_unverified_token_says) {
  TokenClaims what = claims();
  what.subject = "INJECTED";
  what.issuer = "INJECTED";
  auto result = hmac_verifier().verify(minted(hmac_key(7), what), kNow);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().text, ::testing::Not(HasSubstr("INJECTED")));
}

TEST(Token, unusable_keys_and_subjects_mint_nothing) {
  EXPECT_FALSE(mint_token(HmacKey{Bytes(31, 1)}, claims()));
  EXPECT_FALSE(mint_token(Ed25519PrivateKey{Bytes(31, 1)}, claims()));
  for (std::string subject : {std::string(), std::string("a b"), std::string("a\nb"),
                              std::string("<a>"), std::string(limits::kUserNameBytes + 1, 'a')}) {
    TokenClaims what = claims();
    what.subject = subject;
    EXPECT_FALSE(mint_token(hmac_key(1), what)) << subject;
  }
}

TEST(TokenKeys, pem_and_base64url_name_the_same_key) {
  // The key pair of RFC 8410 §10.3.
  constexpr char kPrivate[] =
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
      "-----END PRIVATE KEY-----\n";
  constexpr char kPublic[] =
      "-----BEGIN PUBLIC KEY-----\n"
      "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
      "-----END PUBLIC KEY-----\n";
  auto secret = parse_ed25519_private_key(kPrivate);
  auto open = parse_ed25519_public_key(kPublic);
  ASSERT_TRUE(secret && open);
  EXPECT_EQ(public_key_of(*secret)->raw, open->raw);
  EXPECT_EQ(parse_ed25519_public_key(base64_encode(open->raw, Base64::url) + "\n")->raw, open->raw);
  EXPECT_EQ(parse_ed25519_private_key(base64_encode(secret->seed, Base64::url))->seed,
            secret->seed);
  EXPECT_FALSE(parse_ed25519_public_key(kPrivate)) << "a private key where a public one belongs";
  EXPECT_FALSE(parse_ed25519_private_key(kPublic));
}

TEST(TokenKeys, keys_of_other_kinds_and_sizes_are_refused) {
  constexpr char kEcdsa[] =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n"
      "q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n"
      "-----END PUBLIC KEY-----\n";
  EXPECT_FALSE(parse_ed25519_public_key(kEcdsa));
  EXPECT_FALSE(parse_ed25519_public_key("-----BEGIN PUBLIC KEY-----\ngarbage\n"));
  EXPECT_FALSE(parse_ed25519_public_key(std::string(42, 'A')));
  EXPECT_FALSE(parse_ed25519_public_key(""));
  EXPECT_FALSE(parse_hmac_key(std::string(40, 'A'))) << "30 bytes";
  EXPECT_TRUE(parse_hmac_key(std::string(43, 'A') + "\n")) << "32 bytes and a file's newline";
  EXPECT_FALSE(parse_hmac_key("correct horse battery staple, and then some more text"));
}

}  // namespace
}  // namespace isthmus::session
