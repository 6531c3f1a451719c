// All metrics of a task at once.
#include "shared/metrics/prediction_metrics.h"

#include <algorithm>
#include <cmath>

#include "shared/base/text.h"

namespace strand {
namespace {

// Refuses what no metric can be computed of. `labels` counts values, `per_row` of them a row.
template <class Score>
Status check_input(std::span<const Score> scores, int64_t outputs, size_t labels, int64_t per_row) {
  if (outputs < 1) return bad_input(concat("predictions: ", outputs, " outputs a row; declare at least one"));
  if (scores.empty()) return bad_input("predictions: no rows; metrics need at least one labelled row");
  const auto width = static_cast<size_t>(outputs), wanted = scores.size() / width * static_cast<size_t>(per_row);
  if (scores.size() % width != 0 || labels != wanted) {
    return bad_input(concat("predictions: ", scores.size(), " scores of ", outputs, " a row need ", wanted,
                            " labels, found ", labels, "; predict and label the same rows"));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    return bad_input(concat("predictions: row ", i / width, ", output ", i % width, ": expected a finite score, found ",
                            scores[i], "; the model has diverged or its weights are damaged"));
  }
  return {};
}

// Every `width`th value from `first`.
template <class To, class From>
std::vector<To> column(std::span<const From> values, size_t first, size_t width) {
  std::vector<To> out;
  out.reserve(values.size() / width);
  for (size_t i = first; i < values.size(); i += width) out.push_back(static_cast<To>(values[i]));
  return out;
}

// Mean over the outputs that have the metric; NaN when none has.
double mean_over(const std::vector<MetricValues>& outputs, double MetricValues::*metric) {
  double sum = 0;
  int64_t defined = 0;
  for (const MetricValues& output : outputs) {
    if (std::isnan(output.*metric)) continue;
    sum += output.*metric;
    ++defined;
  }
  return defined == 0 ? kNoMetric : sum / static_cast<double>(defined);
}

int64_t count_without(const std::vector<MetricValues>& outputs, double MetricValues::*metric) {
  return std::count_if(outputs.begin(), outputs.end(), [&](const auto& output) { return std::isnan(output.*metric); });
}

PredictionMetrics with_shape(PredictionKind kind, size_t rows, int64_t outputs) {
  PredictionMetrics metrics;
  metrics.kind = kind;
  metrics.rows = static_cast<int64_t>(rows);
  metrics.outputs = outputs;
  return metrics;
}

// Those of class c against the rest.
void set_decisions(const Confusion& confusion, int64_t c, MetricValues& values) {
  const PrecisionRecall one = precision_recall(confusion, c);
  const int64_t wrong = confusion.of_truth(c) + confusion.predicted(c) - 2 * confusion.at(c, c);
  values.positives = confusion.of_truth(c);
  values.accuracy = 1 - static_cast<double>(wrong) / static_cast<double>(confusion.rows());
  values.precision = one.precision;
  values.recall = one.recall;
  values.f1 = one.f1;
  values.mcc = matthews_correlation(confusion, c);
}

void set_rankings(std::span<const uint8_t> truth, std::span<const double> scores, MetricValues& values) {
  values.roc_auc = roc_auc(truth, scores);
  if (!std::isnan(values.roc_auc)) values.pr_auc = average_precision(truth, scores);
}

}  // namespace

Result<PredictionMetrics> classification_metrics(std::span<const float> logits, std::span<const int32_t> labels,
                                                 int64_t classes) {
  STRAND_TRY(check_input(logits, classes, labels.size(), 1));
  for (size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] >= 0 && labels[row] < classes) continue;
    return bad_input(concat("predictions: row ", row, ": expected a label from 0 to ", classes - 1, ", found ",
                            labels[row], "; mend the label or declare more classes"));
  }
  const auto width = static_cast<size_t>(classes);
  std::vector<int32_t> predicted;
  for (size_t first = 0; first < logits.size(); first += width) {
    const auto row = logits.subspan(first, width);
    predicted.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  const Confusion confusion = confusion_matrix(labels, predicted, classes);
  const std::vector<double> probabilities = softmax_rows(logits, classes);

  PredictionMetrics metrics = with_shape(PredictionKind::kClassification, labels.size(), classes);
  for (int64_t c = 0; c < classes; ++c) {
    std::vector<uint8_t> is_class;
    for (const int32_t label : labels) is_class.push_back(label == c);
    MetricValues& values = metrics.per_output.emplace_back();
    set_decisions(confusion, c, values);
    set_rankings(is_class, column<double>(std::span<const double>(probabilities), static_cast<size_t>(c), width),
                 values);
  }
  const PrecisionRecall macro = macro_precision_recall(confusion);
  MetricValues& overall = metrics.overall;
  overall.accuracy = accuracy(confusion);
  overall.precision = macro.precision;
  overall.recall = macro.recall;
  overall.f1 = macro.f1;
  overall.mcc = matthews_correlation(confusion);
  const auto& each = metrics.per_output;
  overall.roc_auc = classes == 2 ? each[1].roc_auc : mean_over(each, &MetricValues::roc_auc);
  overall.pr_auc = classes == 2 ? each[1].pr_auc : mean_over(each, &MetricValues::pr_auc);
  metrics.left_out = count_without(each, &MetricValues::roc_auc);
  return metrics;
}

