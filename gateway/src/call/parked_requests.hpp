#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "call/bridge_core.hpp"
#include "call/deadlines.hpp"

namespace isthmus::call {

/// Requests outside dialogs whose way is not known yet: they wait for a lookup (a DNS name, an ENUM
/// number) or for a device of the user to appear, and are routed again then. Bounded in number by
/// limits::kParkedRequests and in time. The transaction layer answers an INVITE 100 meanwhile;
/// while it waits for a device, the caller is told 182. Internal to the room.
class ParkedRequests {
 public:
  struct Parked {
    sip::TransactionId server = 0;
    sip::Flow flow;
    sip::Message request;
    unsigned lookups = 0;          ///< that it has waited for
    std::optional<Instant> until;  ///< it waits, or has waited, for a device up to then
  };
  using RouteAgain = std::function<void(Parked)>;

  ParkedRequests(BridgeCore& core, RouteAgain route_again)
      : core_(core), route_again_(std::move(route_again)) {}

  /// Answers 503 when the lookup gives nothing in time, when this request has waited for too many,
  /// or when too many wait.
  void wait_for_lookup(Parked parked, const std::string& key);
  /// Answers 480 with Retry-After when nobody comes in time.
  void wait_for_user(Parked parked, const RouteWait& wait);
  void on_user_available(std::string_view user);
  /// A parked INVITE is answered 487. @return false: none of ours.
  bool on_cancel(sip::TransactionId server);
  /// Whoever asked cannot be answered any more.
  void forget(sip::TransactionId server);
  void on_session_closed(std::uint64_t session);
  void on_timeout();
  std::optional<Instant> next_deadline() const { return deadlines_.next(); }
  std::size_t size() const { return parked_.size(); }

 private:
  using Ticket = std::uint64_t;
  struct Entry {
    Parked parked;
    std::string user;  ///< whose device it waits for; empty: a lookup
    unsigned retry_after_s = 0;
  };
  std::optional<Ticket> keep(Parked parked, std::string user);
  std::optional<Entry> take(Ticket ticket);
  void announce(const Parked& parked, const std::string& user);

  BridgeCore& core_;
  RouteAgain route_again_;
  Ticket next_ticket_ = 1;
  std::map<Ticket, Entry> parked_;  ///< in the order in which they came
  std::unordered_map<sip::TransactionId, Ticket> by_server_;
  std::unordered_multimap<std::string, Ticket> by_user_;
  Deadlines<Ticket> deadlines_;
};

}  // namespace isthmus::call
