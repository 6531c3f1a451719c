// The parts of data sets that a leak report compares, from files and from jobs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataserver/dataset.h"
#include "dataserver/leaks/leaks.h"
#include "shared/base/result.h"

namespace strand {

struct LeakInputs {
  std::vector<std::string> paths;   // tables, FASTA files, .txt (read_sequences), and job files (.toml)
  std::string column = "sequence";  // of tables
  std::string store;                // of jobs that pretrain: where their genome was built
  int64_t window = 1000;            // bases of a piece of a held-out part
};

// A file is one party under its path. A job that pretrains is two, "JOB: training" (the training runs, whole, as
// "record:begin-end", 0-based, half-open) and "JOB: held out" (its held-out runs in touching windows, the last of a run
// ending with it); one that finetunes has up to three: "JOB: train", "JOB: dev", "JOB: test". A job's parties read from
// the store, which they keep open. kBadInput, naming the file or key: what cannot be read or split; a job that holds
// nothing out, or whose genome needs `store` and has none. kNotFound: a store without the job's genome.
Result<std::vector<LeakParty>> leak_parties(FileSystem* fs, const LeakInputs& inputs);

}  // namespace strand
