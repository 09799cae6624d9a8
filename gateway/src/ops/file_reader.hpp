#pragma once
#include <functional>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace isthmus::ops {

struct FileError {
  std::string text;  ///< "No such file or directory"
};
/// A file's content, or a path. Succeed with `found(text)`: a bare string could mean either side.
using FileText = Result<std::string, FileError>;
inline FileText found(std::string text) {
  return FileText(boost::system::in_place_value, std::move(text));
}

/// How the configuration gets at files it names, so that tests need none on the disk.
using FileReader = std::function<FileText(const std::string& path)>;

/// Reads a regular file of at most limits::kConfigFileBytes.
FileText read_file(const std::string& path);

/// Writes a file only its owner may read, in one step: a reader sees the old content or the new
/// one.
/// @return the fault, or nothing
struct WriteResult {
  bool ok = false;
  std::string fault;  ///< unless ok
};
WriteResult write_private_file(const std::string& path, const std::string& content);

}  // namespace isthmus::ops
