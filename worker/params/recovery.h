// Where a new generation goes on: a pure function of what its workers hold (DESIGN section 5, Commit).
#pragma once

#include <map>
#include <vector>

#include "shared/plan/group_plan.h"
#include "shared/wire/shard_messages.h"

namespace strand {

struct RecoveryOutcome {
  RecoveryDecision decision;    // with reload, base is not set: the newest valid checkpoint decides it
  bool rolled_forward = false;  // a step that nobody had applied is committed by this decision
};

// `reports`: one of every member and of every leaving worker. In short, with T the newest version that is applied
// anywhere:
//   a range without a live holder that has T, or is one behind and has its sum of T  ->  reload
//   every range is summed for T + 1, on every planned holder that lives              ->  T + 1 is committed now
//   else                                                                             ->  T; sums of T + 1 are dropped
// "on every planned holder": where one lacks the sum, the norm cannot have existed and nobody has applied T + 1;
// rolling forward would leave the range with one copy, dropping costs one step computed again.
RecoveryOutcome decide_recovery(const GroupPlan& plan, const std::vector<PlannedRange>& ranges,
                                const std::vector<RangeHolders>& holders,
                                const std::map<WorkerId, HoldingsReport>& reports);

}  // namespace strand
