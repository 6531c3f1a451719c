#include "shared/fs/file_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "shared/fs/errno_error.h"

namespace strand {
namespace {

class CopiedFile final : public FileView {
 public:
  explicit CopiedFile(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const override { return bytes_; }

 private:
  std::string bytes_;
};

class MappedFile final : public FileView {
 public:
  MappedFile(void* address, size_t size) : address_(address), size_(size) {}
  MappedFile(const MappedFile&) = delete;
  ~MappedFile() override { ::munmap(address_, size_); }
  std::string_view bytes() const override { return {static_cast<const char*>(address_), size_}; }

 private:
  void* address_;
  size_t size_;
};

// Maps an open file; the descriptor is the caller's to close.
Result<std::unique_ptr<FileView>> map_descriptor(int fd, const std::string& path) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return errno_error(errno, "reading", path);
  if (S_ISDIR(info.st_mode)) return errno_error(EISDIR, "reading", path);
  if (info.st_size == 0) return make_file_view("");  // a mapping of nothing is refused
  const auto size = static_cast<size_t>(info.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return errno_error(errno, "reading", path);
  return std::unique_ptr<FileView>(std::make_unique<MappedFile>(address, size));
}

}  // namespace

std::unique_ptr<FileView> make_file_view(std::string bytes) {
  return std::make_unique<CopiedFile>(std::move(bytes));
}

Result<std::unique_ptr<FileView>> map_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno_error(errno, "reading", path);
  auto view = map_descriptor(fd, path);
  ::close(fd);
  return view;
}

}  // namespace strand
