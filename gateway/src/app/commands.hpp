#pragma once

namespace isthmus::app {

/// The gateway's command line: run, check, healthcheck, hash-password, mint-token, user,
/// config-reference.
/// @return exit code: 0 done, 1 wrong usage or configuration, 2 could not start; healthcheck: 1
/// does not serve
int gateway_main(int argc, char** argv);

}  // namespace isthmus::app
