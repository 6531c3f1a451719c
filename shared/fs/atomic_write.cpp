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

Status write_and_sync(WritableFile& file, std::string_view content) {
  STRAND_TRY(file.append(content.data(), content.size()));
  STRAND_TRY(file.sync());
  return file.close();
}

}  // namespace

Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view content) {
  std::string temporary;
  STRAND_ASSIGN(const std::unique_ptr<WritableFile> file, create_temporary(fs, path, &temporary));
  const std::string parent = std::filesystem::path(path).parent_path().string();
  Status done = write_and_sync(*file, content);
  if (done.ok()) done = fs.rename(temporary, path);
  if (!done.ok()) {
    (void)fs.remove(temporary);  // the first error is the one to report
    return done;
  }
  return fs.sync_directory(parent.empty() ? "." : parent);
}

}  // namespace strand
