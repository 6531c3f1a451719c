#include "worker/predictions.h"

#include <algorithm>
#include <cmath>

#include "ops/cross_entropy/cross_entropy.h"
#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

// Rows that have all their labels.
Predictions complete_rows(const Predictions& all) {
  Predictions kept;
  kept.outputs = all.outputs;
  for (int64_t row = 0; row < all.rows(); ++row) {
    const auto first = row * all.outputs;
    const auto values = all.values.begin() + (all.values.empty() ? 0 : first);
    const auto last = values + (all.values.empty() ? 0 : all.outputs);
    const bool missing = all.classes.empty() ? std::any_of(values, last, [](float v) { return std::isnan(v); })
                                             : all.classes[static_cast<size_t>(row)] == kIgnoredTarget;
    if (missing) continue;
    kept.logits.insert(kept.logits.end(), all.logits.begin() + first, all.logits.begin() + first + all.outputs);
    if (!all.classes.empty()) kept.classes.push_back(all.classes[static_cast<size_t>(row)]);
    kept.values.insert(kept.values.end(), values, last);
  }
  return kept;
}

std::vector<double> unscaled(const std::vector<float>& values, int64_t outputs, const LabelScale& scale) {
  std::vector<double> out(values.begin(), values.end());
  if (scale.mean.empty()) return out;
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t label = i % static_cast<size_t>(outputs);
    out[i] = out[i] * scale.deviation[label] + scale.mean[label];
  }
  return out;
}

}  // namespace

Result<PredictionMetrics> task_metrics(TaskKind kind, const Predictions& predictions, const LabelScale& scale) {
  const int64_t outputs = predictions.outputs;
  STRAND_CHECK(scale.mean.empty() || static_cast<int64_t>(scale.mean.size()) == outputs, "means of ", scale.mean.size(),
               " labels, ", outputs, " outputs");
  const Predictions rows = complete_rows(predictions);
  if (rows.rows() == 0) return bad_input("none of its rows has all its labels: there is nothing to compare with");
  switch (kind) {
    case TaskKind::kClassify:
    case TaskKind::kClassifyTokens: return classification_metrics(rows.logits, rows.classes, outputs);
    case TaskKind::kRegress:
      return regression_metrics(unscaled(rows.logits, outputs, scale), unscaled(rows.values, outputs, scale), outputs);
    case TaskKind::kMultiLabel: break;
  }
  const std::vector<uint8_t> labels(rows.values.begin(), rows.values.end());
  return multi_label_metrics(rows.logits, labels, outputs);
}

}  // namespace strand
