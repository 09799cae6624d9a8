#pragma once
#include <string>
#include <vector>

#include "ops/config.hpp"

namespace isthmus::app {

enum class UserAction : std::uint8_t { add, list, remove, passwd };

struct UserOptions {
  UserAction action = UserAction::list;
  std::string name;
  std::vector<std::string> aors;  ///< add: none means the name
  bool sip_only = false;          ///< add: no password for links
  bool link_only = false;         ///< add: no password for SIP digest
};

/// Whether the database has a user; false when there is none, or it cannot be read (starting the
/// gateway will tell).
bool has_stored_users(const ops::GatewayConfig& config, const std::string& state_dir);

/// `isthmus-gateway user …`: the users of the registrar's database. A running gateway sees the
/// change at once. The password is one line of standard input, asked for when that is a terminal.
/// @return exit code: 0 done, 1 wrong usage or input, 2 the database cannot be used
int user_command(const ops::GatewayConfig& config, const UserOptions& options);

}  // namespace isthmus::app
