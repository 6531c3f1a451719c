// Metrics of decisions, from the confusion matrix.
#include <cmath>

#include "shared/base/check.h"
#include "shared/metrics/prediction_metrics.h"

namespace strand {
namespace {

double ratio(double numerator, double denominator) {
  return denominator == 0 ? 0 : numerator / denominator;
}

// Gorodkin's R_K from sums over classes c of t_c p_c, p_c^2 and t_c^2, where t_c and p_c count labels and predictions.
double correlation(double right, double n, double labels_predictions, double predictions, double labels) {
  const double covariance = right * n - labels_predictions;
  const double denominator = (n * n - predictions) * (n * n - labels);
  return denominator == 0 ? 0 : covariance / std::sqrt(denominator);
}

}  // namespace

int64_t Confusion::rows() const {
  int64_t sum = 0;
  for (const int64_t count : counts) sum += count;
  return sum;
}

int64_t Confusion::of_truth(int64_t c) const {
  int64_t sum = 0;
  for (int64_t other = 0; other < classes; ++other) sum += at(c, other);
  return sum;
}

int64_t Confusion::predicted(int64_t c) const {
  int64_t sum = 0;
  for (int64_t other = 0; other < classes; ++other) sum += at(other, c);
  return sum;
}

Confusion confusion_matrix(std::span<const int32_t> truth, std::span<const int32_t> predicted, int64_t classes) {
  STRAND_CHECK(truth.size() == predicted.size() && classes > 0, truth.size(), " labels, ", predicted.size(),
               " predictions");
  Confusion confusion{classes, std::vector<int64_t>(static_cast<size_t>(classes * classes), 0)};
  for (size_t row = 0; row < truth.size(); ++row) {
    const bool known = truth[row] >= 0 && truth[row] < classes && predicted[row] >= 0 && predicted[row] < classes;
    STRAND_CHECK(known, "row ", row, ": label ", truth[row], ", predicted ", predicted[row]);
    ++confusion.counts[static_cast<size_t>(truth[row] * classes + predicted[row])];
  }
  return confusion;
}

double accuracy(const Confusion& confusion) {
  int64_t right = 0;
  for (int64_t c = 0; c < confusion.classes; ++c) right += confusion.at(c, c);
  const int64_t rows = confusion.rows();
  return rows == 0 ? kNoMetric : static_cast<double>(right) / static_cast<double>(rows);
}

PrecisionRecall precision_recall(const Confusion& confusion, int64_t c) {
  const auto right = static_cast<double>(confusion.at(c, c));
  const auto labels = static_cast<double>(confusion.of_truth(c));
  const auto predictions = static_cast<double>(confusion.predicted(c));
  return {ratio(right, predictions), ratio(right, labels), ratio(2 * right, labels + predictions)};
}

PrecisionRecall macro_precision_recall(const Confusion& confusion) {
  PrecisionRecall mean;
  int64_t occurring = 0;
  for (int64_t c = 0; c < confusion.classes; ++c) {
    if (confusion.of_truth(c) + confusion.predicted(c) == 0) continue;
    const PrecisionRecall one = precision_recall(confusion, c);
    mean.precision += one.precision;
    mean.recall += one.recall;
    mean.f1 += one.f1;
    ++occurring;
  }
  const auto n = static_cast<double>(occurring);
  return {ratio(mean.precision, n), ratio(mean.recall, n), ratio(mean.f1, n)};
}

double matthews_correlation(const Confusion& confusion) {
  const auto n = static_cast<double>(confusion.rows());
  double right = 0, both = 0, predictions = 0, labels = 0;
  for (int64_t c = 0; c < confusion.classes; ++c) {
    const auto t = static_cast<double>(confusion.of_truth(c)), p = static_cast<double>(confusion.predicted(c));
    right += static_cast<double>(confusion.at(c, c));
    both += t * p;
    predictions += p * p;
    labels += t * t;
  }
  return correlation(right, n, both, predictions, labels);
}

double matthews_correlation(const Confusion& confusion, int64_t c) {
  const auto n = static_cast<double>(confusion.rows());
  const auto t = static_cast<double>(confusion.of_truth(c)), p = static_cast<double>(confusion.predicted(c));
  // Right are the rows that are c and called so, and those that are neither.
  const double right = n - t - p + 2 * static_cast<double>(confusion.at(c, c));
  const double other_t = n - t, other_p = n - p;
  return correlation(right, n, t * p + other_t * other_p, p * p + other_p * other_p, t * t + other_t * other_t);
}

}  // namespace strand
