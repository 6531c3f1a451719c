// The JSON form of prediction metrics.
#pragma once

#include "shared/formats/json.h"
#include "shared/metrics/prediction_metrics.h"

namespace strand {

// {"kind", "rows", "classes" | "labels" | "outputs", the overall metrics (metric_names), "left_out",
//  "per_class" | "per_label" | "per_output": [...]}. An element of the first two has "positives", "accuracy",
// "precision", "recall", "f1", "mcc", "roc_auc" and "pr_auc"; of the last the five of a value. What is not defined is
// null.
Json prediction_metrics_json(const PredictionMetrics& metrics);

}  // namespace strand
