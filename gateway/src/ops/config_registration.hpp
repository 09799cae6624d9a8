#pragma once
#include <string>

#include "ops/config_checks.hpp"
#include "ops/config_keys.hpp"

namespace isthmus::ops {

/// Keys of a provider that say who registers there, and how. Part of visit_keys().
void visit_registration(KeyVisitor& visitor, RegistrationConfig& config);

/// Fills in the defaults of these keys that depend on others, and finds contradictions. Part of
/// check(). @param key  path of the provider, as "providers[0]"
void check_registration(ProviderConfig& provider, const std::string& key, CheckSink& sink);

}  // namespace isthmus::ops
