// Bearer tokens come from whoever opens a socket. The input is tried as it is, and also as the
// header and payload of a token that is signed for it, so that claims are reached behind the
// signature.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>

#include "base/base64.hpp"
#include "session/token.hpp"

using namespace isthmus;
using namespace isthmus::session;

namespace {

constexpr WallSeconds kNow{seconds(1'800'000'000)};

TokenVerifier verifier() {
  TokenVerifier::Policy policy;
  policy.hmac_keys = {HmacKey{Bytes(32, 1)}};
  policy.ed25519_keys = {*public_key_of(Ed25519PrivateKey{Bytes(32, 2)})};
  return TokenVerifier(policy);
}

std::string signed_token(std::string_view header, std::string_view payload) {
  std::string text = base64_encode(as_bytes(header), Base64::url) + "." +
                     base64_encode(as_bytes(payload), Base64::url);
  Bytes key(32, 1), mac(32);
  HMAC(EVP_sha256(), key.data(), 32, as_bytes(text).data(), text.size(), mac.data(), nullptr);
  return text + "." + base64_encode(mac, Base64::url);
}

/// What was accepted must hold up: a name, not expired, and mintable again.
void check(const Result<TokenClaims, TokenError>& result) {
  if (!result) {
    if (result.error().text.empty()) std::abort();
    return;
  }
  if (result->subject.empty() || result->expires_at + seconds(30) <= kNow) std::abort();
  if (!mint_token(HmacKey{Bytes(32, 1)}, *result)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TokenVerifier kVerifier = verifier();
  std::string_view text = as_text({data, size});
  check(kVerifier.verify(text, kNow));
  check(kVerifier.verify(signed_token(R"({"alg":"HS256"})", text), kNow));
  auto header_only = kVerifier.verify(signed_token(text, R"({"sub":"a"})"), kNow);
  if (header_only) std::abort();  // there is no "exp"
  return 0;
}