Result<PredictionMetrics> multi_label_metrics(std::span<const float> logits, std::span<const uint8_t> labels,
                                              int64_t outputs, float threshold) {
  STRAND_TRY(check_input(logits, outputs, labels.size(), outputs));
  const auto width = static_cast<size_t>(outputs);
  std::vector<uint8_t> all_right(labels.size() / width, 1);
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] > 1) {
      return bad_input(concat("predictions: row ", i / width, ", label ", i % width, ": expected 0 or 1, found ",
                              static_cast<int>(labels[i]), "; mend the table"));
    }
    if ((logits[i] > threshold) != (labels[i] == 1)) all_right[i / width] = 0;
  }
  PredictionMetrics metrics = with_shape(PredictionKind::kMultiLabel, all_right.size(), outputs);
  for (size_t label = 0; label < width; ++label) {
    const auto truth = column<uint8_t>(labels, label, width);
    const auto scores = column<double>(logits, label, width);
    const std::vector<int32_t> wanted(truth.begin(), truth.end());
    std::vector<int32_t> predicted;
    for (const double score : scores) predicted.push_back(score > static_cast<double>(threshold));
    MetricValues& values = metrics.per_output.emplace_back();
    set_decisions(confusion_matrix(wanted, predicted, 2), 1, values);
    set_rankings(truth, scores, values);
  }
  for (const auto metric : {&MetricValues::accuracy, &MetricValues::precision, &MetricValues::recall, &MetricValues::f1,
                            &MetricValues::mcc, &MetricValues::roc_auc, &MetricValues::pr_auc}) {
    metrics.overall.*metric = mean_over(metrics.per_output, metric);
  }
  const auto right = std::count(all_right.begin(), all_right.end(), uint8_t{1});
  metrics.exact_match = static_cast<double>(right) / static_cast<double>(all_right.size());
  metrics.left_out = count_without(metrics.per_output, &MetricValues::roc_auc);
  return metrics;
}

Result<PredictionMetrics> regression_metrics(std::span<const double> predicted, std::span<const double> truth,
                                             int64_t outputs) {
  STRAND_TRY(check_input(predicted, outputs, truth.size(), outputs));
  const auto width = static_cast<size_t>(outputs);
  for (size_t i = 0; i < truth.size(); ++i) {
    if (std::isfinite(truth[i])) continue;
    return bad_input(concat("predictions: row ", i / width, ", output ", i % width, ": expected a finite label, found ",
                            truth[i], "; mend the table"));
  }
  PredictionMetrics metrics = with_shape(PredictionKind::kRegression, truth.size() / width, outputs);
  for (size_t output = 0; output < width; ++output) {
    const auto wanted = column<double>(truth, output, width), found = column<double>(predicted, output, width);
    MetricValues& values = metrics.per_output.emplace_back();
    values.pearson = pearson(wanted, found);
    values.spearman = spearman(wanted, found);
    values.r2 = r_squared(wanted, found);
    values.mae = mean_absolute_error(wanted, found);
    values.mse = mean_squared_error(wanted, found);
  }
  for (const auto metric :
       {&MetricValues::pearson, &MetricValues::spearman, &MetricValues::r2, &MetricValues::mae, &MetricValues::mse}) {
    metrics.overall.*metric = mean_over(metrics.per_output, metric);
  }
  metrics.left_out = count_without(metrics.per_output, &MetricValues::pearson);
  return metrics;
}

}  // namespace strand
