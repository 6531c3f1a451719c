#include "coordinator/job_progress.h"

#include <algorithm>

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

// A generation begins behind some checkpoint; the newest one below its first report that we have seen.
void JobProgress::begin_generation(Step first_reported, const CheckpointCatalog& catalog) {
  missing_.clear();
  history_.erase(history_.lower_bound(first_reported), history_.end());
  if (first_reported == step_ + 1) return;  // nothing was lost
  const auto& entries = catalog.entries();
  auto above = entries.lower_bound(first_reported);
  step_ = 0;
  totals_ = {};
  if (above == entries.begin()) return;
  const CheckpointEntry& from = std::prev(above)->second;
  step_ = from.step;
  totals_ = {from.productive_seconds, from.tokens};
}

bool JobProgress::add(Generation generation, Step step, const StepReport& report, const CheckpointCatalog& catalog) {
  if (generation != generation_) begin_generation(step, catalog);
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

void JobProgress::restore(const RecordedTail& tail, const CheckpointCatalog& catalog) {
  if (tail.steps.empty()) return;
  const Step step = tail.steps.rbegin()->first;
  if (tail.generation < generation_ || (tail.generation == generation_ && step <= step_)) return;
  generation_ = tail.generation;
  step_ = step;
  best_step_ = std::max(best_step_, step);
  totals_ = tail.totals;
  history_ = tail.steps;
  missing_.clear();
  Step first = 0;  // the generation began behind a checkpoint below all its reports
  for (const auto& [at, entry] : catalog.entries()) {
    if (at < tail.steps.begin()->first) first = at;
  }
  for (Step s = std::max(first + 1, step - static_cast<Step>(kHistory)); s < step; ++s) {
    if (!tail.steps.contains(s)) missing_.insert(s);
  }
}

JobTotals JobProgress::totals_at(Step step) const {
  const auto found = history_.find(step);
  return found == history_.end() ? totals_ : found->second;
}

}  // namespace strand
