#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// Remembers which registrations a registrar holds for how long, so that a device may refresh every
/// minute while the registrar is asked once in its own expiry. Knows nothing of who may refresh
/// what: the owner compares flows and bindings. Internal to the room; pure.
///
/// A refresh is answered here only while the registrar's binding has life left for two more
/// refreshes of the device, and only if it says what the accepted REGISTER said. Another Contact
/// (URI, q, instance, any parameter), Call-ID, From or To, credentials of another user, an older
/// CSeq or any header added, removed or changed goes to the registrar.
class RegisterThrottle {
 public:
  /// What a registrar granted, by its 2xx as the device gets it.
  struct Grant {
    std::vector<std::string> tokens;       ///< of the device's own Contacts, each with life left
    std::vector<std::string> own_uris;     ///< Contact URIs of these in `response`
    std::uint32_t upstream_expires_s = 0;  ///< the least of them
    std::uint32_t client_refresh_s = 0;    ///< what the device was told
    std::string upstream;                  ///< whose registrar it is (Router::owner_of)
  };

  /// Takes note of a REGISTER that was accepted. One that is too large to keep is not.
  void accepted(const sip::Message& request, const sip::Message& response, Grant grant,
                Instant now);
  /// The answer to a refresh that the registrar need not see; nothing: it must pass. `tokens` are
  /// those of all its Contacts. @param client_refresh_s  told to the device at most
  std::optional<sip::Message> answer(const sip::Message& request,
                                     const std::vector<std::string>& tokens,
                                     std::uint32_t client_refresh_s, Instant now,
                                     std::string_view to_tag);
  /// Whatever the registrar holds under these tokens is not known any more.
  void forget(const std::vector<std::string>& tokens);
  /// Every next refresh to there passes: the registrar may have lost its memory.
  void forget_upstream(std::string_view upstream);
  void expire(Instant now);
  bool empty() const { return kept_.empty(); }

 private:
  struct KeptContact {
    std::string value;  ///< without its expiry
    Instant expires{};
    bool own = false;
  };
  struct Kept {
    std::string fingerprint;
    std::string digest_user;  ///< "realm user" of its credentials, "" without
    std::string upstream;
    std::uint32_t cseq = 0;
    Instant pass_at{};  ///< from here on a refresh goes to the registrar
    Instant upstream_expires{};
    std::vector<KeptContact> contacts;
    std::vector<std::pair<std::string, std::string>> headers;  ///< of the 2xx, as Service-Route
    std::vector<std::string> tokens;                           ///< of its Contacts, sorted
  };

  std::unordered_map<std::string, std::shared_ptr<Kept>> kept_;  ///< under each of its tokens
};

/// Expiry that a REGISTER asks for one of its Contacts (RFC 3261 §10.2.1.1); nothing when it leaves
/// that to the registrar.
std::optional<std::uint32_t> asked_expires(const sip::Message& request,
                                           const sip::NameAddr& contact);

}  // namespace isthmus::call
