// The disk seam. Exactly two implementations: PosixFileSystem, and the simulated one of the tests. Every method states
// what is durable when it returns. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

// A file being written from its start. Not durable before sync(). Destruction without close() closes and keeps the
// bytes.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status append(const void* data, size_t bytes) = 0;
  virtual Status sync() = 0;  // the bytes are on disk
  virtual Status close() = 0;
};

// The bytes of a whole file, for as long as the object lives. Somebody who cuts the file meanwhile ends the process
// (SIGBUS) where it is mapped, so only files that nobody rewrites in place are viewed.
class FileView {
 public:
  virtual ~FileView() = default;
  virtual std::string_view bytes() const = 0;
};
// A view of bytes that are here already.
std::unique_ptr<FileView> make_file_view(std::string bytes);

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // kBadInput or kNotFound with path and reason (errno's words and the mend: free space, permissions).
  virtual Result<std::string> read_file(const std::string& path) = 0;
  // At most `bytes` bytes from `offset` on; fewer only at the end of the file.
  virtual Result<std::string> read_range(const std::string& path, uint64_t offset, size_t bytes) {
    STRAND_ASSIGN(const std::string all, read_file(path));
    return offset < all.size() ? all.substr(offset, bytes) : std::string();
  }
  // The whole file, mapped where the disk can: nothing is read before it is looked at.
  virtual Result<std::unique_ptr<FileView>> view_file(const std::string& path) {
    STRAND_ASSIGN(std::string all, read_file(path));
    return make_file_view(std::move(all));
  }
  // Creates the file; fails with kConflict if it exists (O_EXCL).
  virtual Result<std::unique_ptr<WritableFile>> create_exclusive(const std::string& path) = 0;
  // Creates or truncates.
  virtual Result<std::unique_ptr<WritableFile>> create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<WritableFile>> open_append(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;       // absent is fine
  virtual Status remove_tree(const std::string& path) = 0;  // absent is fine
  virtual Status make_directories(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual Result<uint64_t> file_size(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list_directory(const std::string& path) = 0;  // names, sorted
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
};

std::unique_ptr<FileSystem> make_posix_file_system();

// Temporary file beside `path`, write, fsync, rename, fsync of the directory: after success the new content is durable;
// after failure or a crash `path` holds the old content or the new, never a mixture. No temporary is left on failure.
Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view content);

// The same for content that is written piece by piece: nothing is at `path` before commit() has returned. Destruction
// without commit() removes the temporary file.
class AtomicFile {
 public:
  static Result<AtomicFile> create(FileSystem& fs, const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status append(const void* data, size_t bytes) { return file_->append(data, bytes); }
  Status commit();

 private:
  AtomicFile(FileSystem& fs, std::string path, std::string temporary, std::unique_ptr<WritableFile> file);

  FileSystem* fs_;
  std::string path_, temporary_;  // temporary_ is empty once nothing is to be removed
  std::unique_ptr<WritableFile> file_;
};

// An advisory lock on `path` (flock), held until destruction or process death. kConflict names the holder's pid.
class FileLock {
 public:
  virtual ~FileLock() = default;
};
Result<std::unique_ptr<FileLock>> lock_file(const std::string& path);

}  // namespace strand
