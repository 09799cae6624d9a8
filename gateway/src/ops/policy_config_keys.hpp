#pragma once
#include <string_view>

#include "ops/config_keys.hpp"
#include "ops/policy_config.hpp"

namespace isthmus::ops {

/// "headers" of a provider.
void visit_headers(KeyVisitor& visitor, HeadersConfig& headers);
/// Limits of one party, or of each of a kind. @param calls whether `calls` is among them
void visit_account_limits(KeyVisitor& visitor, AccountLimitsConfig& limits, bool calls = true);

}  // namespace isthmus::ops
