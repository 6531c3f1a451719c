// Intervals that no row may come from.
#pragma once

#include <string>
#include <vector>

#include "dataserver/corpus/corpus_info.h"
#include "dataserver/corpus/split.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

// The excluded bases, sorted and disjoint. BED files (plain, gzip, bgzip): record, begin and end, 0-based, half-open,
// between tabs or blanks, further fields unread; lines that begin with '#', "track" or "browser" and blank ones do not
// count; an empty interval excludes nothing. kBadInput, with file and line or the key: an unknown record, an interval
// outside its record, a line that is no BED, a file without intervals.
Result<std::vector<BaseRun>> excluded_runs(const CorpusInfo& info, const ExcludeSpec& exclude);

// The split of a job's data: reads what is excluded, then split_corpus.
Result<Split> split_data(const CorpusInfo& info, const DataSpec& data);

}  // namespace strand
