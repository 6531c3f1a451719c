#include "dataserver/corpus/corpus_reader.h"

#include <algorithm>

#include "dataserver/corpus/joined_corpus.h"
#include "shared/base/check.h"

namespace strand {

namespace {

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

CorpusReader::CorpusReader(Store* store, CorpusInfo info, std::shared_ptr<ChunkCache> cache)
    : store_(store), info_(std::move(info)), cached_(cache ? std::move(cache) : std::make_shared<ChunkCache>()) {
  uint64_t next = 0;
  for (const RecordInfo& record : info_.records) {
    first_chunk_.push_back(next);
    next += static_cast<uint64_t>((record.bases + kChunkBases - 1) / kChunkBases);
  }
}

void CorpusReader::check(const BaseRun& run) const {
  STRAND_CHECK(run.record < info_.records.size() && run.begin >= 0 && run.begin <= run.end &&
                   run.end <= info_.records[run.record].bases,
               "record ", run.record, " [", run.begin, ", ", run.end, ")");
}

Result<ChunkCache::Held> CorpusReader::load(uint64_t record, uint64_t index) {
  STRAND_ASSIGN(const std::string value, store_->get(stored_chunk_key(info_, record, index)));
  STRAND_ASSIGN(Chunk decoded, decode_chunk(value));
  const int64_t expected =
      std::min(kChunkBases, info_.records[record].bases - static_cast<int64_t>(index) * kChunkBases);
  if (decoded.bases != expected) {
    return corrupt(concat("record '", info_.records[record].name, "', chunk ", index, ": expected ", expected,
                          " bases, found ", decoded.bases, "; build the store again"));
  }
  return std::make_shared<const Chunk>(std::move(decoded));
}

Result<ChunkCache::Held> CorpusReader::chunk(uint64_t record, uint64_t index) {
  const uint64_t number = first_chunk_[record] + index;
  ChunkCache::Held found;
  cached_.look_up({&number, 1}, {&found, 1});
  if (found != nullptr) return found;
  STRAND_ASSIGN(found, load(record, index));
  return cached_.keep(number, std::move(found));
}

Status CorpusReader::pin(std::span<const BaseRun> runs, PinnedRuns* pins) {
  pins->pieces_.clear();
  pins->numbers_.clear();
  pins->first_.assign(1, 0);
  std::vector<Missing> missing;
  for (const BaseRun& run : runs) {
    check(run);
    STRAND_TRY(for_pieces(run.begin, run.end, [&](uint64_t index, uint32_t begin, uint32_t count) -> Status {
      pins->pieces_.push_back({nullptr, begin, count});
      pins->numbers_.push_back(first_chunk_[run.record] + index);
      return {};
    }));
    pins->first_.push_back(pins->pieces_.size());
  }
  pins->chunks_.resize(pins->pieces_.size());
  cached_.look_up(pins->numbers_, pins->chunks_);
  size_t run = 0;
  for (size_t i = 0; i < pins->pieces_.size(); ++i) {
    while (pins->first_[run + 1] <= i) ++run;
    if (pins->chunks_[i] == nullptr) missing.push_back({pins->numbers_[i], runs[run].record, i});
  }
  std::ranges::sort(missing, {}, &Missing::number);
  for (size_t i = 0; i < missing.size(); ++i) {
    const Missing& one = missing[i];
    if (i > 0 && missing[i - 1].number == one.number) {
      pins->chunks_[one.piece] = pins->chunks_[missing[i - 1].piece];
      continue;
    }
    STRAND_ASSIGN(auto loaded, load(one.record, one.number - first_chunk_[one.record]));
    pins->chunks_[one.piece] = cached_.keep(one.number, std::move(loaded));
  }
  for (size_t i = 0; i < pins->pieces_.size(); ++i) pins->pieces_[i].chunk = pins->chunks_[i].get();
  return {};
}

Status CorpusReader::read(const BaseRun& run, std::string* out) {
  check(run);
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
  check(run);
  out->clear();
  return for_pieces(run.begin, run.end, [&](uint64_t index, uint32_t begin, uint32_t count) -> Status {
    STRAND_ASSIGN(const auto piece, chunk(run.record, index));
    out->append(unpack_chunk(*piece), begin, count);
    return {};
  });
}

}  // namespace strand
