#include "dataserver/corpus/chunk_cache.h"

namespace strand {

ChunkCache::Part::~Part() {
  const std::lock_guard lock(cache_->mutex_);
  while (!entries_.empty()) cache_->drop(entries_.begin(), this);
}

void ChunkCache::Part::look_up(std::span<const uint64_t> numbers, std::span<Held> found) {
  const std::lock_guard lock(cache_->mutex_);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto entry = entries_.find(numbers[i]);
    const bool hit = entry != entries_.end();
    ++(hit ? use_.hits : use_.misses);
    found[i] = hit ? entry->second.chunk : nullptr;
    if (hit) cache_->ages_.splice(cache_->ages_.begin(), cache_->ages_, entry->second.age);
  }
}

ChunkCache::Held ChunkCache::Part::keep(uint64_t number, Held chunk) {
  const std::lock_guard lock(cache_->mutex_);
  const auto known = entries_.find(number);
  if (known != entries_.end()) return known->second.chunk;
  cache_->ages_.emplace_front(this, number);
  entries_[number] = {chunk, cache_->ages_.begin()};
  use_.bytes += chunk->footprint();
  cache_->held_ += chunk->footprint();
  while (cache_->held_ > cache_->bytes_ && cache_->ages_.size() > 1) {
    const auto [part, oldest] = cache_->ages_.back();
    cache_->drop(part->entries_.find(oldest), part);
  }
  return chunk;
}

CacheUse ChunkCache::Part::use() {
  const std::lock_guard lock(cache_->mutex_);
  return use_;
}

void ChunkCache::drop(std::unordered_map<uint64_t, Part::Entry>::iterator entry, Part* part) {
  const uint64_t bytes = entry->second.chunk->footprint();
  part->use_.bytes -= bytes;
  held_ -= bytes;
  ages_.erase(entry->second.age);
  part->entries_.erase(entry);
}

}  // namespace strand
