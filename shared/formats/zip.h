// Reading zip archives (PKWARE's APPNOTE 6.3, with zip64) in place: what torch.save writes. Entries are stored or
// deflated; encryption, several disks and patches are refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

struct ZipEntry {
  std::string name;
  bool deflated = false;
  uint64_t packed = 0, size = 0;  // bytes in the archive; bytes of the content
  uint32_t checksum = 0;          // CRC-32 of the content
  uint64_t begin = 0;             // of the packed bytes in the archive
};

class ZipArchive {
 public:
  // Reads the central directory. `bytes` outlives the archive. kBadInput for anything inconsistent: records beyond the
  // file, names that are there twice, entries whose bytes overlap, sizes no deflated stream can have.
  static Result<ZipArchive> open(std::string_view bytes, const std::string& origin);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;  // null when absent
  // The content, its checksum verified: in place when stored, in `buffer` when deflated.
  Result<std::string_view> read(const ZipEntry& entry, std::string* buffer) const;

 private:
  ZipArchive(std::string_view bytes, std::string origin) : bytes_(bytes), origin_(std::move(origin)) {}
  struct Directory {
    uint64_t entries = 0, begin = 0, size = 0, end_record = 0;
  };
  Error damaged(const std::string& what) const;
  Result<Directory> find_directory() const;
  Result<Directory> read_zip64(uint64_t end_record) const;
  Status read_directory(const Directory& directory);
  Result<uint64_t> read_entry(uint64_t at, const Directory& directory);
  Status read_sizes(std::string_view extra, uint64_t* local_header, ZipEntry* entry) const;
  Status find_content(uint64_t local_header, const Directory& directory, ZipEntry* entry) const;
  Status check_entries();

  std::string_view bytes_;
  std::string origin_;
  std::vector<ZipEntry> entries_;  // in order of their bytes
};

}  // namespace strand
