// Genomes made up for tests, and folders to keep them in.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataserver/corpus/corpus_store.h"
#include "shared/store/store.h"

namespace strand::testing {

inline constexpr const char* kEcoli = "examples/ecoli/escherichia-coli-k12-mg1655.fna.gz";

// A folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::string& path() const { return path_; }
  // The full path of a new file holding `bytes`.
  std::string file(const std::string& name, const std::string& bytes) const;

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
// One gzip member.
std::string gzip(const std::string& text);
// bgzip blocks of at most `block` bytes of text, with the end marker.
std::string bgzip(const std::string& text, size_t block);

// One xz stream.
std::string xz(const std::string& text);

// `length` letters of `alphabet`.
std::string random_letters(std::mt19937_64* random, size_t length, const std::string& alphabet);
// Sequence with runs of N, lower case and IUPAC codes.
std::string random_sequence(std::mt19937_64* random, size_t length);
// Records in lines of `width`.
std::string fasta(const std::vector<std::pair<std::string, std::string>>& records, size_t width);

// In memory; bulk writes become visible at finish().
class MemoryStore final : public Store {
 public:
  Result<std::string> get(std::string_view key) override;
  Status write(const StoreBatch& batch) override;
  Status scan(std::string_view prefix, const std::function<bool(std::string_view, std::string_view)>& visit) override;
  Result<std::unique_ptr<BulkWriter>> bulk_writer() override;
  Status verify() override { return {}; }

  std::map<std::string, std::string, std::less<>> values;
  int64_t operations_left = -1;  // then every write fails like a full disk; negative: never
  Status spend();
};

inline bool keep_going(double) {
  return true;
}

}  // namespace strand::testing
