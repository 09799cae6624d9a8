#include "sip/digest_server.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <charconv>

#include "base/text.hpp"
#include "sip/quoted_string.hpp"

namespace isthmus::sip {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kStampDigits = 16;  // 64 bits
constexpr std::size_t kProofBytes = 16;   // of HMAC-SHA-256: as much as can be guessed at, never
constexpr std::uint32_t kWindow = 64;     // counts that may come out of order

std::uint64_t microseconds_of(Instant instant) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(instant.time_since_epoch()).count());
}

std::string hex64(std::uint64_t number) {
  Bytes bytes;
  Writer(bytes).u64(number);
  return to_hex(bytes);
}

HeaderId credentials_header(bool proxy) {
  return proxy ? HeaderId::proxy_authorization : HeaderId::authorization;
}

bool same_text(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Whether both name the same resource. Hosts may differ: a phone asks the address of the connector
/// or proxy that it was given as registrar, which puts our domain in its place on the way, and that
/// a response was made for one of our users is what counts. A response cannot be used a second time
/// anyway.
bool same_resource(std::string_view digest_uri, std::string_view request_uri) {
  if (digest_uri == request_uri) return true;
  Result<Uri, Fault> a = Uri::parse(digest_uri), b = Uri::parse(request_uri);
  if (!a || !b) return false;
  return a->is_sip() && b->is_sip() && a->decoded_user() == b->decoded_user();
}

}  // namespace

const std::string& DigestSecrets::of(DigestAlgorithm algorithm) const {
  switch (algorithm) {
    case DigestAlgorithm::md5:
    case DigestAlgorithm::md5_sess:
      return md5;
    case DigestAlgorithm::sha256:
    case DigestAlgorithm::sha256_sess:
      return sha256;
    case DigestAlgorithm::sha512_256:
    case DigestAlgorithm::sha512_256_sess:
      break;
  }
  return sha512_256;
}

DigestSecrets digest_secrets(std::string_view username, std::string_view realm,
                             std::string_view password) {
  return {digest_ha1(DigestAlgorithm::md5, username, realm, password),
          digest_ha1(DigestAlgorithm::sha256, username, realm, password),
          digest_ha1(DigestAlgorithm::sha512_256, username, realm, password)};
}

DigestServer::DigestServer(Config config, Random& random)
    : config_(std::move(config)), key_(kKeyBytes) {
  random.fill(key_);
  std::erase_if(config_.algorithms, [](DigestAlgorithm algorithm) {
    return digest_ha1(algorithm, "u", "r", "p").empty();
  });
}

bool DigestServer::offers(DigestAlgorithm algorithm) const {
  return std::find(config_.algorithms.begin(), config_.algorithms.end(), algorithm) !=
         config_.algorithms.end();
}

std::optional<DigestCredentials> DigestServer::find(const Message& request, bool proxy) const {
  for (std::string_view value : request.fields(credentials_header(proxy))) {
    auto credentials = DigestCredentials::parse(value);
    if (credentials && credentials->realm == config_.realm && offers(credentials->algorithm)) {
      return credentials;
    }
  }
  return std::nullopt;
}

void DigestServer::remove_credentials(Message& request, bool proxy) const {
  HeaderId header = credentials_header(proxy);
  std::vector<std::string> kept;
  bool found = false;
  for (std::string_view value : request.fields(header)) {
    auto credentials = DigestCredentials::parse(value);
    if (credentials && credentials->realm == config_.realm) {
      found = true;
    } else {
      kept.emplace_back(value);
    }
  }
  if (!found) return;  // what is not ours stays byte for byte
  request.remove(header);
  for (const std::string& value : kept) request.add(header, value);
}

DigestVerdict DigestServer::judge(const DigestCredentials& credentials, const Message& request,
                                  const std::optional<DigestSecrets>& secrets, Instant now) {
  // Nobody's: what no password hashes to in practice.
  const std::string nobody(credentials.response.size(), '0');
  bool known = secrets && !secrets->of(credentials.algorithm).empty();
  const std::string& ha1 = known ? secrets->of(credentials.algorithm) : nobody;
  std::string expected =
      digest_response(credentials.algorithm, ha1, request.method_text(), credentials);
  bool matches = same_text(to_lower(credentials.response), expected) && !expected.empty();
  if (!matches || !known) return DigestVerdict::wrong;
  std::optional<std::uint64_t> stamp = stamp_of(credentials.nonce);
  if (!stamp || !is_fresh(*stamp, now)) return DigestVerdict::stale;
  if (!same_resource(credentials.uri, request.request_uri())) return DigestVerdict::wrong_uri;
  // A client of RFC 2069 counts nothing: its nonce is good for one request.
  std::uint32_t count = 1;
  if (credentials.qop_auth) {
    std::from_chars(credentials.nc.data(), credentials.nc.data() + credentials.nc.size(), count,
                    16);
  }
  return use(*stamp, count, now) ? DigestVerdict::accepted : DigestVerdict::stale;
}

