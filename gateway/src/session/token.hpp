#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

/// Bearer tokens: JSON Web Tokens (RFC 7519) in compact form (RFC 7515 §3.1), signed with
/// HMAC-SHA256
/// ("HS256", RFC 7518 §3.2) or Ed25519 ("EdDSA", RFC 8037 §3.1). Pure and stateless: any thread.
namespace isthmus::session {

/// Keys have a type each, so that a token's "alg" can only ever pick among the keys made for it
/// (the confusion attacks of RFC 8725 §2.1).
struct HmacKey {
  Bytes secret;  ///< at least limits::kHmacKeyBytes
};
struct Ed25519PublicKey {
  Bytes raw;  ///< 32 bytes (RFC 8032 §5.1.5)
};
struct Ed25519PrivateKey {
  Bytes seed;  ///< 32 bytes
};
using SigningKey = std::variant<HmacKey, Ed25519PrivateKey>;

/// Base64url text of at least limits::kHmacKeyBytes bytes.
std::optional<HmacKey> parse_hmac_key(std::string_view text);
/// A PEM "PUBLIC KEY" of type Ed25519, or base64url of the raw 32 bytes.
std::optional<Ed25519PublicKey> parse_ed25519_public_key(std::string_view text);
/// An unencrypted PEM "PRIVATE KEY" of type Ed25519, or base64url of the 32-byte seed.
std::optional<Ed25519PrivateKey> parse_ed25519_private_key(std::string_view text);
/// The key that checks what `key` signs. Nothing if the seed is not 32 bytes.
std::optional<Ed25519PublicKey> public_key_of(const Ed25519PrivateKey& key);

struct TokenClaims {
  std::string subject;            ///< the user
  std::vector<std::string> aors;  ///< addresses of record it may use; empty: its own
  std::string issuer, audience;   ///< minting only; empty: left out
  WallSeconds expires_at{};
  std::optional<WallSeconds> not_before;
};

enum class TokenFault : std::uint8_t {
  not_accepted,  ///< no keys are configured
  too_long,
  malformed,  ///< not three base64url parts around JSON objects, or a claim of the wrong type
  algorithm_refused,  ///< "none", an unknown one, one without a key, or a critical extension
  bad_signature,
  expired,
  not_yet_valid,
  wrong_issuer,
  wrong_audience,
  missing_claim,  ///< "exp" or "sub"
};
const char* to_text(TokenFault fault);

/// `text` says what is wrong and may be sent to the client: it never repeats claims of an
/// unverified token.
struct TokenError {
  TokenFault fault;
  std::string text;
};

/// What a token has to satisfy. Immutable after construction.
class TokenVerifier {
 public:
  struct Policy {
    std::string issuer, audience;  ///< empty: not checked
    std::vector<HmacKey> hmac_keys;
    std::vector<Ed25519PublicKey> ed25519_keys;
    seconds leeway{30};  ///< for exp and nbf
  };

  TokenVerifier() = default;  ///< refuses every token
  explicit TokenVerifier(Policy policy) : policy_(std::move(policy)) {}

  Result<TokenClaims, TokenError> verify(std::string_view token, WallSeconds now) const;

 private:
  bool signature_fits(std::string_view signed_part, ByteView signature, bool hmac) const;
  std::optional<TokenError> check_times(const TokenClaims& claims, WallSeconds now) const;

  Policy policy_;
};

/// @return the compact form, or nothing when the key is unusable (an HMAC key that is too short, a
/// seed that
///         is not 32 bytes) or the claims lack a subject.
std::optional<std::string> mint_token(const SigningKey& key, const TokenClaims& claims);

}  // namespace isthmus::session
