#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "call/deadlines.hpp"
#include "call/router.hpp"
#include "provider/registration_client.hpp"

namespace isthmus::provider {

/// When an account is kept registered at its provider.
enum class RegisterWhen : std::uint8_t {
  when_present,  ///< while its user has a session or a registered device
  always,
  never,  ///< the provider knows where we are
};

/// A name at a provider whose credentials we hold: one user's, or a whole trunk's.
struct UpstreamAccount {
  std::string provider;
  std::string domain;  ///< of the provider: host of its addresses of record
  std::string user;    ///< at the provider
  std::string auth_user, password;
  std::string contact_user;  ///< where its calls come in: user part of our Contact
  std::string aor;           ///< user part in our own domain; empty: a trunk, for everyone
  RegisterWhen when = RegisterWhen::when_present;
  std::uint32_t expires_s = 3600;
  std::string instance{};    ///< RFC 5626; empty: no outbound flow is asked for
  bool client_from = false;  ///< From of its calls stays as the client wrote it
  bool trunk() const { return aor.empty(); }
};

/// What UpstreamRegistrations wants done or known. Drain after every input.
struct SendRegister {
  std::size_t account = 0;
  sip::Message request;
  std::string redirect;  ///< a URI to send it to in place of the provider's own hosts; or empty
};
struct UpstreamChanged {
  std::size_t account = 0;
  bool registered = false;
  std::string error;  ///< why not; empty: not wanted any more
};
struct UpstreamActions {
  std::vector<SendRegister> sends;
  std::vector<UpstreamChanged> changes;
};

/// All registrations that this program keeps at its providers, and who calls by which of them
/// (modes `account` and `trunk`). Pure; single-threaded.
class UpstreamRegistrations {
 public:
  explicit UpstreamRegistrations(Random& random) : random_(random) {}

  void add(UpstreamAccount account);
  /// The provider's hosts are known: begins with its accounts that are always registered. Those
  /// that depend on a user's presence follow at update_presence(). Once for each provider.
  void start(std::string_view provider, Instant now, UpstreamActions& out);
  /// Asks for each user whether a device is there. One that leaves keeps its registration for a
  /// minute: links break and come back.
  void update_presence(const std::function<bool(const std::string& aor)>& present, Instant now,
                       UpstreamActions& out);
  /// The end of the REGISTER that is open for the account. @param response nothing: none came
  void on_response(std::size_t account, const sip::Message* response, const sip::Flow& flow,
                   Instant now, UpstreamActions& out);
  /// The provider can be reached again, and may have forgotten meanwhile; each of its accounts
  /// registers anew within half a minute.
  void renew(std::string_view provider, Instant now);
  void on_timeout(Instant now, UpstreamActions& out);
  std::optional<Instant> next_deadline() const;
  /// Removes every binding, for shutdown: nothing is registered after this.
  void stop(Instant now, UpstreamActions& out);
  /// No REGISTER is open.
  bool idle() const { return open_ == 0; }

  bool empty() const { return entries_.empty(); }
  const UpstreamAccount& account(std::size_t index) const { return entries_[index].account; }
  /// The account at that provider with this name there, or of this user of ours (no name stands for
  /// two); its trunk otherwise. Null: none.
  const UpstreamAccount* find(std::string_view provider, std::string_view user) const;
  /// Whose Contact at that provider has this user part.
  const UpstreamAccount* by_contact(std::string_view provider, std::string_view contact_user) const;
  /// Route values for requests of that account (RFC 3608); empty without.
  const std::vector<std::string>& service_route(const UpstreamAccount& account) const;

  struct Status {
    const UpstreamAccount* account;
    RegistrationMachine::State state;
    bool registered;
    Duration left, next_try;  ///< zero: does not apply
    unsigned failures;
    const std::string* error;
  };
  std::vector<Status> status(Instant now) const;

 private:
  struct Entry {
    UpstreamAccount account;
    std::unique_ptr<RegistrationClient> client;
    std::optional<Instant> leave_at;
    bool started = false, wanted = false, renewing = false;
    bool reported = false;
    std::string reported_error;
  };

  void schedule(std::size_t index);
  void act(std::size_t index, std::optional<sip::Message> request, Instant now,
           UpstreamActions& out);
  void run(Instant now, UpstreamActions& out);
  std::optional<sip::Message> next_step(Entry& entry, Instant now);
  void report(std::size_t index, Instant now, UpstreamActions& out);
  static std::string key(std::string_view provider, std::string_view user);

  Random& random_;
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> by_user_, by_aor_, by_contact_, trunks_;
  call::Deadlines<std::size_t> due_;
  std::size_t open_ = 0;
  bool stopped_ = false;
};

}  // namespace isthmus::provider
