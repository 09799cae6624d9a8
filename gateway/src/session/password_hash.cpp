#include "session/password_hash.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

#include "base/base64.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::session {
namespace {

constexpr std::size_t kSaltBytes = 16, kHashBytes = 32;

/// False when OpenSSL cannot (out of memory): the caller must treat it as "does not match".
bool derive(std::string_view password, const ScryptCost& cost, ByteView salt, MutableBytes out) {
  // OpenSSL refuses above 32 MiB unless told; its own bookkeeping comes on top of 128·N·r.
  std::uint64_t memory = limits::kScryptBytes + limits::kMiB;
  return EVP_PBE_scrypt(password.data(), password.size(), salt.data(), salt.size(),
                        std::uint64_t{1} << cost.log2_n, cost.r, cost.p, memory, out.data(),
                        out.size()) == 1;
}

/// "ln=15" with the given name; nothing otherwise.
std::optional<unsigned> named_number(std::string_view text, std::string_view name) {
  if (!text.starts_with(name) || text.size() <= name.size() || text[name.size()] != '=') {
    return std::nullopt;
  }
  return parse_number<unsigned>(text.substr(name.size() + 1));
}

/// Exactly N parts between separators; nothing otherwise.
template <std::size_t N>
std::optional<std::array<std::string_view, N>> split(std::string_view text, char separator) {
  std::array<std::string_view, N> parts;
  for (std::size_t i = 0; i < N; ++i) {
    std::size_t end = text.find(separator);
    if ((end == std::string_view::npos) != (i + 1 == N)) return std::nullopt;
    parts[i] = text.substr(0, end);
    if (end != std::string_view::npos) text.remove_prefix(end + 1);
  }
  return parts;
}

}  // namespace

bool ScryptCost::acceptable() const {
  if (log2_n < 1 || log2_n > 20 || r < 1 || r > 32 || p < 1 || p > 16) return false;
  return (std::uint64_t{128} << log2_n) * r + std::uint64_t{128} * r * p <= limits::kScryptBytes;
}

std::optional<PasswordHash> PasswordHash::parse(std::string_view text) {
  auto parts = split<5>(text, '$');
  if (!parts || !(*parts)[0].empty() || (*parts)[1] != "scrypt") return std::nullopt;
  auto numbers = split<3>((*parts)[2], ',');
  if (!numbers) return std::nullopt;
  auto log2_n = named_number((*numbers)[0], "ln");
  auto r = named_number((*numbers)[1], "r");
  auto p = named_number((*numbers)[2], "p");
  auto salt = base64_decode((*parts)[3], Base64::standard);
  auto hash = base64_decode((*parts)[4], Base64::standard);
  if (!log2_n || !r || !p || !salt || !hash) return std::nullopt;
  PasswordHash out;
  out.cost_ = {*log2_n, *r, *p};
  if (!out.cost_.acceptable() || salt->size() < 8 || salt->size() > 64 || hash->size() < 16 ||
      hash->size() > 64) {
    return std::nullopt;
  }
  out.salt_ = std::move(*salt);
  out.hash_ = std::move(*hash);
  return out;
}

PasswordHash PasswordHash::make(std::string_view password, Random& random, ScryptCost cost) {
  PasswordHash out;
  out.cost_ = cost;
  out.salt_.resize(kSaltBytes);
  random.fill(out.salt_);
  out.hash_.resize(kHashBytes);
  // Without memory for the derivation a random hash stays, which no password matches.
  if (!derive(password, cost, out.salt_, out.hash_)) random.fill(out.hash_);
  return out;
}

bool PasswordHash::matches(std::string_view password) const {
  if (password.size() > limits::kPasswordBytes) return false;
  Bytes derived(hash_.size());
  bool same = derive(password, cost_, salt_, derived) &&
              CRYPTO_memcmp(derived.data(), hash_.data(), hash_.size()) == 0;
  OPENSSL_cleanse(derived.data(), derived.size());
  return same;
}

std::string PasswordHash::to_string() const {
  return "$scrypt$ln=" + std::to_string(cost_.log2_n) + ",r=" + std::to_string(cost_.r) +
         ",p=" + std::to_string(cost_.p) + "$" + base64_encode(salt_, Base64::standard) + "$" +
         base64_encode(hash_, Base64::standard);
}

std::string hash_password(std::string_view password, Random& random, ScryptCost cost) {
  return PasswordHash::make(password, random, cost).to_string();
}

}  // namespace isthmus::session
