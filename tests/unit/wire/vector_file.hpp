#pragma once
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace isthmus::wire::testing {

/// One entry of a file in proto/vectors (its README.md has the format).
struct Vector {
  std::string name;
  bool decode_only = false;
  Bytes message;
  std::vector<std::string> facts;  ///< "hello.min_version = 1", in order
};

/// Fails the running test and returns what it could read when a line breaks the format.
std::vector<Vector> read_vectors(const std::string& file);

}  // namespace isthmus::wire::testing
