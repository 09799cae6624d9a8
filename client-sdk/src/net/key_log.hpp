#pragma once
#include <optional>
#include <string>

#include "quic/tls.hpp"

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
/// Where a UDP link's secrets go: those of TLS to key_log_file(), and keys of media packets to the
/// file of that name with ".srtp" behind it, since they are no TLS secrets. Both are empty when the
/// variable is not set, one that its file cannot be written.
quic::KeyLogs udp_key_logs();

}  // namespace isthmus::net
