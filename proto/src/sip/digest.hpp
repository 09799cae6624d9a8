#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "sip/message.hpp"

namespace isthmus::sip {

enum class DigestAlgorithm : std::uint8_t {
  md5,
  md5_sess,
  sha256,
  sha256_sess,
  sha512_256,
  sha512_256_sess
};

/// One Digest challenge of WWW-Authenticate or Proxy-Authenticate (RFC 7616 §3.3, RFC 8760).
struct DigestChallenge {
  std::string realm, nonce, opaque;
  DigestAlgorithm algorithm = DigestAlgorithm::md5;
  bool qop_auth = false;  ///< offers qop=auth
  bool stale = false;
  bool proxy = false;       ///< came in Proxy-Authenticate
  bool has_opaque = false;  ///< tells an empty opaque, which is echoed too, from none

  /// The first challenge of a header value. Nothing when it is not Digest, lacks realm or nonce, or
  /// asks for an algorithm or qop that is not known here.
  static std::optional<DigestChallenge> parse(std::string_view value);
  std::string to_string() const;  ///< the header value
};

/// Parsed Authorization or Proxy-Authorization with scheme Digest.
struct DigestCredentials {
  std::string username, realm, nonce, uri, response, cnonce, opaque, nc;
  DigestAlgorithm algorithm = DigestAlgorithm::md5;
  bool qop_auth = false;
  bool has_opaque = false;

  /// Nothing when a parameter is missing, stands twice or has an impossible value (a response of
  /// another length, an nc that is not eight hex digits, qop=auth-int). Values come unquoted.
  static std::optional<DigestCredentials> parse(std::string_view value);
  std::string to_string() const;  ///< the header value
};

/// Every usable Digest challenge of a 401 or 407, strongest algorithm first (RFC 8760 §2.4).
std::vector<DigestChallenge> challenges(const Message& response);

/// Answers challenges for one client, counting nonce uses, in as many realms as a path has. Not
/// thread-safe.
class DigestClient {
 public:
  /// @param random must outlive the client.
  DigestClient(std::string username, std::string password, Random& random);
  /// Adds Authorization or Proxy-Authorization to `request` for the strongest challenge of each
  /// realm in `response`, in place of earlier ones for that realm. `request` is the one that was
  /// challenged, or its successor with the next CSeq number.
  /// @return false when there is no challenge that can be answered, or it refuses an answer: the
  /// same nonce again, or another one without stale=true after an answer on a fresh nonce. The
  /// credentials are wrong then.
  bool authorize(Message& request, const Message& response);
  /// Adds credentials for every realm that has accepted an answer or asked for one before, without
  /// waiting to be asked again (RFC 7616 §3.6). Realms for which the request bears credentials stay
  /// as they are; those that refused the last answer are left out.
  void anticipate(Message& request);
  /// Takes the next nonce from Authentication-Info or Proxy-Authentication-Info (RFC 7616 §3.5, RFC
  /// 7615) of a final response to `request`, as it was sent.
  /// @return whether the request bore an answer of this client, to which the response's header then
  /// belongs.
  bool learn(const Message& request, const Message& response);

 private:
  struct Realm {
    DigestChallenge challenge;
    std::string
        cnonce;  ///< kept for a nonce's life: -sess algorithms hash the first one (RFC 7616 §3.4.2)
    std::uint32_t uses = 0;
    std::string call_id;                ///< of the request that was answered last,
    std::uint32_t challenged_cseq = 0;  ///< and its CSeq number before the answer
    bool refused = false;               ///< the last answer was turned down
  };

  Realm& realm_for(const DigestChallenge& challenge);
  bool refused(const Realm& realm, const DigestChallenge& challenge, const Message& request,
               const Message& response) const;
  void answer(Realm& realm, Message& request);

  std::string username_, password_;
  Random& random_;
  std::vector<Realm> realms_;  ///< least recently challenged first, at most limits::kDigestRealms
};

/// Lower-case hexadecimal response value (RFC 7616 §3.4.1). `ha1` as stored:
/// H(username:realm:password); -sess is derived from it. "" when the algorithm is not available (a
/// FIPS provider has no MD5).
std::string digest_response(DigestAlgorithm algorithm, std::string_view ha1,
                            std::string_view method, const DigestCredentials& credentials);
std::string digest_ha1(DigestAlgorithm algorithm, std::string_view username, std::string_view realm,
                       std::string_view password);
std::string_view to_text(DigestAlgorithm algorithm);  ///< "MD5", "SHA-256"...
std::optional<DigestAlgorithm> digest_algorithm_from(std::string_view text);

}  // namespace isthmus::sip
