#include "dataserver/corpus/genome_file.h"

#include <fcntl.h>
#include <htslib/bgzf.h>
#include <htslib/hts_log.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "dataserver/corpus/standard_input.h"
#include "dataserver/corpus/xz_file.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kBuffer = size_t{1} << 18;
constexpr int kBgzip = 2;  // what bgzf_compression answers for it

// Opens by descriptor: htslib would take a path with a colon for a URL.
Result<int> open_regular(const std::string& path, uint64_t* bytes) {
  int descriptor = path == kStandardInput ? open_standard_input() : -1;
  if (descriptor < 0) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return bad_input(
        concat("cannot read data file ", path, ": ", std::strerror(errno), "; check the path and its permissions"));
  }
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return bad_input(concat("cannot read data file ", path, ": not a regular file; give a file of sequences"));
  }
  *bytes = static_cast<uint64_t>(status.st_size);
  return descriptor;
}

}  // namespace

struct GenomeFile::Handle {
  int descriptor = -1;
  BGZF* file = nullptr;  // plain, gzip or bgzip
  std::optional<XzFile> xz;
  bool ended = false;
};

Result<std::unique_ptr<GenomeFile>> GenomeFile::open(const std::string& path) {
  std::unique_ptr<GenomeFile> genome(new GenomeFile);
  STRAND_ASSIGN(const int descriptor, open_regular(path, &genome->bytes_total_));
  genome->path_ = path;
  genome->handle_ = std::make_unique<Handle>();
  genome->handle_->descriptor = descriptor;
  if (genome->bytes_total_ == 0) {
    return bad_input(concat(path, ": an empty file; expected at least one '>name' line followed by bases"));
  }
  char first[XzFile::kMagic.size()] = {};
  if (::pread(descriptor, first, sizeof first, 0) == sizeof first &&
      std::string_view(first, sizeof first) == XzFile::kMagic) {
    genome->handle_->xz.emplace(descriptor);
    return genome;
  }
  hts_set_log_level(HTS_LOG_OFF);  // what it would print is in our errors
  genome->handle_->file = bgzf_dopen(descriptor, "r");
  if (genome->handle_->file == nullptr) {
    const Error error = genome->damaged();
    genome->handle_->descriptor = -1;  // htslib has closed it
    return error;
  }
  return genome;
}

GenomeFile::~GenomeFile() {
  if (!handle_) return;
  if (handle_->file != nullptr) {
    if (bgzf_close(handle_->file) != 0) {
    }  // nothing was written; read() has told every error
  } else if (handle_->descriptor >= 0) {
    ::close(handle_->descriptor);
  }
}

Error GenomeFile::damaged() const {
  return bad_input(concat(path_, ": truncated or damaged compression near byte ", bytes_read(), " of ", bytes_total_,
                          handle_->xz ? "; expected a whole xz file: fetch or compress it again (xz -t tells)"
                                      : "; expected a whole gzip or bgzip file: fetch or compress it again (gzip -t "
                                        "tells)"));
}

Result<size_t> GenomeFile::read(char* buffer, size_t capacity) {
  if (handle_->ended) return size_t{0};
  const ssize_t count = handle_->xz ? handle_->xz->read(buffer, capacity) : bgzf_read(handle_->file, buffer, capacity);
  if (count < 0) return damaged();
  if (count > 0) return static_cast<size_t>(count);
  handle_->ended = true;
  // A bgzip file cut between two blocks reads like a whole one, but for its end marker.
  if (!handle_->xz && bgzf_compression(handle_->file) == kBgzip && bgzf_check_EOF(handle_->file) != 1) return damaged();
  return size_t{0};
}

bool GenomeFile::compressed() const {
  return handle_->xz.has_value() || bgzf_compression(handle_->file) != 0;
}

Status GenomeFile::read_stored(uint64_t at, size_t count, char* out) const {
  while (count > 0) {
    const ssize_t got = ::pread(handle_->descriptor, out, count, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return bad_input(concat("cannot read data file ", path_, " at byte ", at, ": ",
                              got == 0 ? "it became shorter while it was read" : std::strerror(errno)));
    }
    at += static_cast<uint64_t>(got);
    out += got;
    count -= static_cast<size_t>(got);
  }
  return {};
}

Error GenomeFile::blame(Error refused) {
  if (!compressed()) return refused;
  std::vector<char> buffer(kBuffer);
  for (size_t seen = 0; seen < kBlameBytes; seen += buffer.size()) {
    const auto count = read(buffer.data(), buffer.size());
    if (!count.ok()) return count.error();
    if (*count == 0) break;
  }
  return refused;
}

uint64_t GenomeFile::bytes_read() const {
  const off_t at = handle_->descriptor >= 0 ? ::lseek(handle_->descriptor, 0, SEEK_CUR) : 0;
  return at < 0 ? 0 : static_cast<uint64_t>(at);
}

Result<FileIdentity> identify_file(const std::string& path) {
  FileIdentity identity;
  STRAND_ASSIGN(const int descriptor, open_regular(path, &identity.bytes));
  Hasher128 hasher;
  std::vector<char> buffer(kBuffer);
  ssize_t count = 0;
  while ((count = ::read(descriptor, buffer.data(), buffer.size())) > 0) {
    hasher.update(buffer.data(), static_cast<size_t>(count));
  }
  const int error = errno;
  ::close(descriptor);
  if (count < 0) return bad_input(concat("cannot read data file ", path, ": ", std::strerror(error)));
  identity.hash = hasher.digest();
  return identity;
}

Status read_fasta_file(const std::string& path, FastaSink* sink, const Progress& progress) {
  STRAND_ASSIGN(const auto file, GenomeFile::open(path));
  FastaParser parser(path, sink);
  std::vector<char> buffer(kBuffer);
  while (true) {
    STRAND_ASSIGN(const size_t count, file->read(buffer.data(), buffer.size()));
    if (count == 0) return parser.finish();
    const Status fed = parser.feed({buffer.data(), count});
    if (!fed.ok()) return file->blame(fed.error());
    const double total = static_cast<double>(file->bytes_total());
    if (!progress(static_cast<double>(file->bytes_read()) / total)) {
      return Error(ErrorCode::kStopped, concat("stopped while reading ", path));
    }
  }
}

}  // namespace strand
