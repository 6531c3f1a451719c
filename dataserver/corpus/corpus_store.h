// Genomes in the key-value store. One store holds any number of data sets, each under the identity of its files:
//   "version"                          kStoreVersion as text, the first key of a new store
//   "corpus/ID"                        CorpusInfo, written last: without it nothing of the data set is visible
//   "bases/ID/" record chunk           encode_chunk, kChunkBases letters each (both numbers 8 bytes, big-endian)
//   "features/..."                     what the files say about stretches of records (feature_store.h)
//   "files/..."                        identities of files that were read (known_files.h)
//   "derived/..."                      results kept for a restart (trained tokenizer, Markov baseline)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataserver/corpus/chunk.h"
#include "dataserver/corpus/corpus_info.h"
#include "shared/base/result.h"
#include "shared/store/store.h"

namespace strand {

// Opens (or, unless read_only, makes) the store in `directory`. kBadInput, saying both versions, for a newer store;
// kNotFound when read_only and absent; kConflict when another process writes it.
Result<std::unique_ptr<Store>> open_data_store(const std::string& directory, bool read_only);

// The data set of these files of sequences (sequence_reader.h) in this order: found in the store when the same bytes
// were built before, else built. Stopped through `progress`, nothing of it becomes visible. kBadInput, naming file and
// line, for what the parser refuses and for a record name that comes twice.
Result<CorpusInfo> build_corpus(Store* store, const std::vector<std::string>& files, const Progress& progress);

// The same without building: kNotFound when the store lacks it.
Result<CorpusInfo> find_corpus(Store* store, const std::vector<std::string>& files);

// All complete data sets of the store, by id.
Result<std::vector<CorpusInfo>> list_corpora(Store* store);

std::string chunk_key(const std::string& corpus_id, uint64_t record, uint64_t chunk);

// Reads every chunk again and compares counts and content hash with the description. kCorrupt names what differs;
// kStopped through `progress`.
Status verify_corpus(Store* store, const CorpusInfo& info, const Progress& progress);

}  // namespace strand
