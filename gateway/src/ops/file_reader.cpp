#include "ops/file_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/limits.hpp"

namespace isthmus::ops {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string last_error() {
  return std::generic_category().message(errno);
}

}  // namespace

FileText read_file(const std::string& path) {
  // Without O_NONBLOCK, opening a named pipe would wait for somebody to write.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return FileError{last_error()};
  if (!S_ISREG(status.st_mode)) return FileError{"not a regular file"};
  std::string content;
  char buffer[8192];
  for (;;) {
    ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError{last_error()};
    if (got == 0) return found(std::move(content));
    content.append(buffer, static_cast<std::size_t>(got));
    if (content.size() > limits::kConfigFileBytes) {
      return FileError{"larger than " + std::to_string(limits::kConfigFileBytes) + " bytes"};
    }
  }
}

WriteResult write_private_file(const std::string& path, const std::string& content) {
  std::string draft = path + ".new";
  ::unlink(draft.c_str());  // left over from a crash; O_EXCL then refuses a link planted here
  {
    Descriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return {false, last_error()};
    std::size_t done = 0;
    while (done < content.size()) {
      ssize_t wrote = ::write(file.get(), content.data() + done, content.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return {false, last_error()};
      done += static_cast<std::size_t>(wrote);
    }
    if (::fsync(file.get()) != 0) return {false, last_error()};
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) return {false, last_error()};
  return {true, {}};
}

}  // namespace isthmus::ops
