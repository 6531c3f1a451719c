// The genomes of several sources as one data set: each is built and stored by itself, under the identity of its files,
// and what reads records and runs sees them one after another.
#pragma once

#include <string>
#include <vector>

#include "dataserver/corpus/chunk.h"
#include "dataserver/corpus/corpus_info.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/store/store.h"

namespace strand {

struct NamedCorpus {
  std::string name;
  CorpusInfo info;
};

// Records and files of all, in order; records are called NAME/RECORD. The content is that of the parts and their names.
CorpusInfo join_corpora(const std::vector<NamedCorpus>& corpora);

// Where a chunk of the data set is stored: of a joined one, under its part.
std::string stored_chunk_key(const CorpusInfo& info, uint64_t record, uint64_t chunk);

// The data set of a job's files, or of its sources (build_corpus, find_corpus for each).
Result<CorpusInfo> build_data(Store* store, const DataSpec& data, const Progress& progress);
Result<CorpusInfo> find_data(Store* store, const DataSpec& data);

// The ids under which it is in the store.
std::vector<std::string> stored_ids(const CorpusInfo& info);

}  // namespace strand
