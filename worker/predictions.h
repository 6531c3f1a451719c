// What a finetuned model says of a set of rows, and how good that is.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/task_spec.h"
#include "shared/metrics/prediction_metrics.h"

namespace strand {

// Of n rows in their order; a row is a token with kClassifyTokens, and then only tokens with a label are here.
struct Predictions {
  int64_t outputs = 0;
  std::vector<float> logits;     // [n, outputs], fp32; of a regression the values, as z-scores
  std::vector<int32_t> classes;  // [n], kIgnoredTarget where missing; of tasks with classes
  std::vector<float> values;     // [n, outputs], NaN where missing; of the others. Numbers are z-scores
  double loss = 0;               // mean over the labels that are there
  int64_t labels = 0;            // how many

  int64_t rows() const { return outputs == 0 ? 0 : static_cast<int64_t>(logits.size()) / outputs; }
};

// Of a regression: numbers are learnt as (number - mean) / deviation; empty for others (DatasetStatus).
struct LabelScale {
  std::vector<double> mean, deviation;
};

// Metrics of the rows that have all their labels. Errors as in prediction_metrics.h: no such row, or an output that is
// no finite number.
Result<PredictionMetrics> task_metrics(TaskKind kind, const Predictions& predictions, const LabelScale& scale);

}  // namespace strand
