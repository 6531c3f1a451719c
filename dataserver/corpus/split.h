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
  std::vector<BaseRun> excluded;  // as asked for
  int64_t excluded_bases = 0;     // of them A C G T
};

// `files` are the job's, in the order of the data set's, so that holdout.files are found whatever a store calls them.
// `excluded` (sorted and disjoint, corpus/exclusions.h) counts like letters other than A C G T: it is taken out first,
// and a fraction is one of the record as it stands in its file.
// fraction: the last floor(fraction x bases) bases of every record. Overlapping intervals count once.
// kBadInput, naming the key and the mend: an unknown record or file, an interval outside its record, more than one way
// given, an empty training part, an empty held-out part although one was asked for.
Result<Split> split_corpus(const CorpusInfo& info, const HoldoutSpec& holdout, const std::vector<std::string>& files,
                           const std::vector<BaseRun>& excluded = {});

// An interval of a job file as bases of the data set. kBadInput, naming the key: an unknown record, an interval that is
// empty or outside it.
Result<BaseRun> find_interval(const CorpusInfo& info, const HoldoutInterval& interval, const std::string& key);

// Sorts by record and begin, joins what touches or overlaps, drops what is empty.
void merge_runs(std::vector<BaseRun>* runs);

}  // namespace strand
