#include "ops/demo_user.hpp"

#include "base/limits.hpp"
#include "base/text.hpp"
#include "session/password_hash.hpp"

namespace isthmus::ops {
namespace {

constexpr std::size_t kPasswordCharacters = 24;  ///< 120 bits

}  // namespace

bool needs_demo_user(const GatewayConfig& config) {
  return config.users.empty() && !config.tokens.enabled();
}

Result<DemoUser, FileError> add_demo_user(GatewayConfig& config, const std::string& state_dir,
                                          Random& random) {
  DemoUser demo;
  demo.password_file = state_dir + "/demo-password";
  auto kept = read_file(demo.password_file);
  std::string password = kept ? std::string(trim(*kept)) : std::string();
  if (password.empty() || password.size() > limits::kPasswordBytes) {
    password = random.token(kPasswordCharacters);
    WriteResult written = write_private_file(demo.password_file, password + "\n");
    if (!written.ok) return FileError{demo.password_file + ": " + written.fault};
  }
  demo.password = Secret(password);
  config.users.push_back(
      {demo.name, session::hash_password(password, random), {demo.name}, demo.password});
  return demo;
}

std::string demo_notice(const GatewayConfig& config, const DemoUser& user, std::uint16_t port,
                        const std::string& pin) {
  std::string called = config.services.echo   ? config.services.echo_user
                       : config.services.tone ? config.services.tone_user
                                              : user.name;
  std::string host = config.websocket.address.is_unspecified()
                         ? "localhost"
                         : config.websocket.address.to_uri_host();
  std::string trust = pin.empty() ? std::string() : " --pin " + pin;
  return "No users are configured: made user \"" + user.name + "\", whose password is kept in " +
         user.password_file + ". To call from this machine:\n\n  isthmus-phone call sip:" + called +
         "@" + config.domain + " --gateway wss://" + host + ":" + std::to_string(port) + trust +
         " --user " + user.name + " --password-file " + user.password_file + "\n\n";
}

}  // namespace isthmus::ops
