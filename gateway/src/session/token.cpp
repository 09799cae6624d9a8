#include "session/token.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

#include "base/base64.hpp"
#include "base/limits.hpp"

namespace isthmus::session {
namespace {

namespace json = boost::json;

constexpr std::size_t kHmacBytes = 32, kEd25519SignatureBytes = 64;
constexpr std::int64_t kLastSecond = 253'402'300'799;  ///< 9999-12-31T23:59:59Z

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Free>;

TokenError error(TokenFault fault, std::string text) {
  return {fault, std::move(text)};
}

std::string timestamp(WallSeconds time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date(day);
  auto rest = static_cast<int>((time - day).count());
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), rest / 3600,
                rest / 60 % 60, rest % 60);
  return text;
}

std::optional<json::object> parse_object(std::string_view base64url) {
  auto bytes = base64_decode(base64url, Base64::url);
  if (!bytes) return std::nullopt;
  boost::system::error_code failure;
  json::value value = json::parse(json::string_view(as_text(*bytes)), failure);
  if (failure || !value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

/// RFC 7519 §2 NumericDate, fractions dropped; nothing when it is no number or beyond the year
/// 9999.
std::optional<WallSeconds> numeric_date(const json::value& value) {
  double count = 0;
  if (value.is_int64()) {
    count = static_cast<double>(value.get_int64());
  } else if (value.is_double()) {
    count = value.get_double();
  } else {
    return std::nullopt;  // what only fits 64 bits unsigned is far beyond the year 9999
  }
  if (!(count >= 0 && count <= static_cast<double>(kLastSecond))) return std::nullopt;
  return WallSeconds(seconds(static_cast<std::int64_t>(std::floor(count))));
}

std::optional<Bytes> hmac_sha256(ByteView key, std::string_view text) {
  Bytes out(kHmacBytes);
  unsigned size = 0;
  const unsigned char* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   as_bytes(text).data(), text.size(), out.data(), &size);
  if (done == nullptr || size != out.size()) return std::nullopt;
  return out;
}

bool ed25519_fits(ByteView raw_key, std::string_view text, ByteView signature) {
  KeyPtr key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw_key.data(), raw_key.size()));
  DigestPtr context(EVP_MD_CTX_new());
  return key && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), as_bytes(text).data(),
                          text.size()) == 1;
}

std::optional<Bytes> ed25519_sign(ByteView seed, std::string_view text) {
  KeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  DigestPtr context(EVP_MD_CTX_new());
  Bytes out(kEd25519SignatureBytes);
  std::size_t size = out.size();
  if (!key || !context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), out.data(), &size, as_bytes(text).data(), text.size()) != 1) {
    return std::nullopt;
  }
  return out;
}

/// Printable ASCII without what would need quoting in logs and URIs.
bool clean_text(std::string_view text, std::size_t most) {
  if (text.empty() || text.size() > most) return false;
  for (char c : text) {
    if (c <= ' ' || c > '~' || c == '"' || c == '<' || c == '>' || c == '\\') return false;
  }
  return true;
}

std::string text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// RFC 7519 §4.1.3: "aud" is one string or an array of them.
bool audience_holds(const json::value* value, std::string_view audience) {
  if (value == nullptr) return false;
  if (value->is_string()) return std::string_view(value->get_string()) == audience;
  if (!value->is_array()) return false;
  for (const json::value& item : value->get_array()) {
    if (item.is_string() && std::string_view(item.get_string()) == audience) return true;
  }
  return false;
}

/// The claims that say who it is, once the signature has been found good.
Result<TokenClaims, TokenError> read_claims(const json::object& payload) {
  TokenClaims claims;
  const json::value* expiry = payload.if_contains("exp");
  const json::value* subject = payload.if_contains("sub");
  if (expiry == nullptr) return error(TokenFault::missing_claim, "token has no \"exp\" claim");
  if (subject == nullptr) return error(TokenFault::missing_claim, "token has no \"sub\" claim");
  auto expires_at = numeric_date(*expiry);
  if (!expires_at) return error(TokenFault::malformed, "token's \"exp\" claim is not a time");
  claims.expires_at = *expires_at;
  claims.subject = text_of(subject);
  if (!clean_text(claims.subject, limits::kUserNameBytes)) {
    return error(TokenFault::malformed, "token's \"sub\" claim is not a user name");
  }
  if (const json::value* begin = payload.if_contains("nbf")) {
    claims.not_before = numeric_date(*begin);
    if (!claims.not_before) {
      return error(TokenFault::malformed, "token's \"nbf\" claim is not a time");
    }
  }
  if (const json::value* aors = payload.if_contains("aors")) {
    TokenError wrong =
        error(TokenFault::malformed, "token's \"aors\" claim is not a list of user names");
    if (!aors->is_array() || aors->get_array().size() > limits::kAorsPerUser) return wrong;
    for (const json::value& item : aors->get_array()) {
      claims.aors.push_back(text_of(&item));
      if (!clean_text(claims.aors.back(), limits::kUserNameBytes)) return wrong;
    }
  }
  return claims;
}

}  // namespace

const char* to_text(TokenFault fault) {
  switch (fault) {
    case TokenFault::not_accepted:
      return "tokens not accepted";
    case TokenFault::too_long:
      return "token too long";
    case TokenFault::malformed:
      return "malformed token";
    case TokenFault::algorithm_refused:
      return "token algorithm refused";
    case TokenFault::bad_signature:
      return "bad token signature";
    case TokenFault::expired:
      return "token expired";
    case TokenFault::not_yet_valid:
      return "token not yet valid";
    case TokenFault::wrong_issuer:
      return "wrong token issuer";
    case TokenFault::wrong_audience:
      return "wrong token audience";
    case TokenFault::missing_claim:
      return "token claim missing";
  }
  return "unknown token fault";
}

