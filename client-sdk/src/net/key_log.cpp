#include "net/key_log.hpp"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <cstdlib>

namespace isthmus::net {
namespace {

/// One descriptor for the process; secrets of many contexts go to the one file.
int key_log_descriptor() {
  static const int descriptor = [] {
    const auto file = key_log_file();
    return file ? ::open(file->c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  }();
  return descriptor;
}

void append(std::string_view line) {
  const std::string text = std::string(line) + '\n';
  // One write, so that lines of several threads or processes do not mix. A lost line is a packet
  // that cannot be read: nothing to stop a call for.
  [[maybe_unused]] const auto written = ::write(key_log_descriptor(), text.data(), text.size());
}

void write_line(const SSL*, const char* line) {
  append(line);
}

}  // namespace

std::optional<std::string> key_log_file() {
  const char* file = std::getenv("SSLKEYLOGFILE");
  if (file == nullptr || *file == '\0') return std::nullopt;
  return std::string(file);
}

std::optional<std::string> log_keys(ssl_ctx_st* context) {
  if (key_log_descriptor() < 0) return std::nullopt;
  SSL_CTX_set_keylog_callback(context, write_line);
  return key_log_file();
}

std::function<void(std::string_view)> key_log_writer() {
  if (key_log_descriptor() < 0) return {};
  return append;
}

}  // namespace isthmus::net
