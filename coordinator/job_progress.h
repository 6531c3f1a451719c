// How far a job has come: which step reports are new, and the sums over its committed steps. Pure.
//
// A step that a generation takes again, behind a reload, is reported and recorded again under it; the sums go back to
// what they were at its base (recorded_steps.h), so that lost work counts neither as tokens nor as goodput. In a
// metrics file the last line of a step is the one that counts.
#pragma once

#include <cstdint>
#include <optional>

#include "coordinator/checkpoint_catalog.h"
#include "coordinator/recorded_steps.h"
#include "shared/base/ids.h"
#include "shared/wire/messages.h"

namespace strand {

class JobProgress {
 public:
  // False for a duplicate.
  bool add(Generation generation, Step step, const StepReport& report, const CheckpointCatalog& catalog);
  // What the metrics file says, after a restart of the coordinator. Older than what is known: ignored.
  void restore(const RecordedSteps& recorded);
  // Sums of the steps up to this one.
  JobTotals totals_at(Step step) const { return steps_.totals_at(step); }
  // Steps up to this one will not be asked for any more.
  void forget_through(Step step) { steps_.forget_through(step); }

  // The newest step up to which every step is recorded.
  Step recorded_through() const { return steps_.through(); }
  Step step() const { return steps_.newest(); }  // newest committed; goes back with a reload
  Step best_step() const { return best_step_; }  // the highest ever
  const JobTotals& totals() const { return steps_.totals(); }
  double tokens_per_second() const { return tokens_per_second_; }  // smoothed over about 20 steps; 0 = unknown
  const std::optional<StepReport>& latest() const { return latest_; }
  const std::optional<StepReport>& latest_evaluation() const { return evaluation_; }
  Step evaluation_step() const { return evaluation_step_; }

 private:
  RecordedSteps steps_;
  Step best_step_ = 0, evaluation_step_ = 0;
  double tokens_per_second_ = 0;
  std::optional<StepReport> latest_, evaluation_;
};

}  // namespace strand
