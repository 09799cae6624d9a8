#pragma once

namespace isthmus::app {

/// The gateway's command line: run, check, hash-password, mint-token, config-reference.
/// @return exit code: 0 done, 1 wrong usage or configuration, 2 could not start
int gateway_main(int argc, char** argv);

}  // namespace isthmus::app
