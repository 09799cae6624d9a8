#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

struct ssl_ctx_st;

namespace isthmus::net {

/// Where TLS secrets go when that is asked for: the file that SSLKEYLOGFILE names; nothing when the
/// variable is not set. Whoever reads the file can read, and play back, all that is captured.
std::optional<std::string> key_log_file();

/// Appends the secrets of this context's connections to key_log_file(), in the format that
/// Wireshark reads (draft-ietf-tls-keylogfile). For investigations only: callers ask for an option
/// beside the environment variable, and warn.
/// @return the file; nothing when the variable is not set or the file cannot be written
std::optional<std::string> log_keys(ssl_ctx_st* context);
/// The same for a TLS library that gives lines. @return empty when the variable is not set or the
/// file cannot be written
std::function<void(std::string_view line)> key_log_writer();

}  // namespace isthmus::net
