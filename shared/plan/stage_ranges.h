// Where the tensors of a cut model belong (stage_cut.h) in the words of ranges (group_plan.h).
#pragma once

#include <vector>

#include "shared/plan/group_plan.h"
#include "shared/plan/stage_cut.h"

namespace strand {

// The place of each tensor of job_parameter_table: its owner and, of a tied embedding, the stage of its output use.
std::vector<TensorPlace> tensor_places(const StageCut& cut);
// Where a range of the job lies in the flat arrays of a stage that owns it or borrows it (a tied embedding's copy). A
// range of another stage: no elements.
KeyRange local_range(const Stage& stage, KeyRange range);

}  // namespace strand
