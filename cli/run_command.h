// `strand run`: the whole cluster on this machine, for one job.
#pragma once

#include <string>
#include <vector>

#include "shared/base/result.h"

namespace strand {

struct RunOptions {
  std::string job_file;
  std::vector<std::string> sets;
  std::string directory;  // empty: runs/<job name>, or the next free runs/<job name>-N when that one is finished
  bool resume = false;
  bool json = false;
  int threads = 0;
  std::string http;  // empty: none
};

// Returns the process's exit code; errors have been printed.
Result<int> run_command(const RunOptions& options);

}  // namespace strand
