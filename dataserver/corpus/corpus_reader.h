// Bases of a stored data set by coordinate, through a cache of packed chunks. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataserver/corpus/chunk.h"
#include "dataserver/corpus/chunk_cache.h"
#include "dataserver/corpus/corpus_info.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

// A part of a chunk.
struct ChunkPiece {
  const Chunk* chunk = nullptr;
  uint32_t begin = 0, count = 0;
};

// The chunks under some runs, in memory for as long as they are pinned here.
class PinnedRuns {
 public:
  size_t runs() const { return first_.empty() ? 0 : first_.size() - 1; }
  // Of run i, in order.
  std::span<const ChunkPiece> pieces(size_t i) const {
    return std::span(pieces_).subspan(first_[i], first_[i + 1] - first_[i]);
  }

 private:
  friend class CorpusReader;
  std::vector<ChunkPiece> pieces_;
  std::vector<size_t> first_;  // piece of every run; one more than runs
  std::vector<uint64_t> numbers_;
  std::vector<ChunkCache::Held> chunks_;  // of every piece
};

class CorpusReader {
 public:
  // The store must outlive the reader. Several readers may have one cache; without one it makes its own.
  CorpusReader(Store* store, CorpusInfo info, std::shared_ptr<ChunkCache> cache = nullptr);

  const CorpusInfo& info() const { return info_; }
  // Pins what is under the runs, each within its record: one look into the cache for all, and the chunks it lacks are
  // read in the order in which they are stored. What `pins` held before is let go. Chunks that are pinned stay in
  // memory beyond the cache's bound: pin a group of runs, not a data set.
  Status pin(std::span<const BaseRun> runs, PinnedRuns* pins);
  CacheUse cache_use() { return cached_.use(); }
  // Replaces `out` by the bases of `run` (within its record) as upper-case A C G T. Letters inside the record's `other`
  // runs come out as any base: callers ask for runs without them.
  Status read(const BaseRun& run, std::string* out);
  // The letters of the run as they stood in the file.
  Status read_letters(const BaseRun& run, std::string* out);

 private:
  struct Missing {
    uint64_t number = 0, record = 0;
    size_t piece = 0;
  };
  void check(const BaseRun& run) const;
  Result<ChunkCache::Held> load(uint64_t record, uint64_t index);
  Result<ChunkCache::Held> chunk(uint64_t record, uint64_t index);

  Store* store_;
  CorpusInfo info_;
  std::vector<uint64_t> first_chunk_;  // of every record, numbered over the data set
  ChunkCache::Part cached_;
};

}  // namespace strand
