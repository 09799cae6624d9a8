#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// The words in which a leg that hides the others (LegPolicy::topology_hiding) is told of Call-IDs
/// and tags: keyed hashes, which stay the same for the same dialog, for a request that is repeated
/// with credentials and for all requests of a Call-ID; nobody without the key can tell the words of
/// one leg from those of another. The key is new with each start.
class Aliases {
 public:
  explicit Aliases(Random& random);

  /// @param owner  of the leg that is told (Router::owner_of).
  std::string call_id(std::string_view owner, std::string_view call_id) const;
  /// @param call_id  as the leg has it where the tag comes from; tags are unique only with it.
  std::string tag(std::string_view owner, std::string_view call_id, std::string_view tag) const;
  /// A token for a URI that shall be reached through us, the same one each time.
  std::string token(std::string_view owner, std::string_view place, std::string_view uri) const;

 private:
  std::string hash(std::string_view kind, std::string_view a, std::string_view b,
                   std::string_view c) const;

  Bytes key_;
};

/// What stands in place of what is hidden.
struct Facade {
  std::string_view software;  ///< for User-Agent and Server
  std::string_view host;      ///< ours toward that leg, without port
  bool described = false;     ///< session descriptions name our own address already
};

/// Takes out of a message what tells of the software and the hosts of the leg it comes from:
/// User-Agent, Server, Organization; Path and Service-Route; hosts in History-Info, Diversion and
/// Warning; charging headers (RFC 7315); user, address, titles and tool in a session description;
/// all but the status line of a message/sipfrag. Call-IDs, tags and Contacts are not its business.
void hide_topology(sip::Message& message, const Facade& facade);
/// The description without names, titles and foreign addresses.
std::string hide_description(std::string_view sdp, bool own_address);

}  // namespace isthmus::call
