#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "sip/flow.hpp"

namespace isthmus::call {

/// One contact that a downstream device registered through us with somebody else's registrar.
/// Upstream knows it as our own address with `token` as user part.
struct Binding {
  std::string token;
  std::string owner;        ///< Router::owner_of the flow that registered
  std::string aor;          ///< To URI of the REGISTER, as written
  std::string contact_uri;  ///< Contact URI as the device wrote it
  sip::Flow flow;           ///< where it was last registered from
  Instant expires{};
  Instant silent_after = Instant::max();  ///< the device should have refreshed by then
  bool confirmed = false;                 ///< a 2xx came
  bool reachable = true;                  ///< its link is up
};

/// Tokens of pass-through registrations. A token is a keyed hash of owner, address of record and
/// contact, so that a device that comes back after a restart on either side replaces its old
/// binding at the registrar instead of adding a second one. Pure; single-threaded.
class BindingTable {
 public:
  /// @param secret  key of the token hash; keep it across restarts.
  explicit BindingTable(Bytes secret) : secret_(std::move(secret)) {}
  BindingTable(const BindingTable&) = delete;  ///< its indexes point into it
  BindingTable& operator=(const BindingTable&) = delete;

  std::string token_for(std::string_view owner, std::string_view aor,
                        std::string_view contact_uri) const;
  /// Adds or refreshes what a REGISTER asks for; unconfirmed until confirm().
  Binding& note(std::string_view owner, std::string_view aor, std::string_view contact_uri,
                const sip::Flow& flow, Instant now);
  void confirm(std::string_view token, Instant expires);
  /// The device refreshed; silent past that moment, it is not reachable any more.
  void heard(std::string_view token, Instant silent_after);
  const Binding* find(std::string_view token) const;
  void remove(std::string_view token);
  /// Removes an unconfirmed one only: its REGISTER failed.
  void drop_unconfirmed(std::string_view token);
  void remove_all_of(std::string_view owner, std::string_view aor);
  /// The session's bindings stay until they expire, so that calls get 480 and not 404, but cannot
  /// be reached.
  void session_closed(std::uint64_t session);
  /// The connection that a device came on is over: 430 for its calls (RFC 5626 §5.3), until it
  /// registers on another one.
  void flow_closed(const sip::Flow& flow);
  /// The device is back on another session: unreachable bindings of that owner whose Contact host
  /// is `instance` (wire protocol, Hello) are reached through it again.
  void reattach(std::string_view owner, std::string_view instance, const sip::Flow& flow);
  void expire(Instant now);
  std::size_t size() const { return bindings_.size(); }
  std::size_t count_of_flow(const sip::Flow& flow) const;
  std::vector<const Binding*> all() const;

 private:
  Binding* at(std::string_view token);
  using Bindings = std::unordered_map<std::string, Binding>;

  void move(Binding& binding, const sip::Flow& flow);
  void lose(const sip::Flow& flow);
  Bindings::iterator erase(Bindings::iterator binding);

  Bytes secret_;
  Bindings bindings_;  ///< by token
  std::unordered_map<sip::Flow, std::unordered_set<Binding*>, sip::FlowHash> by_flow_;
  std::unordered_map<std::string, std::unordered_set<Binding*>> by_owner_;
};

}  // namespace isthmus::call
