#include "shared/base/check.h"
#include "shared/base/text.h"
#include "shared/metrics/metrics.h"

namespace strand {
namespace {

// Every second line from the newest backwards, and the first: what is thinned often is old.
std::string thinned(const std::string& text) {
  const std::vector<std::string> lines = split(std::string_view(text).substr(0, text.size() - 1), '\n');
  std::string kept;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i == 0 || (lines.size() - 1 - i) % 2 == 0) kept += lines[i] + "\n";
  }
  return kept;
}

}  // namespace

struct MetricsFile::State {
  FileSystem& fs;
  std::string path;
  uint64_t limit_bytes;
  std::mutex mutex;
  std::unique_ptr<WritableFile> file;  // absent after a failed write: the next line begins with a repair
  uint64_t bytes = 0;

  // Opens the file for appending, without the half line that a crash or a full disk may have left at its end.
  Status repair_and_open() {
    if (fs.exists(path)) {
      STRAND_ASSIGN(std::string text, fs.read_file(path));
      bytes = text.size();
      const size_t end = text.rfind('\n');
      const size_t whole = end == std::string::npos ? 0 : end + 1;
      if (whole != text.size()) {
        text.resize(whole);
        STRAND_TRY(write_file_atomically(fs, path, text));
        bytes = whole;
      }
    } else {
      bytes = 0;
    }
    STRAND_ASSIGN(file, fs.open_append(path));
    return {};
  }

  Status thin() {
    file.reset();
    STRAND_ASSIGN(std::string text, fs.read_file(path));
    while (text.size() > limit_bytes) {
      std::string less = thinned(text);
      if (less.size() == text.size()) break;  // one or two lines, each longer than the limit
      text = std::move(less);
    }
    STRAND_TRY(write_file_atomically(fs, path, text));
    return repair_and_open();
  }

  Status append(const std::string& line) {
    if (!file) STRAND_TRY(repair_and_open());
    const std::string text = line + "\n";
    if (Status status = file->append(text.data(), text.size()); !status.ok()) {
      file.reset();
      return status;
    }
    bytes += text.size();
    return bytes > limit_bytes ? thin() : Status();
  }
};

MetricsFile::MetricsFile() = default;
MetricsFile::~MetricsFile() = default;

Result<std::unique_ptr<MetricsFile>> MetricsFile::open(FileSystem& fs, const std::string& path, uint64_t limit_bytes) {
  std::unique_ptr<MetricsFile> made(new MetricsFile);
  made->state_.reset(new State{fs, path, limit_bytes, {}, nullptr, 0});
  STRAND_TRY(made->state_->repair_and_open());
  return made;
}

Status MetricsFile::append_line(const std::string& json_line) {
  STRAND_CHECK(json_line.find('\n') == std::string::npos, "a record is one line: ", json_line);
  const std::lock_guard lock(state_->mutex);
  return state_->append(json_line);
}

}  // namespace strand
