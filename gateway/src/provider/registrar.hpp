#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "call/bridge.hpp"
#include "call/router.hpp"

namespace isthmus::provider {

/// One registered device of a user of the built-in registrar.
struct Contact {
  std::string uri;       ///< as the device wrote it
  std::string instance;  ///< +sip.instance (RFC 5626), "" if none
  sip::Flow flow;        ///< where it registered from: requests go back there
  std::string call_id;
  std::uint32_t cseq = 0;
  double q = 1.0;  ///< preference, 0..1
  Instant expires{};
  bool reachable = true;  ///< its link is up
};

/// The built-in registrar (RFC 3261 §10.3): addresses of record of one domain, kept in memory,
/// bound to live links. Authentication was done by the link; `may_use` says which addresses of
/// record a flow stands for. Pure.
class Registrar final : public call::RegisterHandler {
 public:
  struct Config {
    std::string domain;
    std::uint32_t default_expires_s = 3600, min_expires_s = 60, max_expires_s = 7200;
  };
  /// @param may_use  whether the flow may register the user part.
  Registrar(Config config, std::function<bool(const sip::Flow&, std::string_view)> may_use,
            Random& random);

  sip::Message on_register(const sip::Message& request, const sip::Flow& flow,
                           Instant now) override;

  /// Reachable contacts of a user, best q first; empty when there are none.
  std::vector<Contact> lookup(std::string_view user, Instant now) const;
  /// The session's contacts stay until they expire, but are not found any more.
  void session_closed(std::uint64_t session);
  /// The device is back: unreachable contacts that the flow may use and whose host is `instance`
  /// (wire protocol, Hello) are found again, through this flow.
  void reattach(std::string_view instance, const sip::Flow& flow);
  void expire(Instant now);
  /// Has unexpired contacts, reachable or not.
  bool knows(std::string_view user) const { return contacts_.contains(user); }
  std::size_t contact_count() const;

  struct Entry {
    std::string user;
    Contact contact;
  };
  std::vector<Entry> all() const;

 private:
  struct Update {
    Contact contact;
    std::uint32_t expires_s = 0;
  };
  std::optional<sip::Message> refuse(const sip::Message& request, const sip::Flow& flow,
                                     std::string& user) const;
  sip::Message answer(const sip::Message& request, const std::string& user, Instant now) const;
  void apply(std::vector<Contact>& contacts, Update update, Instant now);

  Config config_;
  std::function<bool(const sip::Flow&, std::string_view)> may_use_;
  Random& random_;
  std::map<std::string, std::vector<Contact>, std::less<>> contacts_;  ///< by user
};

}  // namespace isthmus::provider
