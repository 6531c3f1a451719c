// One step's record from its parts: squares added in parameter-table order, losses in the order of lanes and micro
// batches (DESIGN section 5, Global norm).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "shared/plan/group_plan.h"
#include "shared/wire/shard_messages.h"

namespace strand {

// `partials`: squares by block of every range, in order. `numbers`: what came with any range, in any order; a lane's
// parts from first and last stage are put together. None if a lane has no losses or no partials are there for a range.
std::optional<StepRecord> make_record(Step step, Generation made_in, int64_t lanes,
                                      const std::vector<PlannedRange>& ranges,
                                      const std::map<uint32_t, std::vector<double>>& partials,
                                      const std::vector<LaneNumbers>& numbers);

// Loss and norm are finite and something was predicted: the step may be applied.
bool can_commit(const StepRecord& record);

}  // namespace strand
