#pragma once
#include "base/network.hpp"

namespace isthmus::ops {
using isthmus::Network;
}  // namespace isthmus::ops
