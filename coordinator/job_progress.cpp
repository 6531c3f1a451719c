#include "coordinator/job_progress.h"

#include <algorithm>

namespace strand {

bool JobProgress::add(Generation generation, Step step, const StepReport& report, const CheckpointCatalog& catalog) {
  if (generation != steps_.generation()) {
    steps_.go_on(generation, report.base);
    const auto above = catalog.entries().upper_bound(report.base);
    if (above != catalog.entries().begin()) {  // may know of more
      const CheckpointEntry& from = std::prev(above)->second;
      const bool later = from.step >= steps_.newest() || steps_.totals().tokens == 0;
      if (later && from.tokens > steps_.totals().tokens) {
        steps_.know_through(from.step, {from.productive_seconds, from.tokens});
      }
    }
  }
  const bool newest = step > steps_.newest();
  const double seconds = static_cast<double>(report.step_nanoseconds) * 1e-9;
  if (!steps_.add(step, {seconds, report.tokens})) return false;
  best_step_ = std::max(best_step_, step);
  if (seconds > 0) {
    const double rate = static_cast<double>(report.tokens) / seconds;
    tokens_per_second_ = tokens_per_second_ == 0 ? rate : tokens_per_second_ + (rate - tokens_per_second_) / 20;
  }
  if (newest) latest_ = report;
  if (newest && report.evaluated) {
    evaluation_ = report;
    evaluation_step_ = step;
  }
  return true;
}

void JobProgress::restore(const RecordedSteps& recorded) {
  if (recorded.empty() || recorded.generation() < steps_.generation()) return;
  if (recorded.generation() == steps_.generation() && recorded.newest() <= steps_.newest()) return;
  steps_ = recorded;
  best_step_ = std::max(best_step_, steps_.newest());
}

}  // namespace strand
