#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "provider/redirection_headers.hpp"
#include "sip/message.hpp"

namespace isthmus::provider {

/// Headers that an operator wants otherwise, in this order: renamed, removed, set, added.
struct HeaderEdits {
  std::vector<std::pair<std::string, std::string>> rename;  ///< from, to
  std::vector<std::string> remove;
  std::vector<std::pair<std::string, std::string>> set;  ///< in place of all of that name
  std::vector<std::pair<std::string, std::string>> add;  ///< beside those of that name
  bool operator==(const HeaderEdits&) const = default;
};

/// What becomes of headers between clients and one provider.
struct HeaderPolicy {
  /// The provider belongs to our trust domain (RFC 3325 §2.3): its P-Asserted-Identity is believed,
  /// and it gets ours even when privacy is asked for.
  bool trusted = true;
  /// Puts P-Asserted-Identity on requests to it, from who the session is.
  bool assert_identity = false;
  /// Acts as privacy service (RFC 3323 §5) for requests to it, instead of leaving that to it.
  bool apply_privacy = false;
  std::string anonymous_from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
  bool strip_diversion = false, strip_history_info = false;
  RedirectionForm redirections = RedirectionForm::pass;  ///< of requests to it
  bool strip_software = false;                           ///< User-Agent and Server, both ways
  HeaderEdits to_provider, from_provider;
};

/// Who a client is, for identities to assert.
class ClientIdentity {
 public:
  virtual ~ClientIdentity() = default;
  virtual std::string uri() const = 0;
  virtual bool may_be(std::string_view uri) const = 0;
};

/// One side that a message comes from or goes to.
struct HeaderParty {
  const HeaderPolicy* provider = nullptr;  ///< null: a client, or nobody known
  bool trusted = false;                    ///< of a client; of a provider its policy says it
  const ClientIdentity* client = nullptr;  ///< of a client that a message comes from
  std::string_view user_agent{};  ///< for requests to a provider, and as Server; empty: as it is

  bool in_trust_domain() const { return provider ? provider->trusted : trusted; }
};

/// Applies the policies of both sides to a message that crosses. `from` null: it is our own.
/// What Identity (RFC 8224 §4) signs — From, To, Date — is never touched here.
void apply_header_policy(sip::Message& message, const HeaderParty* from, const HeaderParty& to);

/// Whether a message asks for this kind of privacy (RFC 3323 §4.2: "id", "user", "header", …).
bool asks_privacy(const sip::Message& message, std::string_view kind);

}  // namespace isthmus::provider
