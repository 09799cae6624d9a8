#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

#include "base/base64.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "session/token.hpp"

namespace isthmus::session {
namespace {

constexpr std::size_t kEd25519KeyBytes = 32;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;

/// Refuses to ask for a passphrase: without this OpenSSL would read one from the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

using ReadPem = EVP_PKEY* (*)(BIO*, EVP_PKEY**, pem_password_cb*, void*);
using GetRaw = int (*)(const EVP_PKEY*, unsigned char*, std::size_t*);

std::optional<Bytes> raw_key(std::string_view text, ReadPem read, GetRaw get) {
  text = trim(text);
  if (!text.starts_with("-----BEGIN")) {
    auto raw = base64_decode(text, Base64::url);
    if (!raw || raw->size() != kEd25519KeyBytes) return std::nullopt;
    return raw;
  }
  if (text.size() > limits::kKeyFileBytes) return std::nullopt;
  std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) return std::nullopt;
  KeyPtr key(read(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) return std::nullopt;
  Bytes raw(kEd25519KeyBytes);
  std::size_t size = raw.size();
  if (get(key.get(), raw.data(), &size) != 1 || size != raw.size()) return std::nullopt;
  return raw;
}

}  // namespace

std::optional<HmacKey> parse_hmac_key(std::string_view text) {
  auto secret = base64_decode(trim(text), Base64::url);
  if (!secret || secret->size() < limits::kHmacKeyBytes) return std::nullopt;
  return HmacKey{std::move(*secret)};
}

std::optional<Ed25519PublicKey> parse_ed25519_public_key(std::string_view text) {
  auto raw = raw_key(text, PEM_read_bio_PUBKEY, EVP_PKEY_get_raw_public_key);
  if (!raw) return std::nullopt;
  return Ed25519PublicKey{std::move(*raw)};
}

std::optional<Ed25519PrivateKey> parse_ed25519_private_key(std::string_view text) {
  auto raw = raw_key(text, PEM_read_bio_PrivateKey, EVP_PKEY_get_raw_private_key);
  if (!raw) return std::nullopt;
  return Ed25519PrivateKey{std::move(*raw)};
}

std::optional<Ed25519PublicKey> public_key_of(const Ed25519PrivateKey& key) {
  KeyPtr pkey(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, key.seed.data(), key.seed.size()));
  Ed25519PublicKey out{Bytes(kEd25519KeyBytes)};
  std::size_t size = out.raw.size();
  if (!pkey || EVP_PKEY_get_raw_public_key(pkey.get(), out.raw.data(), &size) != 1) {
    return std::nullopt;
  }
  return out;
}

}  // namespace isthmus::session
