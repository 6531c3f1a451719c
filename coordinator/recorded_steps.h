// Which steps of a job are in its metrics, and the sums over those that count. Pure.
//
// Intuition: generations go back and forth. Each says from which step it goes on, its base: up to there counts whatever
// any generation recorded, above it only its own steps. One that began behind a checkpoint takes steps again and
// records them again; one after it may go on from where an older one was, found again with workers that had been away,
// and then that one's steps count as before. So nothing is thrown away when a generation goes back.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "shared/base/ids.h"

namespace strand {

struct JobTotals {
  double productive_seconds = 0;  // of committed steps
  int64_t tokens = 0;             // predicted in committed steps
};

class RecordedSteps {
 public:
  // A generation after the one at hand goes on from `base`.
  void go_on(Generation generation, Step base);
  // A step of it, or one up to its base that nobody has recorded. False when it is recorded already.
  bool add(Step step, const JobTotals& own);
  // All steps up to this one are known, with these sums: says a checkpoint, or the first line of which only the end of
  // a file is left.
  void know_through(Step step, const JobTotals& sums);
  // Single steps up to this one will not be asked for any more.
  void forget_through(Step step);

  bool empty() const { return newest_ == 0; }
  Generation generation() const { return generation_; }
  Step newest() const { return newest_; }  // that counts
  // Every step up to this one is recorded.
  Step through() const { return missing_.empty() ? newest_ : *missing_.begin() - 1; }
  const JobTotals& totals() const { return totals_; }
  // Of the steps up to this one; zeros when that is no longer known.
  JobTotals totals_at(Step step) const;

 private:
  struct Entry {
    Generation generation;
    JobTotals own;
  };

  bool counts(Step step, const Entry& entry) const { return step <= base_ || entry.generation == generation_; }
  void recount();

  Generation generation_;
  Step base_ = 0;
  std::map<Step, Entry> steps_;  // above forgotten_; of each the newest record
  Step forgotten_ = 0;           // up to here only the sums are known
  JobTotals before_;
  // Of those that count.
  Step newest_ = 0;
  std::set<Step> missing_;  // below it
  JobTotals totals_;
};

}  // namespace strand
