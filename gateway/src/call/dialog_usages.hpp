#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "call/dialog_identity.hpp"
#include "call/media_session.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// What a NOTIFY says of its subscription (RFC 6665 §8.2.3).
struct SubscriptionState {
  bool terminated = false;
  std::optional<std::uint32_t> expires_s;

  static SubscriptionState of(const sip::Message& notify);
};

/// Which subscription of a dialog a REFER, SUBSCRIBE or NOTIFY is about.
struct SubscriptionKey {
  std::string package;  ///< "refer", "dialog", in lower case
  std::string id;       ///< of a REFER its CSeq, in its sender's words; may be empty

  /// @param identity  of the dialog that it came in: a NOTIFY names a REFER by the number that its
  /// receiver gave it; null: it is no NOTIFY
  static SubscriptionKey of(const sip::Message& request, Side from, const DialogIdentity* identity);
  /// Whether a later request is about the one that this key's request made. The NOTIFYs of a
  /// dialog's first REFER need no id (RFC 3515 §2.4.6); one without Event says nothing else.
  bool is_meant_by(const SubscriptionKey& later) const;
};

/// The subscriptions that share a dialog with an INVITE, or with the subscription that made it (RFC
/// 5057): a REFER makes one without asking (RFC 3515 §2.4.4), a SUBSCRIBE asks. They outlive the
/// BYE, which ends the INVITE usage alone, and one another, until a NOTIFY says that they are over
/// or their time is up.
class DialogUsages {
 public:
  /// A request of that side crosses.
  void on_request(const sip::Message& request, Side from, const DialogIdentity& identity,
                  Instant now);
  /// Its final response, as it came.
  void on_response(const sip::Message& request, Side from, const DialogIdentity& identity,
                   const sip::Message& response, Instant now);
  /// Until when the last of them lasts; nothing when none is open.
  std::optional<Instant> last_until(Instant now) const;

 private:
  struct Subscription {
    Side subscriber = Side::caller;
    SubscriptionKey key;
    Instant until{};
  };
  Subscription* find(Side subscriber, const SubscriptionKey& key);
  void open(Side subscriber, SubscriptionKey key, Instant until);
  void close(const Subscription* subscription);

  std::vector<Subscription> open_;  ///< oldest first, at most limits::kRefersPerDialog
};

}  // namespace isthmus::call
