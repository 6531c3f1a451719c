#include "coordinator/job_progress.h"

#include <algorithm>
#include <tuple>

namespace strand {
namespace {
constexpr size_t kHistory = 10000;
}

void add_to_history(std::map<Step, JobTotals>* history, Step step, const JobTotals& own, const JobTotals& sums) {
  auto above = history->upper_bound(step);
  if (above == history->end()) {
    (*history)[step] = sums;
    return;
  }
  JobTotals here = own;
  if (above != history->begin()) {
    here.productive_seconds += std::prev(above)->second.productive_seconds;
    here.tokens += std::prev(above)->second.tokens;
  }
  (*history)[step] = here;
  for (; above != history->end(); ++above) {
    above->second.productive_seconds += own.productive_seconds;
    above->second.tokens += own.tokens;
  }
}

void add_recorded(RecordedTail* tail, Generation generation, Step step, const JobTotals& own, const JobTotals& totals) {
  auto& steps = tail->steps;
  // As add() has seen it: one that was overtaken, and comes behind those above it, is no reload.
  const bool before_all = !steps.empty() && step < steps.begin()->first;
  const bool again = steps.contains(step) || (before_all && !tail->whole);
  if (tail->generation != generation && again) steps.erase(steps.lower_bound(step), steps.end());
  tail->generation = generation;
  tail->totals = totals;
  add_to_history(&steps, step, own, totals);
}

// A generation that does not go on begins behind some checkpoint. What is remembered below its first report still
// counts, or what the newest checkpoint below it says, if that is newer.
void JobProgress::begin_again(Step first_reported, const CheckpointCatalog& catalog) {
  missing_.erase(missing_.lower_bound(first_reported), missing_.end());
  history_.erase(history_.lower_bound(first_reported), history_.end());
  step_ = 0;
  totals_ = {};
  if (!history_.empty()) std::tie(step_, totals_) = *history_.rbegin();
  const auto& entries = catalog.entries();
  const auto above = entries.lower_bound(first_reported);
  if (above == entries.begin()) return;
  const CheckpointEntry& from = std::prev(above)->second;
  if (from.step <= step_) return;
  missing_.clear();
  step_ = from.step;
  totals_ = {from.productive_seconds, from.tokens};
}

bool JobProgress::add(Generation generation, Step step, const StepReport& report, const CheckpointCatalog& catalog) {
  if (generation != generation_ && step <= step_ && !missing_.contains(step)) {
    // Said again behind one that was lost: nothing is known yet of where this generation began.
    if (!missing_.empty() && step > *missing_.begin()) return false;
    begin_again(step, catalog);
  }
  generation_ = generation;
  const bool newest = step > step_;
  if (!newest && missing_.erase(step) == 0) return false;
  for (Step s = std::max(step_ + 1, step - static_cast<Step>(kHistory)); s < step; ++s) missing_.insert(s);
  step_ = std::max(step_, step);
  best_step_ = std::max(best_step_, step);
  const double seconds = static_cast<double>(report.step_nanoseconds) * 1e-9;
  totals_.productive_seconds += seconds;
  totals_.tokens += report.tokens;
  if (seconds > 0) {
    const double rate = static_cast<double>(report.tokens) / seconds;
    tokens_per_second_ = tokens_per_second_ == 0 ? rate : tokens_per_second_ + (rate - tokens_per_second_) / 20;
  }
  if (newest) latest_ = report;
  if (newest && report.evaluated) {
    evaluation_ = report;
    evaluation_step_ = step;
  }
  add_to_history(&history_, step, {seconds, report.tokens}, totals_);
  if (history_.size() > kHistory) history_.erase(history_.begin());
  return true;
}

void JobProgress::restore(const RecordedTail& tail) {
  if (tail.steps.empty()) return;
  const Step step = tail.steps.rbegin()->first;
  if (tail.generation < generation_ || (tail.generation == generation_ && step <= step_)) return;
  generation_ = tail.generation;
  step_ = step;
  best_step_ = std::max(best_step_, step);
  totals_ = tail.totals;
  history_ = tail.steps;
  missing_.clear();
  const Step first = tail.whole ? 1 : tail.steps.begin()->first;
  for (Step s = std::max(first, step - static_cast<Step>(kHistory)); s < step; ++s) {
    if (!tail.steps.contains(s)) missing_.insert(s);
  }
}

JobTotals JobProgress::totals_at(Step step) const {
  if (step <= 0) return {};  // a job stopped before its first step
  const auto above = history_.upper_bound(step);
  return step >= step_ || above == history_.begin() ? totals_ : std::prev(above)->second;
}

}  // namespace strand
