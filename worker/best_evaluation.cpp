#include "worker/best_evaluation.h"

#include <cmath>

#include "shared/metrics/prediction_metrics.h"

namespace strand {

bool smaller_chooses(const std::string& metric) {
  return metric == "loss" || smaller_is_better(metric);
}

BestEvaluation after_evaluation(const BestEvaluation& before, const std::string& metric, Step step, double value) {
  if (before.metric != metric) return {metric, step, value, 0, step};
  const bool undefined = std::isnan(before.value);
  const bool better = smaller_chooses(metric) ? value < before.value : value > before.value;
  if (better || (undefined && !std::isnan(value))) return {metric, step, value, 0, step};
  return {metric, before.step, before.value, before.since + 1, step};
}

bool out_of_patience(const BestEvaluation& best, int64_t patience) {
  return patience > 0 && best.since >= patience;
}

}  // namespace strand
