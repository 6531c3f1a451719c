// `strand run`: the whole cluster on this machine, for one job.
#pragma once

#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

struct RunOptions {
  std::string job_file;
  std::vector<std::string> sets;
  std::string directory;  // empty: runs/<job name>, or the next free runs/<job name>-N when that one is finished
  bool resume = false;
  bool json = false;
  int threads = 0;
  int data_servers = 1;
  int workers = 0;   // 0: as many as the job's shape has
  std::string http;  // empty: none
};

// Returns the process's exit code; errors have been printed.
Result<int> run_command(const RunOptions& options);
// The same with a job that is no file (options.job_file and sets are not read): strand finetune.
Result<int> run_job(const RunOptions& options, JobSpec spec);

}  // namespace strand
