#include "ops/cross_entropy/cross_entropy.h"

#include "ops/core/element.h"
#include "ops/cross_entropy/cross_entropy_backends.h"

namespace strand {

CrossEntropySum cross_entropy(const OpContext& context, Matrix logits, const int32_t* targets, bool want_gradient,
                              float* row_loss) {
  check_matrix("logits", logits);
  check_dtype("logits", logits, DType::kF32);
  for (int64_t r = 0; r < logits.rows; ++r) {
    STRAND_CHECK(targets[r] == kIgnoredTarget || (targets[r] >= 0 && targets[r] < logits.cols), "target ", targets[r],
                 " of row ", r, ", vocabulary ", logits.cols);
  }
  if (context.backend == Backend::kReference) {
    return reference::cross_entropy(context, logits, targets, want_gradient, row_loss);
  }
  return cpu::cross_entropy(context, logits, targets, want_gradient, row_loss);
}

}  // namespace strand
