#include "ops/state_dir.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace isthmus::ops {
namespace {

namespace fs = std::filesystem;

/// Creates the directory (and its parents when asked).
/// @return what is wrong with it; empty when it can be used
std::string prepare(const fs::path& path, bool with_parents) {
  std::error_code error;
  bool made =
      with_parents ? fs::create_directories(path, error) : fs::create_directory(path, error);
  if (error) return error.message();
  if (made) fs::permissions(path, fs::perms::owner_all, error);
  if (error) return error.message();
  if (!fs::is_directory(path, error)) return "not a directory";
  if (::access(path.c_str(), W_OK | X_OK) != 0) return "not writable";
  return {};
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == 0) return std::nullopt;
  return value;
}

FileText choose_state_dir(const std::string& configured, const Environment& environment,
                          const std::string& system_dir) {
  auto exactly = [](const std::string& path) -> FileText {
    std::string wrong = prepare(path, false);
    if (!wrong.empty()) return FileError{"state directory " + path + ": " + wrong};
    return found(path);
  };
  if (!configured.empty()) return exactly(configured);
  if (auto given = environment("STATE_DIRECTORY"))
    return exactly(given->substr(0, given->find(':')));
  if (prepare(system_dir, false).empty()) return found(system_dir);
  std::string base;
  if (auto xdg = environment("XDG_STATE_HOME"); xdg && xdg->starts_with('/')) {
    base = *xdg;
  } else if (auto home = environment("HOME")) {
    base = *home + "/.local/state";
  } else {
    return FileError{"no state directory: " + system_dir +
                     " is not writable and HOME is not set; set state_dir"};
  }
  std::string path = base + "/isthmus";
  std::string wrong = prepare(path, true);
  if (!wrong.empty()) return FileError{"state directory " + path + ": " + wrong};
  return found(path);
}

}  // namespace isthmus::ops
