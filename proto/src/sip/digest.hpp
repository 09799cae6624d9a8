#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "sip/message.hpp"

namespace isthmus::sip {

enum class DigestAlgorithm : std::uint8_t { md5, md5_sess, sha256, sha256_sess, sha512_256, sha512_256_sess };

/// One Digest challenge of WWW-Authenticate or Proxy-Authenticate (RFC 7616 §3.3, RFC 8760).
struct DigestChallenge {
  std::string realm, nonce, opaque;
  DigestAlgorithm algorithm = DigestAlgorithm::md5;
  bool qop_auth = false;  ///< offers qop=auth
  bool stale = false;
  bool proxy = false;     ///< came in Proxy-Authenticate

  static std::optional<DigestChallenge> parse(std::string_view value);
  std::string to_string() const;  ///< the header value
};

/// Parsed Authorization or Proxy-Authorization with scheme Digest.
struct DigestCredentials {
  std::string username, realm, nonce, uri, response, cnonce, opaque, nc;
  DigestAlgorithm algorithm = DigestAlgorithm::md5;
  bool qop_auth = false;
  static std::optional<DigestCredentials> parse(std::string_view value);
};

/// Every usable Digest challenge of a 401 or 407, strongest algorithm first (RFC 8760 §2.4).
std::vector<DigestChallenge> challenges(const Message& response);

/// Answers challenges for one client, counting nonce uses. Not thread-safe.
class DigestClient {
 public:
  DigestClient(std::string username, std::string password, Random& random);
  /// Adds Authorization or Proxy-Authorization to `request` for the strongest challenge of each realm in
  /// `response`. @return false when there is none that can be answered, or it repeats a refused answer (same
  /// nonce not stale): the credentials are wrong.
  bool authorize(Message& request, const Message& response);

 private:
  std::string username_, password_;
  Random& random_;
  std::string last_nonce_;
  std::uint32_t nonce_count_ = 0;
};

/// Lower-case hexadecimal response value (RFC 7616 §3.4.1). `ha1` as stored: H(username:realm:password).
std::string digest_response(DigestAlgorithm algorithm, std::string_view ha1, std::string_view method,
                            const DigestCredentials& credentials);
std::string digest_ha1(DigestAlgorithm algorithm, std::string_view username, std::string_view realm,
                       std::string_view password);
std::string_view to_text(DigestAlgorithm algorithm);  ///< "MD5", "SHA-256"...

}  // namespace isthmus::sip
