// Bases of a stored data set by coordinate, through a bounded cache of packed chunks. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataserver/corpus/chunk.h"
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
  std::vector<std::shared_ptr<const Chunk>> chunks_;  // of every piece
};

// What a cache did since it was made, and holds now.
struct CacheUse {
  uint64_t hits = 0, misses = 0;
  uint64_t bytes = 0;
  CacheUse& operator+=(const CacheUse& other) {
    hits += other.hits;
    misses += other.misses;
    bytes += other.bytes;
    return *this;
  }
};

class CorpusReader {
 public:
  // The store must outlive the reader. `cache_bytes` bounds the packed chunks held: 512 MiB keeps 2.1 Gb of sequence,
  // so every bacterial genome stays in memory whole; beyond that the least recently used chunk is dropped.
  CorpusReader(Store* store, CorpusInfo info, uint64_t cache_bytes = uint64_t{512} << 20);

  const CorpusInfo& info() const { return info_; }
  // Pins what is under the runs, each within its record: one look into the cache for all, and the chunks it lacks are
  // read in the order in which they are stored. What `pins` held before is let go. Chunks that are pinned stay in
  // memory beyond the cache's bound: pin a group of runs, not a data set.
  Status pin(std::span<const BaseRun> runs, PinnedRuns* pins);
  CacheUse cache_use();
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
  Result<std::shared_ptr<const Chunk>> load(uint64_t record, uint64_t index);
  Result<std::shared_ptr<const Chunk>> chunk(uint64_t record, uint64_t index);
  // With the lock held. Null when it is not in the cache.
  std::shared_ptr<const Chunk> look_up(uint64_t number);
  std::shared_ptr<const Chunk> keep(uint64_t number, std::shared_ptr<const Chunk> chunk);

  struct Entry {
    std::shared_ptr<const Chunk> chunk;
    std::list<uint64_t>::iterator age;
  };

  Store* store_;
  CorpusInfo info_;
  uint64_t cache_bytes_;
  std::vector<uint64_t> first_chunk_;  // of every record, numbered over the data set

  std::mutex mutex_;
  std::unordered_map<uint64_t, Entry> cache_;
  std::list<uint64_t> ages_;  // newest first
  uint64_t cached_bytes_ = 0, hits_ = 0, misses_ = 0;
};

}  // namespace strand
