#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "call/media_session.hpp"
#include "sip/message.hpp"

namespace isthmus::call {

/// What a NOTIFY says of its subscription (RFC 6665 §8.2.3).
struct SubscriptionState {
  bool terminated = false;
  std::optional<std::uint32_t> expires_s;

  static SubscriptionState of(const sip::Message& notify);
};

/// The subscriptions that share a dialog with an INVITE (RFC 5057): a REFER makes one without
/// asking (RFC 3515 §2.4.4), a SUBSCRIBE asks. They outlive the BYE, which ends the INVITE usage
/// alone, until a NOTIFY says that they are over or their time is up.
class DialogUsages {
 public:
  /// A request of that side crosses.
  void on_request(const sip::Message& request, Side from, Instant now);
  /// Its final response, as it came.
  void on_response(const sip::Message& request, Side from, const sip::Message& response,
                   Instant now);
  /// Until when the last of them lasts; nothing when none is open.
  std::optional<Instant> last_until(Instant now) const;

 private:
  struct Subscription {
    Side subscriber = Side::caller;
    std::string package;  ///< "refer", "dialog", in lower case
    std::string id;       ///< of a REFER its CSeq; may be empty
    Instant until{};
  };
  Subscription* find(Side subscriber, const sip::Message& request);
  void open(Side subscriber, const sip::Message& request, Instant until);
  void close(const Subscription* subscription);

  std::vector<Subscription> open_;  ///< oldest first, at most limits::kRefersPerDialog
};

}  // namespace isthmus::call
