#include "tests/unit/coordinator/job_text.h"

#include "shared/job_spec/job_spec.h"

namespace strand::testing {

std::string job_text(const std::string& name, int64_t steps, int64_t every, int64_t keep, int64_t retries,
                     const JobShape& shape) {
  JobSpec spec;
  spec.job.name = name;
  spec.job.retries = retries;
  spec.job.priority = shape.priority;
  spec.data.files = {"/genome.fna"};
  spec.data.holdout.fraction = 0.05;
  spec.train.steps = steps;
  spec.train.warmup = 1;
  spec.train.lanes = shape.lanes;
  spec.parallel.replicas = shape.replicas;
  spec.parallel.min_replicas = shape.min_replicas;
  spec.parallel.stages = shape.stages;
  spec.parallel.lane_shares = shape.lane_shares;
  spec.checkpoint.every = every;
  spec.checkpoint.keep = keep;
  return effective_job_toml(spec);
}

}  // namespace strand::testing
