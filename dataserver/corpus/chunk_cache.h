// Packed chunks in bounded memory, for all data sets that a process has open: beyond the bound the least recently used
// chunk is dropped, whosever it is. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>

#include "dataserver/corpus/chunk.h"

namespace strand {

// What a reader's part of the cache did since it was made, and holds now.
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

class ChunkCache {
 public:
  using Held = std::shared_ptr<const Chunk>;

  // 512 MiB keep 2.1 Gb of sequence, so every bacterial genome stays in memory whole.
  explicit ChunkCache(uint64_t bytes = uint64_t{512} << 20) : bytes_(bytes) {}

  // The chunks of one reader, by number. They leave the cache with it.
  class Part {
   public:
    explicit Part(std::shared_ptr<ChunkCache> cache) : cache_(std::move(cache)) {}
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part();

    // found[i] is chunk numbers[i], or null.
    void look_up(std::span<const uint64_t> numbers, std::span<Held> found);
    // The chunk to use from now on: another thread may have been faster.
    Held keep(uint64_t number, Held chunk);
    CacheUse use();

   private:
    friend class ChunkCache;
    using Age = std::list<std::pair<Part*, uint64_t>>::iterator;
    struct Entry {
      Held chunk;
      Age age;
    };
    std::shared_ptr<ChunkCache> cache_;
    std::unordered_map<uint64_t, Entry> entries_;  // this and the rest with the cache's lock held
    CacheUse use_;
  };

 private:
  void drop(std::unordered_map<uint64_t, Part::Entry>::iterator entry, Part* part);

  uint64_t bytes_;
  std::mutex mutex_;
  std::list<std::pair<Part*, uint64_t>> ages_;  // newest first
  uint64_t held_ = 0;
};

}  // namespace strand