void DigestServer::challenge(Message& response, bool proxy, bool stale, Instant now) {
  DigestChallenge challenge;
  challenge.realm = config_.realm;
  challenge.nonce = new_nonce(now);
  challenge.opaque = challenge.nonce.substr(0, kStampDigits);
  challenge.has_opaque = true;
  challenge.qop_auth = true;
  challenge.stale = stale;
  for (DigestAlgorithm algorithm : config_.algorithms) {
    challenge.algorithm = algorithm;
    response.add(proxy ? HeaderId::proxy_authenticate : HeaderId::www_authenticate,
                 challenge.to_string());
  }
}

void DigestServer::add_authentication_info(Message& response, const DigestCredentials& accepted,
                                           const DigestSecrets& secrets, Instant now) {
  std::string value;
  std::optional<std::uint64_t> stamp = stamp_of(accepted.nonce);
  auto half = std::chrono::duration_cast<std::chrono::microseconds>(config_.nonce_life / 2).count();
  if (!stamp || microseconds_of(now) > *stamp + static_cast<std::uint64_t>(half)) {
    value = "nextnonce=\"" + new_nonce(now) + "\"";
  }
  if (accepted.qop_auth) {
    // The response's digest has no method in A2 (RFC 7616 §3.5).
    std::string proof =
        digest_response(accepted.algorithm, secrets.of(accepted.algorithm), "", accepted);
    if (!value.empty()) value += ", ";
    value += "qop=auth, rspauth=\"" + proof + "\", cnonce=" + quoted_string(accepted.cnonce) +
             ", nc=" + accepted.nc;
  }
  if (!value.empty()) response.add(HeaderId::authentication_info, value);
}

std::string DigestServer::new_nonce(Instant now) {
  last_stamp_ = std::max(microseconds_of(now), last_stamp_ + 1);  // no two are the same
  return nonce_text(last_stamp_);
}

std::string DigestServer::nonce_text(std::uint64_t stamp) const {
  std::string text = hex64(stamp);
  std::uint8_t digest[EVP_MAX_MD_SIZE] = {};
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), as_bytes(text).data(), text.size(),
       digest, &length);
  return text + to_hex(ByteView(digest, kProofBytes));
}

std::optional<std::uint64_t> DigestServer::stamp_of(std::string_view nonce) const {
  if (nonce.size() != kStampDigits + 2 * kProofBytes) return std::nullopt;
  std::uint64_t stamp = 0;
  auto [end, error] = std::from_chars(nonce.data(), nonce.data() + kStampDigits, stamp, 16);
  if (error != std::errc{} || end != nonce.data() + kStampDigits) return std::nullopt;
  if (!same_text(nonce, nonce_text(stamp))) return std::nullopt;
  return stamp;
}

bool DigestServer::is_fresh(std::uint64_t stamp, Instant now) const {
  auto life = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(config_.nonce_life).count());
  return stamp > forgotten_ && microseconds_of(now) <= stamp + life;
}

bool DigestServer::use(std::uint64_t stamp, std::uint32_t count, Instant now) {
  while (!uses_.empty() && !is_fresh(uses_.begin()->first, now)) uses_.erase(uses_.begin());
  if (!uses_.contains(stamp) && uses_.size() >= config_.most_nonces) {
    forgotten_ = uses_.begin()->first;
    uses_.erase(uses_.begin());
    if (stamp <= forgotten_) return false;
  }
  Uses& uses = uses_[stamp];
  if (count == 0) return false;
  if (count > uses.highest) {
    std::uint32_t ahead = count - uses.highest;
    uses.window = (ahead >= kWindow ? 0 : uses.window << ahead) | 1;
    uses.highest = count;
    return true;
  }
  std::uint32_t behind = uses.highest - count;
  if (behind >= kWindow || ((uses.window >> behind) & 1) != 0) return false;
  uses.window |= std::uint64_t{1} << behind;
  return true;
}

}  // namespace isthmus::sip
