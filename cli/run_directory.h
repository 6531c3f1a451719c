// Where a run lives, and whether this call may use it.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

struct RunDirectory {
  std::string path;                // absolute
  bool existing = false;           // holds a run to go on with
  bool made = false;               // was not there before this call
  std::set<std::string> before{};  // names in it before this call
  std::unique_ptr<FileLock> lock;  // held while this call runs
};

// New run: an explicit directory must hold no run; without one, finished runs are passed over and an unfinished one is
// refused (say --resume). Resume: the explicit or newest directory must hold a run whose job differs only in what
// resume may change. Nothing is written before all of that holds, then job.toml (the effective job) is.
Result<RunDirectory> claim_run_directory(FileSystem& fs, const JobSpec& spec, const std::string& wanted, bool resume);

// Takes away what a new run has put into its directory, and the directory if this call made it. What was there before
// stays, as the user may have named a folder of their own. Of a run that was resumed nothing is removed.
Status forget_run(FileSystem& fs, const RunDirectory& run);

}  // namespace strand
