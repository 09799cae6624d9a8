#pragma once
#include <string>

#include "base/random.hpp"
#include "base/result.hpp"
#include "ops/config.hpp"
#include "ops/file_reader.hpp"

namespace isthmus::ops {

/// The one user of a gateway for which nobody has configured any.
struct DemoUser {
  std::string name = "demo";
  Secret password;
  std::string password_file;  ///< where it is kept, readable by the owner only
};

/// Is this a gateway that nobody could log in to?
bool needs_demo_user(const GatewayConfig& config);

/// Reads the password from `state_dir`/demo-password, or makes one there, and adds the user to the
/// configuration. Takes a tenth of a second (scrypt); at start only.
/// @param random  a secure source
Result<DemoUser, FileError> add_demo_user(GatewayConfig& config, const std::string& state_dir,
                                          Random& random);

/// What to print, to the terminal and never to the log: who may connect, and the command that makes
/// a first call from this machine.
/// @param port  on which the WebSocket listener really listens
/// @param pin   of the certificate, when it is self-signed; else empty
std::string demo_notice(const GatewayConfig& config, const DemoUser& user, std::uint16_t port,
                        const std::string& pin);

}  // namespace isthmus::ops
