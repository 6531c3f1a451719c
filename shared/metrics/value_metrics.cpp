// Metrics of real values. Sums run in long double: scikit-learn's pairwise sums are that good on long inputs.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "shared/base/check.h"
#include "shared/metrics/prediction_metrics.h"

namespace strand {
namespace {

void check_sizes(std::span<const double> a, std::span<const double> b) {
  STRAND_CHECK(a.size() == b.size(), a.size(), " values against ", b.size());
}

bool constant(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [&](double value) { return value == values.front(); });
}

double mean(std::span<const double> values) {
  const long double sum = std::accumulate(values.begin(), values.end(), 0.0L);
  return static_cast<double>(sum / static_cast<long double>(values.size()));
}

// Mean of term(a_i - b_i).
template <class Term>
double mean_of_difference(std::span<const double> a, std::span<const double> b, Term term) {
  check_sizes(a, b);
  if (a.empty()) return kNoMetric;
  long double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += term(a[i] - b[i]);
  return static_cast<double>(sum / static_cast<long double>(a.size()));
}

}  // namespace

double pearson(std::span<const double> a, std::span<const double> b) {
  check_sizes(a, b);
  if (a.size() < 2 || constant(a) || constant(b)) return kNoMetric;
  const double mean_a = mean(a), mean_b = mean(b);
  long double products = 0, squares_a = 0, squares_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const long double x = a[i] - mean_a, y = b[i] - mean_b;
    products += x * y;
    squares_a += x * x;
    squares_b += y * y;
  }
  const auto r = static_cast<double>(products / (std::sqrt(squares_a) * std::sqrt(squares_b)));
  return std::clamp(r, -1.0, 1.0);
}

std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0, next = 0; first < order.size(); first = next) {
    for (next = first; next < order.size() && values[order[next]] == values[order[first]]; ++next) {
    }
    const double rank = static_cast<double>(first + 1 + next) / 2;  // the mean of first + 1 .. next
    for (size_t i = first; i < next; ++i) ranks[order[i]] = rank;
  }
  return ranks;
}

double spearman(std::span<const double> a, std::span<const double> b) {
  check_sizes(a, b);
  return pearson(average_ranks(a), average_ranks(b));
}

double r_squared(std::span<const double> truth, std::span<const double> predicted) {
  check_sizes(truth, predicted);
  if (truth.size() < 2) return kNoMetric;
  const double centre = mean(truth);
  long double residual = 0, total = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    const long double off = truth[i] - predicted[i], from_mean = truth[i] - centre;
    residual += off * off;
    total += from_mean * from_mean;
  }
  if (constant(truth)) return residual == 0 ? 1 : 0;
  return static_cast<double>(1 - residual / total);
}

double mean_absolute_error(std::span<const double> truth, std::span<const double> predicted) {
  return mean_of_difference(truth, predicted, [](long double off) { return std::abs(off); });
}

double mean_squared_error(std::span<const double> truth, std::span<const double> predicted) {
  return mean_of_difference(truth, predicted, [](long double off) { return off * off; });
}

}  // namespace strand
