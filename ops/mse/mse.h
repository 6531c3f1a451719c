// Squared error of predictions against labels (regression), summed: loss(x, t) = (x - t)^2.
#pragma once

#include "ops/core/context.h"
#include "ops/core/loss_sum.h"
#include "ops/core/matrix.h"

namespace strand {

// predictions fp32 [rows, outputs]; labels fp32 of the same shape, NaN where nothing is counted. With `want_gradient`
// the predictions are overwritten by 2 (x - t) (0 where not counted), divided by nobody. `targets` of the result is the
// number of labels counted; loss / targets is the mean squared error.
LossSum mse(const OpContext& context, Matrix predictions, ConstMatrix labels, bool want_gradient);

}  // namespace strand
