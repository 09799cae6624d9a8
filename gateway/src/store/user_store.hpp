#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sip/digest_server.hpp"
#include "store/sqlite.hpp"

namespace isthmus::store {

/// A user whom `isthmus-gateway user` manages.
struct StoredUser {
  std::string name;
  std::string password_hash;  ///< scrypt, for links; empty: this one opens no links
  std::string realm;          ///< that the SIP secrets are for
  sip::DigestSecrets secrets;
  std::vector<std::string> aors;  ///< user parts; "*": any
};

/// The users of the registrar's database, read anew at each look-up: a running gateway sees a new
/// user at once. For one thread at a time; threads have one each.
class UserStore {
 public:
  /// For look-ups, which wait for no writer; the file must be there.
  static Result<UserStore, StoreError> open(const std::string& path);
  /// For changes; makes the file when there is none.
  static Result<UserStore, StoreError> open_to_change(const std::string& path);

  /// @return nothing, too, when the database fails: `failures()` tells
  std::optional<StoredUser> find(std::string_view name);
  /// Whether a user has this name, or this user part among its addresses, whatever the case.
  /// @return false, too, when the database fails
  bool has_address(std::string_view user_part);
  Result<std::vector<StoredUser>, StoreError> all();
  /// Adds the user, or replaces the one of that name.
  std::optional<StoreError> put(const StoredUser& user);
  /// @return whether there was one
  Result<bool, StoreError> remove(std::string_view name);
  std::uint64_t failures() const { return failures_; }

 private:
  UserStore(Database database, Statement find, Statement has_address)
      : database_(std::move(database)),
        find_(std::move(find)),
        has_address_(std::move(has_address)) {}
  static Result<UserStore, StoreError> with(Result<Database, StoreError> database);

  Database database_;
  Statement find_, has_address_;
  std::uint64_t failures_ = 0;
};

}  // namespace isthmus::store
