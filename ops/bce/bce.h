// Binary cross entropy of logits against labels, each label by itself (multi-label classification), in nats, summed:
//   loss(x, t) = -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)).
#pragma once

#include "ops/core/context.h"
#include "ops/core/loss_sum.h"
#include "ops/core/matrix.h"

namespace strand {

// logits fp32 [rows, labels]; labels fp32 of the same shape, in [0, 1], NaN where nothing is counted. With
// `want_gradient` the logits are overwritten by sigmoid(x) - t (0 where not counted), divided by nobody. `targets` of
// the result is the number of labels counted. Huge logits give finite losses; a logit that is not finite reaches the
// loss.
LossSum bce(const OpContext& context, Matrix logits, ConstMatrix labels, bool want_gradient);

}  // namespace strand
