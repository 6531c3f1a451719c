// Where a run lives, and whether this call may use it.
#pragma once

#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

struct RunDirectory {
  std::string path;                // absolute
  bool existing = false;           // holds a run to go on with
  std::unique_ptr<FileLock> lock;  // held while this call runs
};

// New run: an explicit directory must hold no run; without one, finished runs are passed over and an unfinished one is
// refused (say --resume). Resume: the explicit or newest directory must hold a run whose job differs only in what
// resume may change. Nothing is written before all of that holds, then job.toml (the effective job) is.
Result<RunDirectory> claim_run_directory(FileSystem& fs, const JobSpec& spec, const std::string& wanted, bool resume);

}  // namespace strand
