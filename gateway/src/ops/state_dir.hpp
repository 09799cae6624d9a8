#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "ops/file_reader.hpp"

namespace isthmus::ops {

/// Looks up an environment variable; unset and empty are the same.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> process_environment(const std::string& name);

/// The directory for what must survive a restart. `configured` if not empty; else $STATE_DIRECTORY
/// (systemd; the first of several), else /var/lib/isthmus when it is or can be made writable, else
/// $XDG_STATE_HOME/isthmus, else ~/.local/state/isthmus. Creates it with mode 0700.
/// @return the absolute path, or why there is none
FileText choose_state_dir(const std::string& configured,
                          const Environment& environment = process_environment,
                          const std::string& system_dir = "/var/lib/isthmus");

}  // namespace isthmus::ops
