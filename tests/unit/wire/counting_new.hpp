#pragma once
#include <cstddef>

namespace isthmus::testing {

/// Calls of operator new since the program began.
std::size_t allocations();

}  // namespace isthmus::testing
