#include "net/key_log.hpp"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <cstdlib>

namespace isthmus::net {
namespace {

int open_log(const std::string& suffix) {
  const auto file = key_log_file();
  if (!file) return -1;
  return ::open((*file + suffix).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/// One descriptor for the process; secrets of many contexts go to the one file.
int tls_descriptor() {
  static const int descriptor = open_log("");
  return descriptor;
}
int media_descriptor() {
  static const int descriptor = open_log(".srtp");
  return descriptor;
}

void append(int descriptor, std::string_view line) {
  const std::string text = std::string(line) + '\n';
  // One write, so that lines of several threads or processes do not mix. A lost line is a packet
  // that cannot be read: nothing to stop a call for.
  [[maybe_unused]] const auto written = ::write(descriptor, text.data(), text.size());
}

quic::KeyLog writer_to(int descriptor) {
  if (descriptor < 0) return {};
  return [descriptor](std::string_view line) { append(descriptor, line); };
}

void write_line(const SSL*, const char* line) {
  append(tls_descriptor(), line);
}

}  // namespace

std::optional<std::string> key_log_file() {
  const char* file = std::getenv("SSLKEYLOGFILE");
  if (file == nullptr || *file == '\0') return std::nullopt;
  return std::string(file);
}

std::optional<std::string> log_keys(ssl_ctx_st* context) {
  if (tls_descriptor() < 0) return std::nullopt;
  SSL_CTX_set_keylog_callback(context, write_line);
  return key_log_file();
}

quic::KeyLogs udp_key_logs() {
  return {writer_to(tls_descriptor()), writer_to(media_descriptor())};
}

}  // namespace isthmus::net
