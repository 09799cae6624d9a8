#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "sip/digest.hpp"
#include "sip/message.hpp"

namespace isthmus::sip {

/// H(username:realm:password) of one user for each algorithm, in lower-case hexadecimal: all that a
/// server needs to keep of a password. Empty: not kept.
struct DigestSecrets {
  std::string md5, sha256, sha512_256;
  const std::string& of(DigestAlgorithm algorithm) const;
  bool empty() const { return md5.empty() && sha256.empty() && sha512_256.empty(); }
  bool operator==(const DigestSecrets&) const = default;
};
DigestSecrets digest_secrets(std::string_view username, std::string_view realm,
                             std::string_view password);

enum class DigestVerdict : std::uint8_t {
  accepted,
  stale,      ///< the right password on a nonce that is too old, used up or of another run
  wrong,      ///< no such user, or the wrong password: told apart nowhere
  wrong_uri,  ///< the right password, for another resource (RFC 7616 §3.4.6): 400
};

/// Digest authentication as a server (RFC 7616, RFC 8760; RFC 3261 §22). Nonces carry their time
/// under a keyed hash, so that handing them out costs no memory; uses of a nonce are counted, each
/// once (RFC 7616 §3.4.5), for as many nonces as limits::kDigestNonces. The key lives as long as
/// the object: nonces of another run are stale. Pure; single-threaded.
class DigestServer {
 public:
  struct Config {
    std::string realm;
    /// Offered, each as a challenge of its own, in this order (RFC 8760 §2.3: best first).
    std::vector<DigestAlgorithm> algorithms{DigestAlgorithm::sha512_256, DigestAlgorithm::sha256,
                                            DigestAlgorithm::md5};
    Duration nonce_life = std::chrono::minutes(5);
    std::size_t most_nonces = limits::kDigestNonces;  ///< whose uses are remembered
  };
  /// Algorithms that this OpenSSL does not have are not offered.
  DigestServer(Config config, Random& random);

  const std::string& realm() const { return config_.realm; }

  /// The credentials of a request that are meant for this realm and an algorithm offered here.
  /// Nothing: it has to be challenged.
  std::optional<DigestCredentials> find(const Message& request, bool proxy) const;
  /// Takes those credentials off a request that goes on to others (RFC 3261 §22.3).
  void remove_credentials(Message& request, bool proxy) const;
  /// @param secrets of the user whom the credentials name; nothing when there is none. Takes as
  ///   long either way.
  DigestVerdict judge(const DigestCredentials& credentials, const Message& request,
                      const std::optional<DigestSecrets>& secrets, Instant now);
  /// Adds a challenge for each algorithm to a 401 (`proxy` false) or 407.
  void challenge(Message& response, bool proxy, bool stale, Instant now);
  /// Adds Authentication-Info to a 2xx (RFC 7615): proof that we know the secret, too, and the next
  /// nonce once this one is past half of its life.
  void add_authentication_info(Message& response, const DigestCredentials& accepted,
                               const DigestSecrets& secrets, Instant now);

  std::size_t remembered_nonces() const { return uses_.size(); }

 private:
  /// Which counts of a nonce were used: the highest, and the 63 below it.
  struct Uses {
    std::uint32_t highest = 0;
    std::uint64_t window = 0;
  };
  bool offers(DigestAlgorithm algorithm) const;
  std::string new_nonce(Instant now);
  std::string nonce_text(std::uint64_t stamp) const;
  /// When the nonce was made, in microseconds; nothing when it is not one of ours.
  std::optional<std::uint64_t> stamp_of(std::string_view nonce) const;
  bool is_fresh(std::uint64_t stamp, Instant now) const;
  bool use(std::uint64_t stamp, std::uint32_t count, Instant now);

  Config config_;
  Bytes key_;
  std::uint64_t last_stamp_ = 0;
  std::uint64_t forgotten_ = 0;  ///< nonces up to this one are stale: their uses are not known
  std::map<std::uint64_t, Uses> uses_;  ///< by stamp, so the oldest is first
};

}  // namespace isthmus::sip
