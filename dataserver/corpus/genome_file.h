// The door to htslib: a genome file's bytes, decompressed (plain, gzip of any number of members, bgzip, xz; told by
// the first bytes, not by the name).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "dataserver/corpus/fasta_parser.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"

namespace strand {

class GenomeFile {
 public:
  // kBadInput for what is absent, unreadable or no regular file.
  static Result<std::unique_ptr<GenomeFile>> open(const std::string& path);
  ~GenomeFile();

  // Up to `capacity` decompressed bytes; 0 only at the whole file's end. kBadInput for truncated or damaged
  // compression, a bgzip file without its end marker included.
  Result<size_t> read(char* buffer, size_t capacity);
  // Why what was read makes no sense: the compression's damage, whose check may come only after bytes that it let
  // through, or else `refused`. Reads on, up to kBlameBytes.
  Error blame(Error refused);
  static constexpr size_t kBlameBytes = size_t{256} << 20;

  // Whether the bytes as stored differ from those that read() gives.
  bool compressed() const;
  // Bytes [at, at + count) as stored; leaves read() where it is.
  Status read_stored(uint64_t at, size_t count, char* out) const;

  uint64_t bytes_total() const { return bytes_total_; }  // as stored
  uint64_t bytes_read() const;                           // of them, so far

 private:
  GenomeFile() = default;
  Error damaged() const;

  struct Handle;
  std::unique_ptr<Handle> handle_;
  std::string path_;
  uint64_t bytes_total_ = 0;
};

struct FileIdentity {
  uint64_t bytes = 0;
  Digest128 hash;  // of the file as stored, compressed or not
  auto operator<=>(const FileIdentity&) const = default;
};
Result<FileIdentity> identify_file(const std::string& path);

// Progress in [0, 1]; false stops the work (kStopped).
using Progress = std::function<bool(double)>;

// Reads the whole file through a FastaParser into `sink`.
Status read_fasta_file(const std::string& path, FastaSink* sink, const Progress& progress);

}  // namespace strand
