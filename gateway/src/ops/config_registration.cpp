#include "ops/config_registration.hpp"

#include <set>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::ops {
namespace {

void visit_credentials(KeyVisitor& v, ProviderAccountConfig& c) {
  v.value("auth_user", {"Name in digest credentials, where it is another one.", "", "`user`"},
          header_text(c.auth_user));
  v.value("password", {"Password in this file.", "", "none"}, secret(c.password));
  v.value("password_file", {"File that holds the password in its first line.", "", "none"},
          secret_file(c.password));
  v.value("contact_user",
          {"User part of the Contact that is registered: where the provider sends calls.", "",
           "a token that does not change"},
          user_name(c.contact_user));
}

void visit_account(KeyVisitor& v, ProviderAccountConfig& c) {
  v.value("user", {"Name or number at the provider.", "", "", true}, user_name(c.user));
  visit_credentials(v, c);
  v.value("aor",
          {"Whose account it is: a user part in the gateway's domain. Calls of the account ring on "
           "all devices of that user.",
           "", "`user`"},
          user_name(c.aor));
}

void visit_trunk(KeyVisitor& v, ProviderAccountConfig& c) {
  v.value("user", {"Name at the provider; needed to register and for credentials.", "", "none"},
          user_name(c.user));
  visit_credentials(v, c);
}

std::string in_quotes(const std::string& text) {
  return "\"" + text + "\"";
}

void check_password(const std::string& key, bool needed, CheckSink& sink) {
  bool written = sink.given(key + ".password"), file = sink.given(key + ".password_file");
  if (written && file)
    sink.fault(key + ".password_file", "is given beside password", "one of the two");
  if (needed && !written && !file) sink.fault(key, "has no password", "password or password_file");
}

/// One name each, and none that is another account's in another role: it decides whose credentials
/// are used.
void check_accounts(RegistrationConfig& config, const std::string& key, CheckSink& sink) {
  if (config.accounts.empty()) {
    sink.fault(key + ".registration", "is account, and there are no accounts",
               "at least one in accounts");
  }
  std::set<std::string> users, aors, contacts;
  for (std::size_t i = 0; i < config.accounts.size(); ++i) {
    ProviderAccountConfig& account = config.accounts[i];
    std::string at = key + ".accounts[" + std::to_string(i) + "]";
    if (account.auth_user.empty()) account.auth_user = account.user;
    if (account.aor.empty()) account.aor = account.user;
    check_password(at, true, sink);
    if (!account.user.empty() && !users.insert(to_lower(account.user)).second)
      sink.fault(at + ".user", "is " + in_quotes(account.user) + ", as of another account",
                 "a name of its own");
    if (!account.aor.empty() && !aors.insert(to_lower(account.aor)).second)
      sink.fault(at + ".aor", "is " + in_quotes(account.aor) + ", which has an account already",
                 "one account for each user");
    if (!account.contact_user.empty() && !contacts.insert(to_lower(account.contact_user)).second)
      sink.fault(at + ".contact_user",
                 "is " + in_quotes(account.contact_user) + ", as of another account",
                 "a name of its own");
  }
  for (std::size_t i = 0; i < config.accounts.size(); ++i) {
    const ProviderAccountConfig& account = config.accounts[i];
    if (iequals(account.aor, account.user) || !users.contains(to_lower(account.aor))) continue;
    sink.fault(key + ".accounts[" + std::to_string(i) + "].aor",
               "is " + in_quotes(account.aor) + ", which is another account's user",
               "names that cannot be mistaken for each other");
  }
}

void check_trunk(RegistrationConfig& config, const std::string& key, CheckSink& sink) {
  ProviderAccountConfig& trunk = config.trunk;
  if (trunk.auth_user.empty()) trunk.auth_user = trunk.user;
  bool registers = config.when != RegisterWhen::none;
  if (registers && trunk.user.empty()) {
    sink.fault(key + ".registration", "is trunk, and trunk.user is missing",
               "trunk.user to register, or register: none");
  }
  check_password(key + ".trunk", registers && !trunk.user.empty(), sink);
  if (sink.given(key + ".register") && config.when == RegisterWhen::when_present) {
    sink.fault(key + ".register", "is when_present, and a trunk belongs to no user",
               "always or none");
  }
}

}  // namespace

void visit_registration(KeyVisitor& v, RegistrationConfig& c) {
  v.value("registration",
          {"Who registers at the provider. `passthrough`: clients, with their own credentials. "
           "`account`: the gateway, each of `accounts` with its stored credentials; clients "
           "register with the gateway, by the provider's domain or its own. `trunk`: the gateway, "
           "once for everybody."},
          choice(c.mode));
  v.value("client_refresh_s",
          {"With `passthrough`: clients are told to refresh after this, and refreshes that change "
           "nothing are answered by the gateway while the provider's binding has life left; 0 lets "
           "every REGISTER pass as it is.",
           "s"},
          duration(c.client_refresh, seconds(0), seconds(86400)));
  v.value("register_expires_s", {"Expiry that is asked of the provider.", "s"},
          duration(c.register_expires, seconds(60), seconds(limits::kLongestRegistration_s)));
  v.value("register",
          {"With `account`: `when_present` registers while the user has a session or a device, "
           "`always` as long as the gateway runs. With `trunk`: `always`, or `none` where the "
           "provider knows the gateway's address.",
           "", "`when_present` of accounts, `always` of a trunk"},
          choice(c.when));
  v.value("account_domain",
          {"SIP domain of the accounts or the trunk.", "", "the first of `domains`"},
          domain_name(c.domain));
  v.value("account_from",
          {"From of calls to the provider by an account: the account's address, or as the client "
           "wrote it."},
          choice(c.from));
  v.value("inbound_user",
          {"With `trunk`: where the called number stands in requests from the provider."},
          choice(c.inbound_user));
  v.value("outbound",
          {"Register with an instance and reg-id (RFC 5626), for providers that ask for it."},
          boolean(c.outbound));
  v.sections("accounts", "With `registration: account`.",
             [&] { visit_account(v, c.accounts.emplace_back()); });
  v.section("trunk", "With `registration: trunk`.", [&] { visit_trunk(v, c.trunk); });
}

void check_registration(ProviderConfig& provider, const std::string& key, CheckSink& sink) {
  RegistrationConfig& config = provider.registration;
  if (config.domain.empty() && config.mode != RegistrationMode::passthrough)
    config.domain = provider.domains.empty() ? provider.target.host : provider.domains.front();
  auto only_with = [&](const char* name, bool right, const char* mode) {
    if (right || !sink.given(key + "." + name)) return;
    sink.fault(key + "." + name, "is given without registration: " + std::string(mode),
               "it there, or not at all");
  };
  RegistrationMode mode = config.mode;
  only_with("accounts", mode == RegistrationMode::account, "account");
  only_with("account_from", mode == RegistrationMode::account, "account");
  only_with("trunk", mode == RegistrationMode::trunk, "trunk");
  only_with("inbound_user", mode == RegistrationMode::trunk, "trunk");
  only_with("client_refresh_s", mode == RegistrationMode::passthrough, "passthrough");
  only_with("register", mode != RegistrationMode::passthrough, "account or trunk");
  only_with("account_domain", mode != RegistrationMode::passthrough, "account or trunk");
  only_with("outbound", mode != RegistrationMode::passthrough, "account or trunk");
  if (mode == RegistrationMode::account) check_accounts(config, key, sink);
  if (mode == RegistrationMode::trunk) {
    check_trunk(config, key, sink);
    if (!sink.given(key + ".register")) config.when = RegisterWhen::always;
  }
}

}  // namespace isthmus::ops
