#include <algorithm>
#include <cmath>

#include "ops/core/element.h"
#include "ops/cross_entropy/cross_entropy_backends.h"

namespace strand::reference {

CrossEntropySum cross_entropy(const OpContext&, Matrix logits, const int32_t* targets, bool want_gradient,
                              float* row_loss) {
  CrossEntropySum sum;
  for (int64_t r = 0; r < logits.rows; ++r) {
    const bool counted = targets[r] != kIgnoredTarget;
    double loss = 0;
    if (counted) {
      double largest = element(logits, r, 0);
      for (int64_t c = 1; c < logits.cols; ++c) largest = std::max(largest, element(logits, r, c));
      double total = 0;
      for (int64_t c = 0; c < logits.cols; ++c) total += std::exp(element(logits, r, c) - largest);
      loss = std::log(total) + largest - element(logits, r, targets[r]);
      for (int64_t c = 0; want_gradient && c < logits.cols; ++c) {
        const double p = std::exp(element(logits, r, c) - largest) / total;
        set_element(logits, r, c, c == targets[r] ? p - 1 : p);
      }
      sum.loss += loss;
      ++sum.targets;
    } else if (want_gradient) {
      for (int64_t c = 0; c < logits.cols; ++c) set_element(logits, r, c, 0);
    }
    if (row_loss != nullptr) row_loss[r] = static_cast<float>(loss);
  }
  return sum;
}

}  // namespace strand::reference