bool TokenVerifier::signature_fits(std::string_view signed_part, ByteView signature,
                                   bool hmac) const {
  if (!hmac) {
    if (signature.size() != kEd25519SignatureBytes) return false;
    for (const Ed25519PublicKey& key : policy_.ed25519_keys) {
      if (ed25519_fits(key.raw, signed_part, signature)) return true;
    }
    return false;
  }
  if (signature.size() != kHmacBytes) return false;
  for (const HmacKey& key : policy_.hmac_keys) {
    auto expected = hmac_sha256(key.secret, signed_part);
    if (expected && CRYPTO_memcmp(expected->data(), signature.data(), kHmacBytes) == 0) return true;
  }
  return false;
}

std::optional<TokenError> TokenVerifier::check_times(const TokenClaims& claims,
                                                     WallSeconds now) const {
  if (now >= claims.expires_at + policy_.leeway) {
    return error(TokenFault::expired,
                 "token expired at " + timestamp(claims.expires_at) + ", it is " + timestamp(now));
  }
  if (claims.not_before && now + policy_.leeway < *claims.not_before) {
    return error(
        TokenFault::not_yet_valid,
        "token is not valid before " + timestamp(*claims.not_before) + ", it is " + timestamp(now));
  }
  return std::nullopt;
}

Result<TokenClaims, TokenError> TokenVerifier::verify(std::string_view token,
                                                      WallSeconds now) const {
  if (policy_.hmac_keys.empty() && policy_.ed25519_keys.empty()) {
    return error(TokenFault::not_accepted, "this gateway accepts no tokens, only passwords");
  }
  if (token.size() > limits::kTokenBytes) {
    return error(TokenFault::too_long,
                 "token is longer than " + std::to_string(limits::kTokenBytes) + " bytes");
  }
  std::size_t first = token.find('.');
  std::size_t last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.find('.', first + 1) != last) {
    return error(TokenFault::malformed, "token is not header.payload.signature");
  }
  auto header = parse_object(token.substr(0, first));
  if (!header) return error(TokenFault::malformed, "token's header is not a base64url JSON object");
  // RFC 7515 §4.1.11: extensions marked critical must be understood, and we know none. A "kid" is
  // not needed: there are few keys, and every one of the algorithm's type is tried.
  if (header->contains("crit")) {
    return error(TokenFault::algorithm_refused, "token requires extensions (\"crit\")");
  }
  std::string algorithm = text_of(header->if_contains("alg"));
  bool hmac = algorithm == "HS256";
  bool has_key = hmac ? !policy_.hmac_keys.empty() : !policy_.ed25519_keys.empty();
  if ((!hmac && algorithm != "EdDSA") || !has_key) {
    return error(TokenFault::algorithm_refused,
                 policy_.hmac_keys.empty()      ? "token's \"alg\" must be EdDSA"
                 : policy_.ed25519_keys.empty() ? "token's \"alg\" must be HS256"
                                                : "token's \"alg\" must be HS256 or EdDSA");
  }
  auto signature = base64_decode(token.substr(last + 1), Base64::url);
  if (!signature) return error(TokenFault::malformed, "token's signature is not base64url");
  if (!signature_fits(token.substr(0, last), *signature, hmac)) {
    return error(TokenFault::bad_signature, "token's signature does not fit any key");
  }
  auto payload = parse_object(token.substr(first + 1, last - first - 1));
  if (!payload)
    return error(TokenFault::malformed, "token's payload is not a base64url JSON object");
  auto claims = read_claims(*payload);
  if (!claims) return claims.error();
  if (auto wrong = check_times(*claims, now)) return *wrong;
  if (!policy_.issuer.empty() && text_of(payload->if_contains("iss")) != policy_.issuer) {
    return error(TokenFault::wrong_issuer, "token's issuer is not " + policy_.issuer);
  }
  if (!policy_.audience.empty() && !audience_holds(payload->if_contains("aud"), policy_.audience)) {
    return error(TokenFault::wrong_audience, "token's audience is not " + policy_.audience);
  }
  return claims;
}

std::optional<std::string> mint_token(const SigningKey& key, const TokenClaims& claims) {
  if (!clean_text(claims.subject, limits::kUserNameBytes)) return std::nullopt;
  const auto* hmac = std::get_if<HmacKey>(&key);
  if (hmac != nullptr && hmac->secret.size() < limits::kHmacKeyBytes) return std::nullopt;
  json::object header{{"alg", hmac != nullptr ? "HS256" : "EdDSA"}, {"typ", "JWT"}};
  json::object payload{{"sub", claims.subject},
                       {"exp", claims.expires_at.time_since_epoch().count()}};
  if (claims.not_before) payload["nbf"] = claims.not_before->time_since_epoch().count();
  if (!claims.issuer.empty()) payload["iss"] = claims.issuer;
  if (!claims.audience.empty()) payload["aud"] = claims.audience;
  if (!claims.aors.empty()) {
    json::array aors;
    for (const std::string& aor : claims.aors) aors.push_back(json::value(aor));
    payload["aors"] = std::move(aors);
  }
  std::string token = base64_encode(as_bytes(json::serialize(header)), Base64::url) + "." +
                      base64_encode(as_bytes(json::serialize(payload)), Base64::url);
  auto signature = hmac != nullptr ? hmac_sha256(hmac->secret, token)
                                   : ed25519_sign(std::get<Ed25519PrivateKey>(key).seed, token);
  if (!signature) return std::nullopt;
  return token + "." + base64_encode(*signature, Base64::url);
}

}  // namespace isthmus::session
