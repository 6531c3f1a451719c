// Bases of a stored data set by coordinate, through a bounded cache of packed chunks. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "dataserver/corpus/chunk.h"
#include "dataserver/corpus/corpus_info.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

class CorpusReader {
 public:
  // The store must outlive the reader. `cache_bytes` bounds the packed chunks held: 512 MiB keeps 2.1 Gb of sequence,
  // so every bacterial genome stays in memory whole; beyond that the least recently used chunk is dropped.
  CorpusReader(Store* store, CorpusInfo info, uint64_t cache_bytes = uint64_t{512} << 20);

  const CorpusInfo& info() const { return info_; }
  // Replaces `out` by the bases of `run` (within its record) as upper-case A C G T. Letters inside the record's `other`
  // runs come out as any base: callers ask for runs without them.
  Status read(const BaseRun& run, std::string* out);
  // The letters of the run as they stood in the file.
  Status read_letters(const BaseRun& run, std::string* out);

 private:
  Result<std::shared_ptr<const Chunk>> chunk(uint64_t record, uint64_t index);

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
  uint64_t cached_bytes_ = 0;
};

}  // namespace strand
