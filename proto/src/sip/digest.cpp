#include "sip/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "sip/quoted_string.hpp"

namespace isthmus::sip {
namespace {

enum class Hash : std::uint8_t { md5, sha256, sha512_256 };

Hash hash_of(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::md5:
    case DigestAlgorithm::md5_sess:
      return Hash::md5;
    case DigestAlgorithm::sha256:
    case DigestAlgorithm::sha256_sess:
      return Hash::sha256;
    case DigestAlgorithm::sha512_256:
    case DigestAlgorithm::sha512_256_sess:
      break;
  }
  return Hash::sha512_256;
}

bool is_session(DigestAlgorithm algorithm) {
  return algorithm == DigestAlgorithm::md5_sess || algorithm == DigestAlgorithm::sha256_sess ||
         algorithm == DigestAlgorithm::sha512_256_sess;
}

struct FreeMd {
  void operator()(EVP_MD* md) const { EVP_MD_free(md); }
};
using MdPtr = std::unique_ptr<EVP_MD, FreeMd>;

// Fetched once: a fetch searches all providers under a lock (OpenSSL's crypto(7)).
const EVP_MD* evp(Hash hash) {
  static const std::array<MdPtr, 3> fetched = {MdPtr(EVP_MD_fetch(nullptr, "MD5", nullptr)),
                                               MdPtr(EVP_MD_fetch(nullptr, "SHA256", nullptr)),
                                               MdPtr(EVP_MD_fetch(nullptr, "SHA512-256", nullptr))};
  return fetched[static_cast<std::size_t>(hash)].get();
}

std::string hex_digest(Hash hash, std::string_view text) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> raw;
  unsigned size = 0;
  const EVP_MD* md = evp(hash);
  if (!md || EVP_Digest(text.data(), text.size(), raw.data(), &size, md, nullptr) != 1) return {};
  return to_hex(ByteView(raw.data(), size));
}

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) {
    text += part;
    text += ':';
  }
  text.pop_back();
  return text;
}

