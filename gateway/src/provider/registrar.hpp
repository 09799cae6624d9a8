#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "call/bridge.hpp"
#include "call/router.hpp"
#include "provider/digest_gate.hpp"
#include "provider/location_table.hpp"
#include "provider/register_request.hpp"
#include "provider/registrar_store.hpp"

namespace isthmus::provider {

/// The built-in registrar (RFC 3261 §10.3, with RFC 3327, 3608 and 5626): addresses of record of
/// one domain, bound to live links. The link's session says which addresses of record a request may
/// speak for; with a DigestGate, the phone has to prove it, too. Contacts live in memory; a
/// RegistrarStore hears of every change. Pure; single-threaded.
class Registrar final : public call::RegisterHandler {
 public:
  struct Config {
    std::string domain;
    RegisterPolicy policy{};
    std::vector<std::string> service_route{};  ///< RFC 3608: values of the 200
    std::uint32_t flow_timer_s = 0;            ///< RFC 5626 §4.4.1: told to phones; 0: not
    std::size_t max_contacts_per_flow = limits::kBindingsPerSession;
  };
  /// @param may_use  whether the flow may register the user part.
  Registrar(Config config, std::function<bool(const sip::Flow&, std::string_view)> may_use,
            Random& random);

  /// All must outlive the registrar. Null: none.
  void set_store(RegistrarStore* store) { store_ = store; }
  void set_gate(DigestGate* gate) { gate_ = gate; }
  /// Called when a user has a device that can be reached, who had none before.
  std::function<void(std::string_view user)> on_available;

  sip::Message on_register(const sip::Message& request, const sip::Flow& flow,
                           Instant now) override;
  std::optional<sip::Message> challenge(sip::Message& request, const sip::Flow& flow,
                                        Instant now) override;

  /// Reachable contacts of a user, best q first; empty when there are none.
  std::vector<Contact> lookup(std::string_view user, Instant now) const;
  /// The same by device, which is asked once: its flows, to be tried one after the other, the one
  /// that was refreshed last first (RFC 5626 §7). Devices with the best q come first.
  std::vector<std::vector<Contact>> devices(std::string_view user, Instant now) const;
  /// The session's contacts stay until they expire, but are not found any more.
  void session_closed(std::uint64_t session);
  /// The device is back: unreachable contacts that the flow may use and whose host is `instance`
  /// (wire protocol, Hello) are found again, through this flow.
  void reattach(std::string_view instance, const sip::Flow& flow);

  /// What time it is for others: for Date, and for what is stored. Tell it once in a while, as
  /// wall clocks are set. Before the first time there is no Date.
  void set_wall_clock(WallSeconds wall, Instant now);
  /// Contacts of an earlier run, at start. They are reached when their device is back; those that
  /// expired meanwhile are forgotten.
  /// @return how many were taken
  std::size_t restore(const std::vector<StoredContact>& contacts, Instant now);
  /// Forgets some of those that expired; about once a second.
  void expire(Instant now);
  /// Has contacts, reachable or not.
  bool knows(std::string_view user) const { return table_.find(user) != nullptr; }
  std::size_t contact_count() const { return table_.size(); }

  struct Entry {
    std::string user;
    Contact contact;
  };
  std::vector<Entry> all() const;

 private:
  using Contacts = LocationTable::Contacts;

  std::optional<Refusal> refuse_address(const sip::Message& request, const sip::Flow& flow,
                                        std::string& user) const;
  std::optional<Refusal> remove_all(const sip::Message& request, Contacts& contacts) const;
  std::optional<Refusal> apply(const RegisterRequest& order, const sip::Flow& flow, Instant now,
                               Contacts& contacts) const;
  std::optional<Refusal> over_limits(const std::string& user, const sip::Flow& flow,
                                     const Contacts& contacts) const;
  void commit(const std::string& user, Contacts contacts, Instant now);
  void store(const std::string& user);
  bool available(std::string_view user, Instant now) const;
  sip::Message refusal_to(const sip::Message& request, const Refusal& refusal) const;
  sip::Message answer(const sip::Message& request, const std::string& user,
                      const RegisterRequest& order, Instant now) const;
  std::int64_t unix_of(Instant instant) const;

  Config config_;
  std::function<bool(const sip::Flow&, std::string_view)> may_use_;
  Random& random_;
  RegistrarStore* store_ = nullptr;
  DigestGate* gate_ = nullptr;
  LocationTable table_;
  std::optional<std::int64_t> wall_offset_s_;  ///< of 1970 against the monotonic clock's beginning
  Instant now_{};                              ///< of the last input that had one
};

}  // namespace isthmus::provider
