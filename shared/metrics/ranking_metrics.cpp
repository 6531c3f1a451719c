// Metrics of rankings: rows by falling score, equal scores as one group.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "shared/base/check.h"
#include "shared/metrics/prediction_metrics.h"

namespace strand {
namespace {

// Calls group(positives, negatives) for each distinct score, largest first.
template <class Group>
void for_each_score(std::span<const uint8_t> truth, std::span<const double> scores, Group group) {
  STRAND_CHECK(truth.size() == scores.size(), truth.size(), " labels, ", scores.size(), " scores");
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (size_t first = 0, next = 0; first < order.size(); first = next) {
    int64_t positives = 0;
    for (next = first; next < order.size() && scores[order[next]] == scores[order[first]]; ++next) {
      positives += truth[order[next]] != 0;
    }
    group(positives, static_cast<int64_t>(next - first) - positives);
  }
}

int64_t count_positives(std::span<const uint8_t> truth) {
  return std::count_if(truth.begin(), truth.end(), [](uint8_t label) { return label != 0; });
}

}  // namespace

double roc_auc(std::span<const uint8_t> truth, std::span<const double> scores) {
  const int64_t positives = count_positives(truth), negatives = static_cast<int64_t>(truth.size()) - positives;
  if (positives == 0 || negatives == 0) return kNoMetric;
  // Twice the number of (positive, negative) pairs in the right order, a tie counting as half a pair.
  int64_t twice_right = 0, above = 0;
  for_each_score(truth, scores, [&](int64_t p, int64_t n) {
    twice_right += n * (2 * above + p);
    above += p;
  });
  return static_cast<double>(twice_right) / 2 / static_cast<double>(positives) / static_cast<double>(negatives);
}

double average_precision(std::span<const uint8_t> truth, std::span<const double> scores) {
  const int64_t positives = count_positives(truth);
  if (positives == 0) return 0;
  double sum = 0;
  int64_t right = 0, taken = 0;
  for_each_score(truth, scores, [&](int64_t p, int64_t n) {
    right += p;
    taken += p + n;
    sum += static_cast<double>(p) * (static_cast<double>(right) / static_cast<double>(taken));
  });
  return sum / static_cast<double>(positives);
}

std::vector<double> softmax_rows(std::span<const float> logits, int64_t classes) {
  STRAND_CHECK(classes > 0 && logits.size() % static_cast<size_t>(classes) == 0, logits.size(), " logits for ", classes,
               " classes");
  const auto width = static_cast<size_t>(classes);
  std::vector<double> probabilities(logits.begin(), logits.end()), sorted(width);
  for (size_t first = 0; first < probabilities.size(); first += width) {
    const std::span<double> row(probabilities.data() + first, width);
    const double largest = *std::max_element(row.begin(), row.end());
    for (double& value : row) value = std::exp(value - largest);
    // In rising order, so that the sum does not depend on which class has which value.
    std::copy(row.begin(), row.end(), sorted.begin());
    std::sort(sorted.begin(), sorted.end());
    const double sum = std::accumulate(sorted.begin(), sorted.end(), 0.0);
    for (double& value : row) value /= sum;
  }
  return probabilities;
}

}  // namespace strand
