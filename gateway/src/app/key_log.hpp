#pragma once
#include "ops/log.hpp"

namespace isthmus::app {

/// Warns that TLS secrets are written, or that they are not though the configuration asks for it.
void warn_of_key_log(const ops::Log& log);

}  // namespace isthmus::app
