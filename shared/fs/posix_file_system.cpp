#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "shared/base/text.h"
#include "shared/fs/errno_error.h"
#include "shared/fs/file_system.h"
#include "shared/fs/file_view.h"

namespace strand {
namespace {

// The folder `path` is in; "." when it names none.
std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Free bytes for an unprivileged writer at the nearest existing folder at or above `path`.
bool free_bytes_near(std::string path, uint64_t* bytes) {
  struct statvfs info;
  while (statvfs(path.c_str(), &info) != 0) {
    const std::string parent = parent_of(path);
    if (errno != ENOENT || parent == path) return false;
    path = parent;
  }
  *bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  return true;
}

std::string mend_for(int number, const std::string& path) {
  uint64_t free = 0;
  switch (number) {
    case ENOSPC:
      if (!free_bytes_near(path, &free)) return "make room on that disk and try again";
      return concat("the disk has ", human_bytes(free), " free: make room on it and try again");
    case EDQUOT: return "your quota on that disk is used up: remove files or ask for more";
    case EACCES:
    case EPERM: return "check the owner and the permissions of it and of its folders";
    case EROFS: return "the file system is mounted read-only: choose another folder";
    case ENOENT: return "check the spelling of the path";
    case ENOTDIR: return "a part of the path is a file, not a folder";
    case EISDIR: return "it is a folder, and a file is needed";
    case EEXIST: return "it exists already: remove it or choose another name";
    case EMFILE:
    case ENFILE: return "too many open files: raise the limit (ulimit -n)";
    case EIO: return "the disk reports a fault: look at the kernel's log (dmesg)";
    default: return "";
  }
}

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  PosixWritableFile(const PosixWritableFile&) = delete;
  ~PosixWritableFile() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Status append(const void* data, size_t bytes) override {
    if (fd_ < 0) return errno_error(EBADF, "writing", path_);
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(fd_, at, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return errno_error(errno, "writing", path_);
      at += written;
      bytes -= static_cast<size_t>(written);
    }
    return {};
  }

  Status sync() override {
    if (fd_ < 0) return errno_error(EBADF, "syncing", path_);
    if (::fsync(fd_) != 0) return errno_error(errno, "syncing", path_);
    return {};
  }

  Status close() override {
    if (fd_ < 0) return {};
    const int result = ::close(fd_);
    fd_ = -1;  // Linux frees the descriptor even when close fails
    if (result != 0 && errno != EINTR) return errno_error(errno, "closing", path_);
    return {};
  }

 private:
  int fd_;
  std::string path_;
};

Result<std::unique_ptr<WritableFile>> open_for_writing(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0) return errno_error(errno, "creating", path);
  return std::unique_ptr<WritableFile>(new PosixWritableFile(fd, path));
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::string> read_file(const std::string& path) override {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
    if (!file) return errno_error(errno, "reading", path);
    std::string content;
    struct stat info;
    if (::fstat(fileno(file.get()), &info) == 0 && S_ISREG(info.st_mode)) {
      content.reserve(static_cast<size_t>(info.st_size));
    }
    char buffer[1 << 16];
    for (;;) {
      errno = 0;
      const size_t got = std::fread(buffer, 1, sizeof buffer, file.get());
      content.append(buffer, got);
      if (got == sizeof buffer) continue;
      if (std::ferror(file.get())) return errno_error(errno, "reading", path);
      return content;
    }
  }

  Result<std::string> read_range(const std::string& path, uint64_t offset, size_t bytes) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno_error(errno, "reading", path);
    std::string content(bytes, '\0');
    size_t done = 0;
    while (done < bytes) {
      const ssize_t got = ::pread(fd, content.data() + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        const int number = errno;
        ::close(fd);
        return errno_error(number, "reading", path);
      }
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    ::close(fd);
    content.resize(done);
    return content;
  }

  Result<std::unique_ptr<FileView>> view_file(const std::string& path) override { return map_file(path); }

  Result<std::unique_ptr<WritableFile>> create_exclusive(const std::string& path) override {
    return open_for_writing(path, O_EXCL);
  }
  Result<std::unique_ptr<WritableFile>> create(const std::string& path) override {
    return open_for_writing(path, O_TRUNC);
  }
  Result<std::unique_ptr<WritableFile>> open_append(const std::string& path) override {
    return open_for_writing(path, O_APPEND);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return errno_error(errno, concat("renaming ", from, " to"), to);
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error(errno, "removing", path);
    return {};
  }

  Status remove_tree(const std::string& path) override {
    std::error_code code;
    std::filesystem::remove_all(path, code);
    if (code && code.value() != ENOENT) return errno_error(code.value(), "removing", path);
    return {};
  }

  Status make_directories(const std::string& path) override {
    std::error_code code;
    std::filesystem::create_directories(path, code);
    if (code) return errno_error(code.value(), "making the folder", path);
    if (!std::filesystem::is_directory(path, code)) return errno_error(ENOTDIR, "making the folder", path);
    return {};
  }

  Status sync_directory(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno_error(errno, "syncing the folder", path);
    const int result = ::fsync(fd);
    const int number = errno;
    ::close(fd);
    // Some network file systems do not sync folders; their rename is durable by itself or not at all.
    if (result != 0 && number != EINVAL) return errno_error(number, "syncing the folder", path);
    return {};
  }

  bool exists(const std::string& path) override {
    struct stat info;
    return ::stat(path.c_str(), &info) == 0;
  }

  Result<uint64_t> file_size(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return errno_error(errno, "looking at", path);
    if (S_ISDIR(info.st_mode)) return errno_error(EISDIR, "looking at", path);
    return static_cast<uint64_t>(info.st_size);
  }

  Result<std::vector<std::string>> list_directory(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
    if (!folder) return errno_error(errno, "listing", path);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(folder.get());
      if (entry == nullptr && errno != 0) return errno_error(errno, "listing", path);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    uint64_t bytes = 0;
    if (!free_bytes_near(path, &bytes)) return errno_error(errno, "asking for the free space of", path);
    return bytes;
  }
};

}  // namespace

Error errno_error(int number, std::string_view doing, const std::string& path) {
  ErrorCode code = ErrorCode::kBadInput;
  switch (number) {
    case ENOENT: code = ErrorCode::kNotFound; break;
    case EEXIST: code = ErrorCode::kConflict; break;
    case EMFILE:
    case ENFILE:
    case EIO: code = ErrorCode::kUnavailable; break;
    default: break;
  }
  const std::string mend = mend_for(number, path);
  return {code, concat(doing, " ", path, ": ", std::strerror(number), mend.empty() ? "" : "; ", mend)};
}

std::unique_ptr<FileSystem> make_posix_file_system() {
  return std::make_unique<PosixFileSystem>();
}

}  // namespace strand
