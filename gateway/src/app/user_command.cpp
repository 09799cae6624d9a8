#include "app/user_command.hpp"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "base/limits.hpp"
#include "net/system_random.hpp"
#include "ops/registrar_config.hpp"
#include "ops/state_dir.hpp"
#include "session/authenticator.hpp"
#include "session/password_hash.hpp"
#include "store/user_store.hpp"

namespace isthmus::app {
namespace {

constexpr int kDone = 0, kBadInput = 1, kNoDatabase = 2;

/// Switches the terminal's echo off while a password is typed.
class NoEcho {
 public:
  NoEcho() : on_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!on_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~NoEcho() {
    if (on_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
  bool on_;
};

std::string read_password(const std::string& name) {
  std::string password;
  if (::isatty(STDIN_FILENO) == 0) {
    std::getline(std::cin, password);
    return password;
  }
  std::cerr << "Password of " << name << ": " << std::flush;
  NoEcho quiet;
  std::getline(std::cin, password);
  std::cerr << '\n';
  return password;
}

int fail(int code, const std::string& text) {
  std::cerr << text << '\n';
  return code;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

int list(store::UserStore& users, const std::string& domain) {
  auto all = users.all();
  if (!all) return fail(kNoDatabase, all.error().text);
  for (const store::StoredUser& user : *all) {
    std::string sip = user.secrets.empty()   ? "no"
                      : user.realm == domain ? "yes"
                                             : "for " + user.realm + " only";
    std::cout << user.name << "  link=" << (user.password_hash.empty() ? "no" : "yes")
              << "  sip=" << sip << "  aors=" << joined(user.aors) << '\n';
  }
  return kDone;
}

int set_password(store::UserStore& users, store::StoredUser user, const std::string& domain,
                 bool for_links, bool for_sip) {
  std::string password = read_password(user.name);
  if (password.empty() || password.size() > limits::kPasswordBytes) {
    return fail(kBadInput, "Give the password as one line on standard input, at most " +
                               std::to_string(limits::kPasswordBytes) + " bytes.");
  }
  net::SystemRandom random;
  user.password_hash = for_links ? session::hash_password(password, random) : std::string();
  user.realm = domain;
  user.secrets = for_sip ? sip::digest_secrets(user.name, domain, password) : sip::DigestSecrets{};
  if (auto error = users.put(user)) return fail(kNoDatabase, error->text);
  return kDone;
}

bool is_configured(const ops::GatewayConfig& config, const std::string& name) {
  return std::any_of(config.users.begin(), config.users.end(),
                     [&](const ops::UserConfig& user) { return user.name == name; });
}

int add(store::UserStore& users, const ops::GatewayConfig& config, const UserOptions& options) {
  if (options.sip_only && options.link_only) {
    return fail(kBadInput, "--sip-only and --link-only leave nothing");
  }
  if (is_configured(config, options.name)) {
    return fail(kBadInput, options.name + " is a user of the configuration, which comes first");
  }
  if (users.find(options.name)) {
    return fail(kBadInput, options.name + " is there already; `user passwd` sets its password");
  }
  store::StoredUser user;
  user.name = options.name;
  user.aors = options.aors.empty() ? std::vector{options.name} : options.aors;
  for (const std::string& aor : user.aors) {
    if (aor != "*" && !session::is_user_name(aor)) {
      return fail(kBadInput, "\"" + aor + "\" is no user part of an address, nor \"*\"");
    }
  }
  return set_password(users, std::move(user), config.domain, !options.sip_only, !options.link_only);
}

}  // namespace

bool has_stored_users(const ops::GatewayConfig& config, const std::string& state_dir) {
  std::string path = ops::database_path(config.registrar, state_dir);
  if (path.empty()) return false;
  auto users = store::UserStore::open(path);
  if (!users) return false;
  auto all = users->all();
  return all && !all->empty();
}

int user_command(const ops::GatewayConfig& config, const UserOptions& options) {
  auto state_dir = ops::choose_state_dir(config.state_dir);
  if (!state_dir) return fail(kNoDatabase, "state_dir: " + state_dir.error().text);
  std::string path = ops::database_path(config.registrar, *state_dir);
  if (path.empty()) {
    return fail(kNoDatabase, "registrar.database is empty: there is no database for users");
  }
  if (options.action != UserAction::list && !session::is_user_name(options.name)) {
    return fail(kBadInput, "\"" + options.name + "\" is no user name");
  }
  auto users = store::UserStore::open_to_change(path);
  if (!users) return fail(kNoDatabase, "registrar.database: " + users.error().text);
  if (options.action == UserAction::list) return list(*users, config.domain);
  if (options.action == UserAction::add) return add(*users, config, options);
  std::optional<store::StoredUser> known = users->find(options.name);
  if (!known) return fail(kBadInput, "There is no user " + options.name + " in " + path);
  if (options.action == UserAction::passwd) {
    bool links = !known->password_hash.empty(), sip = !known->secrets.empty();
    return set_password(*users, std::move(*known), config.domain, links, sip);
  }
  auto removed = users->remove(options.name);
  return removed ? kDone : fail(kNoDatabase, removed.error().text);
}

}  // namespace isthmus::app
