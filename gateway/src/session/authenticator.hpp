#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "session/password_hash.hpp"
#include "session/token.hpp"

namespace isthmus::session {

/// A user part that may stand in a SIP URI unescaped and in a configuration: letters, digits and
/// "-_.+~!", up to limits::kUserNameBytes.
bool is_user_name(std::string_view text);

/// One user of the configuration.
struct Account {
  std::string name;
  PasswordHash password;
  std::vector<std::string> aors;  ///< user parts in the gateway's domain; "*": any
};

/// Who is at the other end of a session.
struct Identity {
  std::string user;
  std::vector<std::string> aors;
  /// May this user register, call and be called as this user part of the gateway's domain?
  bool may_use(std::string_view aor) const;
};

enum class AuthFault : std::uint8_t {
  wrong_password,  ///< or no such user: the two are told apart nowhere
  bad_token,
};

struct AuthError {
  AuthFault fault;
  std::optional<TokenFault> token;  ///< with bad_token
  std::string text;                 ///< may be sent to the client
};

/// Judges credentials. Immutable and without state, so the slow `with_password` may run on a thread
/// of its own while shards use the same object; how often somebody may try is session/limiter.hpp's
/// business.
class Authenticator {
 public:
  /// An account that is not in the list: of a database, as it is now. Called by with_password(), on
  /// its thread.
  using MoreAccounts = std::function<std::optional<Account>(std::string_view user)>;

  /// Of accounts with the same name the first counts; the configuration allows no second.
  Authenticator(const std::vector<Account>& accounts, TokenVerifier tokens,
                MoreAccounts more = nullptr);

  /// Takes as long for a user who does not exist as for one who does. About 0.1 s of one core.
  Result<Identity, AuthError> with_password(std::string_view user, std::string_view password) const;
  /// Fast enough for a shard's thread.
  Result<Identity, AuthError> with_token(std::string_view token, WallSeconds now) const;

 private:
  std::map<std::string, Account, std::less<>> accounts_;
  PasswordHash decoy_;  ///< what an unknown user's password is compared with
  TokenVerifier tokens_;
  MoreAccounts more_;
};

}  // namespace isthmus::session
