#include <unistd.h>

#include <filesystem>

#include "shared/base/text.h"
#include "shared/fs/file_system.h"

namespace strand {
namespace {

// A file of this call's own: a name that is taken (another writer, or the leaving of a crash) is passed over.
Result<std::unique_ptr<WritableFile>> create_temporary(FileSystem& fs, const std::string& path, std::string* name) {
  constexpr int kTries = 1000;
  for (int i = 0;; ++i) {
    *name = concat(path, ".tmp.", ::getpid(), ".", i);
    auto file = fs.create_exclusive(*name);
    if (file.ok() || file.error().code() != ErrorCode::kConflict || i == kTries) return file;
  }
}

}  // namespace

AtomicFile::AtomicFile(FileSystem& fs, std::string path, std::string temporary, std::unique_ptr<WritableFile> file)
    : fs_(&fs), path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fs_(other.fs_),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, "")),
      file_(std::move(other.file_)) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) (void)fs_->remove(temporary_);  // the first error is the one to report
}

Result<AtomicFile> AtomicFile::create(FileSystem& fs, const std::string& path) {
  std::string temporary;
  STRAND_ASSIGN(std::unique_ptr<WritableFile> file, create_temporary(fs, path, &temporary));
  return AtomicFile(fs, path, std::move(temporary), std::move(file));
}

Status AtomicFile::commit() {
  STRAND_TRY(file_->sync());
  STRAND_TRY(file_->close());
  STRAND_TRY(fs_->rename(temporary_, path_));
  temporary_.clear();
  const std::string parent = std::filesystem::path(path_).parent_path().string();
  return fs_->sync_directory(parent.empty() ? "." : parent);
}

Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view content) {
  STRAND_ASSIGN(AtomicFile file, AtomicFile::create(fs, path));
  STRAND_TRY(file.append(content.data(), content.size()));
  return file.commit();
}

}  // namespace strand
