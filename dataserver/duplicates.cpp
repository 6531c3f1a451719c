#include "dataserver/duplicates.h"

#include <map>
#include <set>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/corpus_reader.h"
#include "dataserver/leaks/leaks.h"

namespace strand {

namespace {

// Of the lesser of the two strands.
Digest128 digest_of(std::string* bases) {
  if (reverse_is_lesser(*bases)) reverse_complement(bases);
  return hash128(*bases);
}

}  // namespace

Result<uint64_t> duplicate_records(Store* store, const CorpusInfo& info) {
  std::map<int64_t, uint64_t> of_length;
  for (const RecordInfo& record : info.records) ++of_length[record.bases];
  constexpr uint64_t kCache = uint64_t{8} << 20;  // every chunk is read once
  CorpusReader reader(store, info, std::make_shared<ChunkCache>(kCache));
  std::set<Digest128> seen;
  uint64_t repeated = 0;
  std::string bases;
  for (uint64_t i = 0; i < info.records.size(); ++i) {
    if (of_length[info.records[i].bases] < 2) continue;
    STRAND_TRY(reader.read_letters({i, 0, info.records[i].bases}, &bases));
    STRAND_TRY(normalise_bases(&bases));
    repeated += seen.insert(digest_of(&bases)).second ? 0 : 1;
  }
  return repeated;
}

Result<uint64_t> duplicate_rows(Store* store, const TableInfo& table) {
  std::set<Digest128> seen;
  uint64_t repeated = 0;
  STRAND_TRY(scan_examples(store, table, [&](uint64_t, const Example& example) -> Status {
    std::string bases = example.sequence;
    repeated += seen.insert(digest_of(&bases)).second ? 0 : 1;
    return {};
  }));
  return repeated;
}

}  // namespace strand
