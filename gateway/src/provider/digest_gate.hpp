#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "session/limiter.hpp"
#include "sip/digest_server.hpp"
#include "sip/flow.hpp"
#include "sip/message.hpp"
#include "sip/uri.hpp"

namespace isthmus::provider {

/// One who has a SIP password in our domain.
struct SipUser {
  std::string name;
  sip::DigestSecrets secrets;
  std::vector<std::string> aors;  ///< user parts that are this user's; "*": any
  bool may_use(std::string_view aor) const;
};

class SipUserDirectory {
 public:
  virtual ~SipUserDirectory() = default;
  /// Asked once for each request with credentials, so a change counts at once. Must not block.
  virtual std::optional<SipUser> find_sip_user(std::string_view name) = 0;
};

/// Digest in front of the built-in registrar and of all that our own domain is asked for
/// (`registrar.authentication: digest`): a session may stand for many phones, each of which proves
/// by its own password whose it is. 401 for REGISTER, 407 for the rest (RFC 3261 §22). ACK, CANCEL
/// and requests inside dialogs never come here. Wrong answers are limited by link and user name.
/// Pure; single-threaded.
class DigestGate {
 public:
  using IsOwn = std::function<bool(const sip::Uri&)>;
  struct Accepted {
    SipUser user;
    sip::DigestCredentials credentials;
  };
  struct Counters {
    std::uint64_t challenged = 0, accepted = 0, stale = 0, wrong = 0, limited = 0;
  };

  /// @param is_own  whether a URI's host means us.
  DigestGate(sip::DigestServer::Config config, SipUserDirectory& users, IsOwn is_own,
             Random& random);

  /// Judges a REGISTER for that address of record.
  /// @param accepted  set when it may pass
  /// @return the response that refuses it
  std::optional<sip::Message> refuse_register(const sip::Message& request, std::string_view aor,
                                              const sip::Flow& flow, Instant now,
                                              std::optional<Accepted>& accepted);
  /// Judges any other request outside dialogs. One that passes has lost the credentials that were
  /// meant for us.
  std::optional<sip::Message> refuse(sip::Message& request, const sip::Flow& flow, Instant now);
  void add_authentication_info(sip::Message& response, const Accepted& accepted, Instant now);

  const Counters& counters() const { return counters_; }

 private:
  std::optional<sip::Message> judge(const sip::Message& request, bool proxy, const sip::Flow& flow,
                                    Instant now, std::optional<Accepted>& accepted);
  sip::Message challenge(const sip::Message& request, bool proxy, bool stale, Instant now);
  sip::Message respond(const sip::Message& request, int status, std::string_view reason);

  sip::DigestServer server_;
  SipUserDirectory& users_;
  IsOwn is_own_;
  Random& random_;
  session::KeyedLimiter attempts_;
  Counters counters_;
};

}  // namespace isthmus::provider
