// Softmax cross entropy of next-token or masked-token prediction, in nats, summed (not averaged) over targets.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/loss_sum.h"
#include "ops/core/matrix.h"

namespace strand {

constexpr int32_t kIgnoredTarget = -100;

// The sum over counted rows of -log softmax(logits)[target]; targets: rows whose target is not kIgnoredTarget.
using CrossEntropySum = LossSum;

// logits fp32 [rows, V]; targets [rows]. With `want_gradient` the logits are overwritten by softmax - onehot (zero rows
// where ignored), not divided by anything, so that logits never exist twice. row_loss (fp32 [rows], may be null): the
// loss of each row, 0 where ignored.
CrossEntropySum cross_entropy(const OpContext& context, Matrix logits, const int32_t* targets, bool want_gradient,
                              float* row_loss);

}  // namespace strand
