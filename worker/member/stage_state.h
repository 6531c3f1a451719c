// What a worker of a group knows and holds of one stage of a job, for as long as it is at that stage: the cut, the
// ranges, and the shard with its weights. No data, no network.
#pragma once

#include <memory>
#include <vector>

#include "ops/core/context.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/plan/group_plan.h"
#include "shared/plan/stage_cut.h"
#include "shared/plan/stage_ranges.h"
#include "worker/params/param_shard.h"

namespace strand {

struct StageState {
  // kBadInput as cut_model.
  static Result<std::unique_ptr<StageState>> create(const JobSpec& spec, int stage, bool bf16);

  const Stage& own() const { return cut.stages[static_cast<size_t>(stage)]; }
  // Where use 1 of a range lies in this stage's gradient buffers; ranges of other places have none.
  int64_t output_gradient_first(const PlannedRange& range) const;

  int stage = 0;
  std::vector<ParameterInfo> table;  // of the whole job
  StageCut cut;
  std::vector<PlannedRange> ranges;  // of the whole job
  std::vector<KeyRange> keys;        // of each range: where it lies in the shard; no elements: not here
  std::unique_ptr<ParamShard> shard;
};

}  // namespace strand
