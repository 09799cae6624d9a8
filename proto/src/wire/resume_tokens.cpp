#include "wire/resume_tokens.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/bytes.hpp"

namespace isthmus::wire {

namespace {

constexpr std::size_t kClaimBytes = 12;  ///< session id and generation, big-endian

std::array<std::uint8_t, kClaimBytes> to_bytes_of(ResumeTokens::Claim claim) {
  std::array<std::uint8_t, kClaimBytes> out{};
  for (std::size_t i = 0; i < 8; ++i) {
    out[i] = static_cast<std::uint8_t>(claim.session >> (56 - 8 * i));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    out[8 + i] = static_cast<std::uint8_t>(claim.generation >> (24 - 8 * i));
  }
  return out;
}

}  // namespace

ResumeTokens::Seal ResumeTokens::seal(ByteView claim) const {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), claim.data(), claim.size(),
       digest.data(), &length);
  Seal seal{};
  std::copy_n(digest.begin(), seal.size(), seal.begin());
  return seal;
}

std::string ResumeTokens::issue(Claim claim) const {
  const auto bytes = to_bytes_of(claim);
  return to_hex(bytes) + to_hex(seal(bytes));
}

std::optional<ResumeTokens::Claim> ResumeTokens::open(std::string_view token) const {
  if (token.size() != 2 * (kClaimBytes + sizeof(Seal))) return std::nullopt;
  const auto bytes = from_hex(token);
  if (!bytes || bytes->size() != kClaimBytes + sizeof(Seal)) return std::nullopt;
  const ByteView claimed = ByteView(*bytes).first(kClaimBytes);
  const Seal expected = seal(claimed);
  if (CRYPTO_memcmp(expected.data(), bytes->data() + kClaimBytes, expected.size()) != 0) {
    return std::nullopt;
  }
  Claim claim;
  for (std::size_t i = 0; i < 8; ++i) claim.session = claim.session << 8 | claimed[i];
  for (std::size_t i = 8; i < kClaimBytes; ++i)
    claim.generation = claim.generation << 8 | claimed[i];
  return claim;
}

}  // namespace isthmus::wire
