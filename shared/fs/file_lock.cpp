#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "shared/base/text.h"
#include "shared/fs/errno_error.h"
#include "shared/fs/file_system.h"

namespace strand {
namespace {

class FlockLock final : public FileLock {
 public:
  explicit FlockLock(int fd) : fd_(fd) {}
  FlockLock(const FlockLock&) = delete;
  ~FlockLock() override {
    // The file stays: removing it would let a third process lock a new file while a second waits on this one.
    (void)::ftruncate(fd_, 0);
    ::close(fd_);
  }

 private:
  int fd_;
};

std::string holder_of(int fd) {
  char buffer[32] = {};
  const ssize_t got = ::pread(fd, buffer, sizeof buffer - 1, 0);
  const std::string pid(trim(std::string_view(buffer, got > 0 ? static_cast<size_t>(got) : 0)));
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

Result<std::unique_ptr<FileLock>> lock_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error(errno, "opening the lock file", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int number = errno;
    const std::string holder = holder_of(fd);
    ::close(fd);
    if (number != EWOULDBLOCK) return errno_error(number, "locking", path);
    return Error(ErrorCode::kConflict,
                 concat(path, " is locked by ", holder, ": stop that process, or choose another folder"));
  }
  const std::string pid = concat(::getpid(), "\n");
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const Error error = errno_error(errno, "writing the lock file", path);
    ::close(fd);
    return error;
  }
  return std::unique_ptr<FileLock>(new FlockLock(fd));
}

}  // namespace strand