std::optional<DigestAlgorithm> algorithm_from(std::string_view text) {
  for (DigestAlgorithm known : {DigestAlgorithm::md5, DigestAlgorithm::md5_sess,
                                DigestAlgorithm::sha256, DigestAlgorithm::sha256_sess,
                                DigestAlgorithm::sha512_256, DigestAlgorithm::sha512_256_sess}) {
    if (iequals(text, to_text(known))) return known;
  }
  return std::nullopt;
}

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-.!%*_+`'~#$&^|").find(c) != std::string_view::npos;
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (to_lower(c) >= 'a' && to_lower(c) <= 'f');
  });
}

// One scheme with its parameters, as WWW-Authenticate and Authorization carry them (RFC 7235 §2.1).
struct AuthItem {
  std::string_view scheme;
  std::vector<std::pair<std::string, std::string>> params;  // names lower case, values unquoted

  const std::string* get(std::string_view name) const {
    for (const auto& [key, value] : params) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  bool is_digest() const { return iequals(scheme, "Digest"); }
};

class AuthScanner {
 public:
  explicit AuthScanner(std::string_view text) : text_(text) {}

  // Every item of the value; nothing when it is not of the grammar or names a parameter twice in
  // one item.
  std::optional<std::vector<AuthItem>> scan() {
    std::vector<AuthItem> items;
    for (skip_separators(); !text_.empty(); skip_separators()) {
      std::string_view word = token();
      if (word.empty()) return std::nullopt;
      skip_space();
      if (text_.empty() || text_.front() != '=') {
        items.push_back({word, {}});
        continue;
      }
      text_.remove_prefix(1);
      skip_space();
      auto value = !text_.empty() && text_.front() == '"' ? quoted() : bare();
      std::string name = to_lower(word);
      if (!value || items.empty() || items.back().get(name)) return std::nullopt;
      items.back().params.emplace_back(std::move(name), std::move(*value));
    }
    return items;
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
  void skip_space() {
    while (!text_.empty() && is_space(text_.front())) text_.remove_prefix(1);
  }
  void skip_separators() {
    while (!text_.empty() && (is_space(text_.front()) || text_.front() == ',')) {
      text_.remove_prefix(1);
    }
  }
  std::string_view token() {
    std::size_t size = 0;
    while (size < text_.size() && is_token_char(text_[size])) ++size;
    std::string_view word = text_.substr(0, size);
    text_.remove_prefix(size);
    return word;
  }
  // Some servers leave quotes out where the grammar wants them, around a base64 nonce for one.
  std::optional<std::string> bare() {
    std::size_t size = 0;
    while (size < text_.size() && text_[size] != ',' && !is_space(text_[size])) ++size;
    std::string value(text_.substr(0, size));
    text_.remove_prefix(size);
    bool sound = std::none_of(value.begin(), value.end(), [](char c) {
      return c == '"' || static_cast<unsigned char>(c) < 0x20;
    });
    if (value.empty() || !sound) return std::nullopt;
    return value;
  }
  std::optional<std::string> quoted() {
    std::string value;
    for (std::size_t i = 1; i < text_.size(); ++i) {
      char c = text_[i];
      if (c == '"') {
        text_.remove_prefix(i + 1);
        return value;
      }
      if (c == '\\' && ++i < text_.size()) c = text_[i];
      // What is echoed in a header must not be able to end it.
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return std::nullopt;
      value += c;
    }
    return std::nullopt;
  }

  std::string_view text_;
};

bool lists_auth(std::string_view qop) {
  for (std::string_view option : split_list(qop)) {
    if (iequals(trim(option), "auth")) return true;
  }
  return false;
}

std::optional<DigestChallenge> challenge_from(const AuthItem& item) {
  const std::string* realm = item.get("realm");
  const std::string* nonce = item.get("nonce");
  if (!item.is_digest() || !realm || !nonce) return std::nullopt;
  DigestChallenge challenge;
  challenge.realm = *realm;
  challenge.nonce = *nonce;
  if (const std::string* opaque = item.get("opaque")) {
    challenge.opaque = *opaque;
    challenge.has_opaque = true;
  }
  if (const std::string* name = item.get("algorithm")) {
    auto algorithm = algorithm_from(*name);
    if (!algorithm) return std::nullopt;
    challenge.algorithm = *algorithm;
  }
  if (const std::string* qop = item.get("qop")) {
    if (!lists_auth(*qop)) return std::nullopt;
    challenge.qop_auth = true;
  }
  const std::string* stale = item.get("stale");
  challenge.stale = stale && iequals(*stale, "true");
  return challenge;
}

// Order of preference: the hash first, then protection against replay by qop.
int strength(const DigestChallenge& challenge) {
  return 2 * static_cast<int>(hash_of(challenge.algorithm)) + (challenge.qop_auth ? 1 : 0);
}

HeaderId answer_header(bool proxy) {
  return proxy ? HeaderId::proxy_authorization : HeaderId::authorization;
}

}  // namespace

std::optional<DigestAlgorithm> digest_algorithm_from(std::string_view text) {
  return algorithm_from(text);
}

std::string_view to_text(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::md5:
      return "MD5";
    case DigestAlgorithm::md5_sess:
      return "MD5-sess";
    case DigestAlgorithm::sha256:
      return "SHA-256";
    case DigestAlgorithm::sha256_sess:
      return "SHA-256-sess";
    case DigestAlgorithm::sha512_256:
      return "SHA-512-256";
    case DigestAlgorithm::sha512_256_sess:
      break;
  }
  return "SHA-512-256-sess";
}

std::string digest_ha1(DigestAlgorithm algorithm, std::string_view username, std::string_view realm,
                       std::string_view password) {
  return hex_digest(hash_of(algorithm), joined({username, realm, password}));
}

std::string digest_response(DigestAlgorithm algorithm, std::string_view ha1,
                            std::string_view method, const DigestCredentials& credentials) {
  Hash hash = hash_of(algorithm);
  std::string a1(ha1);
  if (is_session(algorithm)) {
    a1 = hex_digest(hash, joined({ha1, credentials.nonce, credentials.cnonce}));
  }
  std::string a2 = hex_digest(hash, joined({method, credentials.uri}));
  if (a2.empty()) return {};
  if (!credentials.qop_auth) return hex_digest(hash, joined({a1, credentials.nonce, a2}));
  return hex_digest(
      hash, joined({a1, credentials.nonce, credentials.nc, credentials.cnonce, "auth", a2}));
}

std::optional<DigestChallenge> DigestChallenge::parse(std::string_view value) {
  auto items = AuthScanner(value).scan();
  if (!items || items->empty()) return std::nullopt;
  return challenge_from(items->front());
}

std::string DigestChallenge::to_string() const {
  std::string text = "Digest realm=" + quoted_string(realm) + ", nonce=" + quoted_string(nonce);
  if (has_opaque || !opaque.empty()) text += ", opaque=" + quoted_string(opaque);
  text += ", algorithm=";
  text += to_text(algorithm);
  if (qop_auth) text += ", qop=\"auth\"";
  if (stale) text += ", stale=true";
  return text;
}

std::optional<DigestCredentials> DigestCredentials::parse(std::string_view value) {
  auto items = AuthScanner(value).scan();
  if (!items || items->size() != 1 || !items->front().is_digest()) return std::nullopt;
  const AuthItem& item = items->front();
  DigestCredentials result;
  for (auto [name, field] : {std::pair{"username", &result.username},
                             {"realm", &result.realm},
                             {"nonce", &result.nonce},
                             {"uri", &result.uri},
                             {"response", &result.response}}) {
    const std::string* text = item.get(name);
    if (!text) return std::nullopt;
    *field = *text;
  }
  for (auto [name, field] :
       {std::pair{"cnonce", &result.cnonce}, {"opaque", &result.opaque}, {"nc", &result.nc}}) {
    if (const std::string* text = item.get(name)) *field = *text;
  }
  if (const std::string* name = item.get("algorithm")) {
    auto algorithm = algorithm_from(*name);
    if (!algorithm) return std::nullopt;
    result.algorithm = *algorithm;
  }
  if (const std::string* qop = item.get("qop")) {
    if (!iequals(*qop, "auth") || result.cnonce.empty()) return std::nullopt;
    if (result.nc.size() != 8 || !is_hex(result.nc)) return std::nullopt;
    result.qop_auth = true;
  }
  std::size_t digits = hash_of(result.algorithm) == Hash::md5 ? 32 : 64;
  if (result.response.size() != digits || !is_hex(result.response)) return std::nullopt;
  return result;
}

std::string DigestCredentials::to_string() const {
  std::string text = "Digest username=" + quoted_string(username) +
                     ", realm=" + quoted_string(realm) + ", nonce=" + quoted_string(nonce) +
                     ", uri=" + quoted_string(uri) + ", response=" + quoted_string(response) +
                     ", algorithm=";
  text += sip::to_text(algorithm);
  if (qop_auth) text += ", qop=auth, nc=" + nc;
  if (!cnonce.empty()) text += ", cnonce=" + quoted_string(cnonce);
  if (has_opaque || !opaque.empty()) text += ", opaque=" + quoted_string(opaque);
  return text;
}

std::vector<DigestChallenge> challenges(const Message& response) {
  std::vector<DigestChallenge> found;
  for (bool proxy : {false, true}) {
    HeaderId header = proxy ? HeaderId::proxy_authenticate : HeaderId::www_authenticate;
    for (std::string_view value : response.fields(header)) {
      auto items = AuthScanner(value).scan();
      if (!items) continue;
      for (const AuthItem& item : *items) {
        auto challenge = challenge_from(item);
        if (!challenge || !evp(hash_of(challenge->algorithm))) continue;
        challenge->proxy = proxy;
        found.push_back(std::move(*challenge));
      }
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return strength(a) > strength(b); });
  return found;
}

DigestClient::DigestClient(std::string username, std::string password, Random& random)
    : username_(std::move(username)), password_(std::move(password)), random_(random) {}

bool DigestClient::authorize(Message& request, const Message& response) {
  std::vector<DigestChallenge> chosen;
  for (DigestChallenge& challenge : challenges(response)) {
    bool have_stronger = std::any_of(chosen.begin(), chosen.end(), [&](const auto& other) {
      return other.realm == challenge.realm && other.proxy == challenge.proxy;
    });
    if (!have_stronger && chosen.size() < limits::kDigestRealms) {
      chosen.push_back(std::move(challenge));
    }
  }
  // Judged for all realms before any is answered: a refused request is left as it was.
  for (const DigestChallenge& challenge : chosen) {
    Realm& realm = realm_for(challenge);
    realm.refused = refused(realm, challenge, request, response);
    if (realm.refused) return false;
  }
  auto cseq = response.cseq();
  for (DigestChallenge& challenge : chosen) {
    Realm& realm = realm_for(challenge);
    if (realm.challenge.nonce != challenge.nonce ||
        realm.challenge.algorithm != challenge.algorithm) {
      realm.uses = 0;
      realm.cnonce.clear();
    }
    realm.challenge = std::move(challenge);
    realm.call_id = std::string(request.call_id());
    realm.challenged_cseq = cseq ? cseq->number : 0;
    answer(realm, request);
  }
  return !chosen.empty();
}

void DigestClient::anticipate(Message& request) {
  for (Realm& realm : realms_) {
    if (realm.refused || realm.challenge.nonce.empty()) continue;
    std::vector<std::string_view> given = request.fields(answer_header(realm.challenge.proxy));
    bool answered = std::any_of(given.begin(), given.end(), [&](std::string_view value) {
      auto credentials = DigestCredentials::parse(value);
      return credentials && credentials->realm == realm.challenge.realm;
    });
    if (!answered) answer(realm, request);
  }
}

bool DigestClient::learn(const Message& request, const Message& response) {
  bool ours = false;
  for (bool proxy : {false, true}) {
    for (std::string_view value : request.fields(answer_header(proxy))) {
      auto credentials = DigestCredentials::parse(value);
      if (!credentials || credentials->username != username_) continue;
      auto realm = std::find_if(realms_.begin(), realms_.end(), [&](const Realm& known) {
        return known.challenge.realm == credentials->realm && known.challenge.proxy == proxy;
      });
      auto info = proxy ? response.get("Proxy-Authentication-Info")
                        : response.get(HeaderId::authentication_info);
      if (realm == realms_.end() || !info) continue;
      ours = true;
      // The header has parameters only; the scanner wants a scheme before them.
      std::string text = "Digest " + std::string(*info);
      auto items = AuthScanner(text).scan();
      const std::string* next =
          items && !items->empty() ? items->front().get("nextnonce") : nullptr;
      if (!next || next->empty() || *next == realm->challenge.nonce) continue;
      realm->challenge.nonce = *next;
      realm->uses = 0;
      realm->cnonce.clear();
    }
  }
  return ours;
}

DigestClient::Realm& DigestClient::realm_for(const DigestChallenge& challenge) {
  auto found = std::find_if(realms_.begin(), realms_.end(), [&](const Realm& realm) {
    return realm.challenge.realm == challenge.realm && realm.challenge.proxy == challenge.proxy;
  });
  if (found == realms_.end()) {
    if (realms_.size() >= limits::kDigestRealms) realms_.erase(realms_.begin());
    Realm fresh;
    fresh.challenge.realm = challenge.realm;
    fresh.challenge.proxy = challenge.proxy;
    realms_.push_back(std::move(fresh));
  } else {
    std::rotate(found, found + 1, realms_.end());
  }
  return realms_.back();
}

// Whether `response` turns down an answer of ours. The answer is found in the request, or, when the
// owner kept the request without it, known by Call-ID and the CSeq number that follows the
// challenged one. A server that renews its nonce without saying stale=true (many do) is believed
// once: only an answer on a fresh nonce counts as refused.
bool DigestClient::refused(const Realm& realm, const DigestChallenge& challenge,
                           const Message& request, const Message& response) const {
  std::string nonce;
  bool tried = false;
  bool first_use = false;
  for (std::string_view value : request.fields(answer_header(challenge.proxy))) {
    auto credentials = DigestCredentials::parse(value);
    if (!credentials || credentials->realm != challenge.realm ||
        credentials->username != username_) {
      continue;
    }
    tried = true;
    nonce = credentials->nonce;
    first_use = !credentials->qop_auth || credentials->nc == "00000001";
  }
  auto cseq = response.cseq();
  if (!tried && realm.uses != 0 && cseq && realm.call_id == request.call_id() &&
      cseq->number == realm.challenged_cseq + 1) {
    tried = true;
    nonce = realm.challenge.nonce;
    first_use = realm.uses == 1;
  }
  if (!tried) return false;
  if (nonce == challenge.nonce) return first_use || !challenge.stale;
  return first_use && !challenge.stale;
}

void DigestClient::answer(Realm& realm, Message& request) {
  const DigestChallenge& challenge = realm.challenge;
  ++realm.uses;
  if (realm.cnonce.empty()) realm.cnonce = random_.token(24);
  DigestCredentials credentials;
  credentials.username = username_;
  credentials.realm = challenge.realm;
  credentials.nonce = challenge.nonce;
  credentials.uri = std::string(request.request_uri());
  credentials.opaque = challenge.opaque;
  credentials.has_opaque = challenge.has_opaque;
  credentials.algorithm = challenge.algorithm;
  credentials.qop_auth = challenge.qop_auth;
  if (challenge.qop_auth || is_session(challenge.algorithm)) credentials.cnonce = realm.cnonce;
  char count[9];
  std::snprintf(count, sizeof count, "%08x", realm.uses);
  credentials.nc = count;
  std::string ha1 = digest_ha1(challenge.algorithm, username_, challenge.realm, password_);
  credentials.response =
      digest_response(challenge.algorithm, ha1, request.method_text(), credentials);

  // Answers for other realms stay: each proxy of the path looks for its own (RFC 3261 §22.3).
  HeaderId header = answer_header(challenge.proxy);
  std::vector<std::string> kept;
  for (std::string_view value : request.fields(header)) {
    auto other = DigestCredentials::parse(value);
    if (!other || other->realm != challenge.realm) kept.emplace_back(value);
  }
  request.remove(header);
  for (const std::string& value : kept) request.add(header, value);
  request.add(header, credentials.to_string());
}

}  // namespace isthmus::sip
