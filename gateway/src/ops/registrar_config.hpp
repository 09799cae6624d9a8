#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "sip/digest.hpp"
#include "sip/digest_server.hpp"

namespace isthmus::ops {

/// Who proves that a phone is whose it says.
enum class RegistrarAuthentication : std::uint8_t {
  link,    ///< the link's session did, for all that comes over it
  digest,  ///< each phone does, by its own SIP password, in addition
};
enum class RegistrarPath : std::uint8_t { accept, strict, off };  ///< RFC 3327

struct RegistrarConfig {
  /// Relative to the state directory; empty: contacts live in memory, users in the configuration.
  std::string database = "registrar.sqlite";
  seconds default_expires{3600}, min_expires{60}, max_expires{7200};
  RegistrarPath path = RegistrarPath::accept;
  std::vector<std::string> service_route;  ///< values of Service-Route
  seconds flow_timer{120};                 ///< 0: not told
  RegistrarAuthentication authentication = RegistrarAuthentication::link;
  /// MD5 alone: many phones give up at a challenge that they do not know, where RFC 8760 §2.4 has
  /// them skip it.
  std::vector<sip::DigestAlgorithm> algorithms{sip::DigestAlgorithm::md5};
  seconds nonce_life{300};
  bool operator==(const RegistrarConfig&) const = default;
};

/// The path of the database: empty when there is none.
std::string database_path(const RegistrarConfig& config, const std::string& state_dir);

}  // namespace isthmus::ops
