#include "coordinator/job_progress.h"

#include <algorithm>

namespace strand {
namespace {
constexpr size_t kHistory = 10000;
}

bool JobProgress::add(Generation generation, Step step, const StepReport& report, const CheckpointCatalog& catalog) {
  if (generation == generation_ && step <= step_) return false;
  if (generation != generation_ && step != step_ + 1) {
    const CheckpointEntry* from = catalog.find(step - 1);
    if (step == 1) {
      totals_ = {};
    } else if (from) {
      totals_ = {from->productive_seconds, from->tokens};
    }
  }
  generation_ = generation;
  step_ = step;
  best_step_ = std::max(best_step_, step);
  const double seconds = static_cast<double>(report.step_nanoseconds) * 1e-9;
  totals_.productive_seconds += seconds;
  totals_.tokens += report.tokens;
  if (seconds > 0) {
    const double rate = static_cast<double>(report.tokens) / seconds;
    tokens_per_second_ = tokens_per_second_ == 0 ? rate : tokens_per_second_ + (rate - tokens_per_second_) / 20;
  }
  latest_ = report;
  if (report.evaluated) {
    evaluation_ = report;
    evaluation_step_ = step;
  }
  history_[step] = totals_;
  if (history_.size() > kHistory) history_.erase(history_.begin());
  return true;
}

void JobProgress::restore(Generation generation, Step step, const JobTotals& totals) {
  if (generation < generation_ || (generation == generation_ && step <= step_)) return;
  generation_ = generation;
  step_ = step;
  best_step_ = std::max(best_step_, step);
  totals_ = totals;
  history_[step] = totals;
}

JobTotals JobProgress::totals_at(Step step) const {
  const auto found = history_.find(step);
  return found == history_.end() ? totals_ : found->second;
}

}  // namespace strand
