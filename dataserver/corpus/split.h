// Which bases train and which are held out, as runs of A C G T. Pure.
#pragma once

#include <string>
#include <vector>

#include "dataserver/corpus/corpus_info.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

struct Split {
  std::vector<BaseRun> training;  // maximal runs without other letters and without held-out bases, in genome order
  std::vector<BaseRun> held_out;  // maximal runs of held-out bases without other letters, in genome order
  int64_t training_bases = 0;
  int64_t held_out_bases = 0;
};

// `files` are the job's, in the order of the data set's, so that holdout.files are found whatever a store calls them.
// fraction: the last floor(fraction x bases) bases of every record. Overlapping intervals count once.
// kBadInput, naming the key and the mend: an unknown record or file, an interval outside its record, more than one way
// given, an empty training part, an empty held-out part although one was asked for.
Result<Split> split_corpus(const CorpusInfo& info, const HoldoutSpec& holdout, const std::vector<std::string>& files);

}  // namespace strand
