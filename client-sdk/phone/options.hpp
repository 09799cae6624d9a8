#pragma once
#include <optional>
#include <string>
#include <vector>

#include <isthmus/client.hpp>

namespace phone {

/// What the program's exit status says. Documented in --help.
enum ExitCode : int {
  kCompleted = 0,
  kUsage = 1,
  kNoConnection = 2,
  kAuthentication = 3,
  kRefused = 4,
  kFailed = 5,
  kTimeout = 6,
};

enum class Command { call, register_, list_devices };

struct Options {
  Command command = Command::call;
  isthmus::ClientOptions client;
  isthmus::AudioOptions audio;
  bool device_wanted = false;  ///< named by the user: not having it is an error
  bool json = false, quiet = false;

  std::string target;
  bool late_offer = false;
  std::string dtmf;
  double answer_timeout_s = 60;
  double duration_s = 0;  ///< 0: until somebody hangs up
  double hold_after_s = 0, hold_for_s = 2;
  double media_timeout_s = 30;  ///< 0: never

  bool answer = false;
  double answer_after_s = 0;
  unsigned count = 0;  ///< calls to take; 0: any number
  unsigned expires_s = 600;
};

/// @return the options, or the exit status of a run that ends here (help, version, a wrong word:
/// said already)
struct Parsed {
  std::optional<Options> options;
  int exit_code = kCompleted;
};
Parsed parse_options(int argc, char** argv);

}  // namespace phone
