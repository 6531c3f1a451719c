// How far a job has come: which step reports are new, and the sums over its committed steps. Pure.
//
// Within a generation steps only rise, so a report is a duplicate exactly when its step is not above the last one, and
// not one that was overtaken. A generation that goes on with what its members hold continues the count. After a reload
// from an older checkpoint (a new generation) the replayed steps are reported again and recorded again, once, under the
// new generation; the sums go back to what they were at that checkpoint, so that lost work counts neither as tokens nor
// as goodput. In a metrics file the last line of a step is the one that counts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "coordinator/checkpoint_catalog.h"
#include "shared/base/ids.h"
#include "shared/wire/messages.h"

namespace strand {

struct JobTotals {
  double productive_seconds = 0;  // of committed steps
  int64_t tokens = 0;             // predicted in committed steps
};

// Sums after each step, as reports come in: `own` are this step's, `sums` of all so far. A report that was overtaken
// belongs to the steps above it as well.
void add_to_history(std::map<Step, JobTotals>* history, Step step, const JobTotals& own, const JobTotals& sums);

// The end of a metrics file.
struct RecordedTail {
  Generation generation;            // of the last line; 0: nothing recorded
  std::map<Step, JobTotals> steps;  // what counts: not what a later generation took again
  JobTotals totals;                 // of the last line
  bool whole = false;               // it is all that was ever recorded
};
// The next line. A generation that goes on reports steps that have not been recorded; one that reports a step again has
// reloaded, and what was behind it counts no more.
void add_recorded(RecordedTail* tail, Generation generation, Step step, const JobTotals& own, const JobTotals& totals);

class JobProgress {
 public:
  // False for a duplicate.
  bool add(Generation generation, Step step, const StepReport& report, const CheckpointCatalog& catalog);
  // What the metrics file says, after a restart of the coordinator. Older than what is known: ignored.
  void restore(const RecordedTail& tail);
  // Sums at a step, or at the newest known one below it; at the newest of all when none is.
  JobTotals totals_at(Step step) const;
  // Steps up to this one will not be asked for any more.
  void forget_before(Step step) { history_.erase(history_.begin(), history_.lower_bound(step)); }

  // The newest step up to which every step is recorded.
  Step recorded_through() const { return missing_.empty() ? step_ : *missing_.begin() - 1; }
  Step step() const { return step_; }            // newest committed; goes back with a reload
  Step best_step() const { return best_step_; }  // the highest ever
  const JobTotals& totals() const { return totals_; }
  double tokens_per_second() const { return tokens_per_second_; }  // smoothed over about 20 steps; 0 = unknown
  const std::optional<StepReport>& latest() const { return latest_; }
  const std::optional<StepReport>& latest_evaluation() const { return evaluation_; }
  Step evaluation_step() const { return evaluation_step_; }

 private:
  void begin_again(Step first_reported, const CheckpointCatalog& catalog);

  Generation generation_;
  Step step_ = 0, best_step_ = 0, evaluation_step_ = 0;
  std::set<Step> missing_;  // of this generation, below step_: not reported yet
  JobTotals totals_;
  double tokens_per_second_ = 0;
  std::optional<StepReport> latest_, evaluation_;
  std::map<Step, JobTotals> history_;  // at most kHistory newest
};

}  // namespace strand
