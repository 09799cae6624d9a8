#include "session/authenticator.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace isthmus::session {
namespace {

/// As expensive as the most expensive account. Nothing matches it: its hash is all zero bytes,
/// which would take a preimage of scrypt.
PasswordHash decoy_like(const std::vector<Account>& accounts) {
  ScryptCost cost = accounts.empty() ? ScryptCost{} : accounts.front().password.cost();
  for (const Account& account : accounts) {
    if (account.password.cost().work() > cost.work()) cost = account.password.cost();
  }
  auto decoy = PasswordHash::parse("$scrypt$ln=" + std::to_string(cost.log2_n) +
                                   ",r=" + std::to_string(cost.r) + ",p=" + std::to_string(cost.p) +
                                   "$" + std::string(22, 'A') + "$" + std::string(43, 'A'));
  return decoy ? *decoy : PasswordHash();
}

}  // namespace

bool is_user_name(std::string_view text) {
  static constexpr std::string_view kMarks = "-_.+~!";
  if (text.empty() || text.size() > limits::kUserNameBytes) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool Identity::may_use(std::string_view aor) const {
  return std::any_of(aors.begin(), aors.end(),
                     [&](const std::string& own) { return own == "*" || own == aor; });
}

Authenticator::Authenticator(const std::vector<Account>& accounts, TokenVerifier tokens,
                             MoreAccounts more)
    : decoy_(decoy_like(accounts)), tokens_(std::move(tokens)), more_(std::move(more)) {
  for (const Account& account : accounts) accounts_.try_emplace(account.name, account);
}

Result<Identity, AuthError> Authenticator::with_password(std::string_view user,
                                                         std::string_view password) const {
  auto found = accounts_.find(user);
  std::optional<Account> stored;
  if (found == accounts_.end() && more_) stored = more_(user);
  const Account* account = found != accounts_.end() ? &found->second : stored ? &*stored : nullptr;
  bool matches = (account ? account->password : decoy_).matches(password);
  if (!matches || !account) {
    return AuthError{AuthFault::wrong_password, std::nullopt, "user name or password is wrong"};
  }
  return Identity{account->name, account->aors};
}

Result<Identity, AuthError> Authenticator::with_token(std::string_view token,
                                                      WallSeconds now) const {
  auto claims = tokens_.verify(token, now);
  if (!claims) {
    return AuthError{AuthFault::bad_token, claims.error().fault, claims.error().text};
  }
  Identity identity{claims->subject, claims->aors};
  if (identity.aors.empty()) identity.aors.push_back(identity.user);
  return identity;
}

}  // namespace isthmus::session
