// Metrics of predictions against labels, as scikit-learn and scipy compute them (equal to 1e-9; tests/parity makes the
// golden values). Pure functions; n rows. Where a metric is not defined the value is NaN, which JSON writes as null.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace strand {

// ---- Of decisions ------------------------------------------------------------------------------------------------

// counts[truth * classes + predicted].
struct Confusion {
  int64_t classes = 0;
  std::vector<int64_t> counts;

  int64_t at(int64_t truth, int64_t predicted) const {
    return counts[static_cast<size_t>(truth * classes + predicted)];
  }
  int64_t rows() const;                // n
  int64_t of_truth(int64_t c) const;   // rows whose label is c
  int64_t predicted(int64_t c) const;  // rows predicted as c
};

// truth, predicted [n] in [0, classes).
Confusion confusion_matrix(std::span<const int32_t> truth, std::span<const int32_t> predicted, int64_t classes);

struct PrecisionRecall {
  double precision = 0, recall = 0, f1 = 0;
};

// Share of rows on the diagonal; NaN without rows.
double accuracy(const Confusion& confusion);
// One class against the rest; a division by zero gives 0 (scikit-learn's zero_division = 0).
PrecisionRecall precision_recall(const Confusion& confusion, int64_t c);
// Mean over the classes that occur among labels or predictions: scikit-learn's average = "macro".
PrecisionRecall macro_precision_recall(const Confusion& confusion);
// Matthews' correlation for any number of classes (Gorodkin's R_K, as scikit-learn's matthews_corrcoef); 0 when labels
// or predictions are all of one class.
double matthews_correlation(const Confusion& confusion);
// The same of class c against the rest.
double matthews_correlation(const Confusion& confusion, int64_t c);

// ---- Of rankings: truth [n] in {0, 1}, scores [n] finite, larger for 1 -------------------------------------------

// Area under the ROC curve: the chance that a positive row has the larger score, ties counting half. NaN unless both
// labels occur.
double roc_auc(std::span<const uint8_t> truth, std::span<const double> scores);
// Average precision, sum over distinct scores of (R_k - R_{k-1}) P_k: no interpolation, as scikit-learn's
// average_precision_score. 0 without a positive row.
double average_precision(std::span<const uint8_t> truth, std::span<const double> scores);

// Softmax of each row of logits [n, classes], in double. Rows that are permutations of each other get permuted values,
// bit for bit, so that ties stay ties.
std::vector<double> softmax_rows(std::span<const float> logits, int64_t classes);

// ---- Of values: truth, predicted [n], finite ---------------------------------------------------------------------

// NaN when one of the two is constant or n < 2.
double pearson(std::span<const double> a, std::span<const double> b);
// Ranks from 1, equal values sharing their mean rank: scipy's rankdata.
std::vector<double> average_ranks(std::span<const double> values);
// Pearson of the average ranks.
double spearman(std::span<const double> a, std::span<const double> b);
// 1 - residual / total sum of squares; for constant truth 1 if every prediction is right, else 0; NaN when n < 2.
double r_squared(std::span<const double> truth, std::span<const double> predicted);
double mean_absolute_error(std::span<const double> truth, std::span<const double> predicted);
double mean_squared_error(std::span<const double> truth, std::span<const double> predicted);

// ---- All of them for a task --------------------------------------------------------------------------------------

enum class PredictionKind {
  kClassification,  // one of several classes a row (token classification: a row is a token)
  kMultiLabel,      // any number of labels a row
  kRegression,      // one or more real values a row
};
const char* prediction_kind_name(PredictionKind kind);  // "classification", "multi_label", "regression"

inline constexpr double kNoMetric = std::numeric_limits<double>::quiet_NaN();

struct MetricValues {
  int64_t positives = 0;  // rows of this class or label
  double accuracy = kNoMetric, precision = kNoMetric, recall = kNoMetric, f1 = kNoMetric, mcc = kNoMetric;
  double roc_auc = kNoMetric, pr_auc = kNoMetric;  // NaN where all rows or none are positive
  double pearson = kNoMetric, spearman = kNoMetric, r2 = kNoMetric, mae = kNoMetric, mse = kNoMetric;
};

// `overall` holds:
//   classification  accuracy; macro precision, recall and F1; multi-class MCC; ROC AUC and PR AUC of class 1 for two
//                   classes, else the mean over classes of each against the rest
//   multi-label     means over labels of accuracy, precision, recall, F1 and MCC, and of ROC AUC and PR AUC over the
//                   labels that have them
//   regression      means over outputs; Pearson and Spearman over the outputs that have them
struct PredictionMetrics {
  PredictionKind kind = PredictionKind::kClassification;
  int64_t rows = 0;
  int64_t outputs = 0;             // classes, labels or values a row
  int64_t left_out = 0;            // outputs without ROC AUC (all rows or none positive), or without Pearson
  double exact_match = kNoMetric;  // multi-label: share of rows with every label right
  MetricValues overall;
  std::vector<MetricValues> per_output;
};

// kBadInput for no rows, sizes that do not agree, a score or value that is not finite, or a label outside the declared
// ones; each names the row.

// logits [n, classes], labels [n] in [0, classes). The predicted class is the first with the largest logit; ROC AUC
// and PR AUC are of the softmax.
Result<PredictionMetrics> classification_metrics(std::span<const float> logits, std::span<const int32_t> labels,
                                                 int64_t classes);
// logits, labels [n, outputs]; labels in {0, 1}. A label is predicted where its logit is above `threshold` (0: a
// probability above one half).
Result<PredictionMetrics> multi_label_metrics(std::span<const float> logits, std::span<const uint8_t> labels,
                                              int64_t outputs, float threshold = 0);
// predicted, truth [n, outputs], both in the labels' own unit (z-scores undone).
Result<PredictionMetrics> regression_metrics(std::span<const double> predicted, std::span<const double> truth,
                                             int64_t outputs);

// ---- By name -----------------------------------------------------------------------------------------------------

// The overall metrics of a kind, in the order of the JSON form: "accuracy", "macro_precision", "macro_recall",
// "macro_f1", "mcc", "roc_auc", "pr_auc" (multi-label also "exact_match"); "pearson", "spearman", "r2", "mae", "mse".
std::vector<std::string> metric_names(PredictionKind kind);
// Its value; nothing for a name the kind does not have.
std::optional<double> metric_value(const PredictionMetrics& metrics, std::string_view name);
// True for errors, of which less is better.
bool smaller_is_better(std::string_view name);

}  // namespace strand
