#pragma once
#include <string>

#include "base/bytes.hpp"
#include "base/random.hpp"

namespace isthmus::app {

/// Reads the key kept under that name in the state directory, or makes one (32 random bytes, 0600).
/// A directory that cannot be written gives a key for this run only: what depends on it does not
/// survive a restart.
Bytes load_or_make_secret(const std::string& state_dir, const std::string& name, Random& random);

}  // namespace isthmus::app
