#include "vector_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>

namespace isthmus::wire::testing {
namespace {

std::optional<std::string> after(const std::string& line, const std::string& prefix) {
  if (!line.starts_with(prefix)) return std::nullopt;
  return line.substr(prefix.size());
}

}  // namespace

std::vector<Vector> read_vectors(const std::string& file) {
  const std::string path = std::string(ISTHMUS_SOURCE_DIR) + "/proto/vectors/" + file;
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path;
  std::vector<Vector> vectors;
  bool open = false;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.starts_with("#")) continue;
    if (line.empty()) {
      open = false;
    } else if (auto name = after(line, "name: ")) {
      EXPECT_FALSE(open) << path << ":" << number;
      vectors.emplace_back();
      vectors.back().name = *name;
      open = true;
    } else if (!open) {
      ADD_FAILURE() << path << ":" << number << ": an entry begins with its name";
    } else if (line == "check: decode") {
      vectors.back().decode_only = true;
    } else if (auto hex = after(line, "hex:")) {
      const auto bytes = from_hex(*hex);
      if (!bytes) {
        ADD_FAILURE() << path << ":" << number << ": not hexadecimal";
        continue;
      }
      vectors.back().message.insert(vectors.back().message.end(), bytes->begin(), bytes->end());
    } else if (line.find(" = ") != std::string::npos) {
      vectors.back().facts.push_back(line);
    } else {
      EXPECT_TRUE(line.starts_with("description: ")) << path << ":" << number << ": " << line;
    }
  }
  EXPECT_FALSE(vectors.empty()) << path;
  return vectors;
}

}  // namespace isthmus::wire::testing
