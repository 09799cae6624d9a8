#pragma once
#include <optional>

#include "ops/config.hpp"
#include "ops/config_checks.hpp"
#include "ops/config_keys.hpp"

namespace isthmus::ops {

void visit_registrar(KeyVisitor& visitor, RegistrarConfig& config);
void visit_sip_secrets(KeyVisitor& visitor, UserConfig& user);
void check_registrar(const GatewayConfig& config, CheckSink& sink);
/// @param path  of the user, as "users[3]"
void check_sip_secrets(const std::string& path, CheckSink& sink);

/// One of `users[].sip_ha1`: "SHA-256:" and the hash.
struct SipHa1 {
  sip::DigestAlgorithm algorithm;
  std::string hash;  ///< lower case
};
std::optional<SipHa1> parse_sip_ha1(std::string_view text);
/// The user's secrets for digest in that realm; all empty when the user has none.
sip::DigestSecrets sip_secrets_of(const UserConfig& user, std::string_view realm);

}  // namespace isthmus::ops
