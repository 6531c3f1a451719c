#include "dataserver/corpus/corpus_reader.h"

#include <algorithm>

#include "dataserver/corpus/corpus_store.h"
#include "shared/base/check.h"

namespace strand {

namespace {

uint64_t footprint(const Chunk& chunk) {
  return chunk.packed.size() + sizeof(LetterRun) * (chunk.other.size() + chunk.mask.size()) + sizeof(Chunk) + 128;
}

// Calls take(chunk index, begin in the chunk, count) for the pieces of [begin, end).
template <class Take>
Status for_pieces(int64_t begin, int64_t end, const Take& take) {
  while (begin < end) {
    const int64_t index = begin / kChunkBases;
    const int64_t count = std::min(end, (index + 1) * kChunkBases) - begin;
    STRAND_TRY(take(static_cast<uint64_t>(index), static_cast<uint32_t>(begin - index * kChunkBases),
                    static_cast<uint32_t>(count)));
    begin += count;
  }
  return {};
}

}  // namespace

CorpusReader::CorpusReader(Store* store, CorpusInfo info, uint64_t cache_bytes)
    : store_(store), info_(std::move(info)), cache_bytes_(cache_bytes) {
  uint64_t next = 0;
  for (const RecordInfo& record : info_.records) {
    first_chunk_.push_back(next);
    next += static_cast<uint64_t>((record.bases + kChunkBases - 1) / kChunkBases);
  }
}

Result<std::shared_ptr<const Chunk>> CorpusReader::chunk(uint64_t record, uint64_t index) {
  const uint64_t number = first_chunk_[record] + index;
  {
    const std::lock_guard lock(mutex_);
    const auto found = cache_.find(number);
    if (found != cache_.end()) {
      ages_.splice(ages_.begin(), ages_, found->second.age);
      return found->second.chunk;
    }
  }
  STRAND_ASSIGN(const std::string value, store_->get(chunk_key(info_.id, record, index)));
  STRAND_ASSIGN(Chunk decoded, decode_chunk(value));
  const int64_t expected =
      std::min(kChunkBases, info_.records[record].bases - static_cast<int64_t>(index) * kChunkBases);
  if (decoded.bases != expected) {
    return corrupt(concat("record '", info_.records[record].name, "', chunk ", index, ": expected ", expected,
                          " bases, found ", decoded.bases, "; build the store again"));
  }
  auto shared = std::make_shared<const Chunk>(std::move(decoded));
  const std::lock_guard lock(mutex_);
  if (cache_.count(number) != 0) return shared;  // another thread was faster
  ages_.push_front(number);
  cache_[number] = {shared, ages_.begin()};
  cached_bytes_ += footprint(*shared);
  while (cached_bytes_ > cache_bytes_ && ages_.size() > 1) {
    const auto oldest = cache_.find(ages_.back());
    cached_bytes_ -= footprint(*oldest->second.chunk);
    cache_.erase(oldest);
    ages_.pop_back();
  }
  return shared;
}

Status CorpusReader::read(const BaseRun& run, std::string* out) {
  STRAND_CHECK(run.record < info_.records.size() && run.begin >= 0 && run.begin <= run.end &&
                   run.end <= info_.records[run.record].bases,
               "record ", run.record, " [", run.begin, ", ", run.end, ")");
  out->resize(static_cast<size_t>(run.length()));
  char* at = out->data();
  return for_pieces(run.begin, run.end, [&](uint64_t index, uint32_t begin, uint32_t count) -> Status {
    STRAND_ASSIGN(const auto piece, chunk(run.record, index));
    unpack_bases(*piece, begin, count, at);
    at += count;
    return {};
  });
}

Status CorpusReader::read_letters(const BaseRun& run, std::string* out) {
  STRAND_CHECK(run.record < info_.records.size() && run.begin >= 0 && run.begin <= run.end &&
                   run.end <= info_.records[run.record].bases,
               "record ", run.record, " [", run.begin, ", ", run.end, ")");
  out->clear();
  return for_pieces(run.begin, run.end, [&](uint64_t index, uint32_t begin, uint32_t count) -> Status {
    STRAND_ASSIGN(const auto piece, chunk(run.record, index));
    out->append(unpack_chunk(*piece), begin, count);
    return {};
  });
}

}  // namespace strand
