#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "ops/admin_http.hpp"
#include "ops/config.hpp"

namespace isthmus::ops {

/// Asks the admin server of a program on this machine for /healthz, as a container's health check
/// or a supervisor does. Runs an event loop of its own and blocks the calling thread for at most
/// `patience`.
/// @param admin  where the program listens; an unspecified address is asked on loopback
/// @return nothing when the program serves, else why it is not known to
std::optional<std::string> probe_health(const AdminConfig& admin, Duration patience);

/// Asks the same server for one of its pages. As above.
/// @return the page's body, or why there is none
Result<std::string, AdminError> fetch_page(const AdminConfig& admin, std::string_view path,
                                           Duration patience);

/// `probe_health` as a command: prints "serving", or to standard error what is wrong.
/// @return exit code, 0 when it serves and 1 otherwise
int healthcheck_command(const AdminConfig& admin);

/// Prints /api/v1/upstreams of the program as a table, one registration a line.
/// @return exit code: 1 when one of them fails, or nothing can be learned
int upstreams_command(const AdminConfig& admin);

}  // namespace isthmus::ops
