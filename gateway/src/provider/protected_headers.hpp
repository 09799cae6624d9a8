#pragma once
#include <string_view>

namespace isthmus::provider {

/// Whether a header, by its name or compact form, is of those on which calls, routing and security
/// rest: no configuration may edit it.
bool is_protected_header(std::string_view name);

}  // namespace isthmus::provider
