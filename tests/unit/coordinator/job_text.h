// Jobs to submit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strand::testing {

struct JobShape {
  int64_t replicas = 1, min_replicas = 1, stages = 1;
  int64_t priority = 0;
  int64_t lanes = 1024;
  std::vector<int64_t> lane_shares = {};
};
// Job text with `steps` steps and a checkpoint every `every`.
std::string job_text(const std::string& name, int64_t steps, int64_t every, int64_t keep, int64_t retries,
                     const JobShape& shape = {});

}  // namespace strand::testing
