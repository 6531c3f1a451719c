// What the losses of a matrix of predictions against a matrix of labels (bce, mse) have in common outside vector code:
// argument checks and reference loop.
#pragma once

#include <cmath>

#include "ops/core/element.h"
#include "ops/core/loss_sum.h"

namespace strand {

// allowed(label): whether a label that is not NaN may be one.
template <class Allowed>
void check_label_loss(ConstMatrix predictions, ConstMatrix labels, const Allowed& allowed) {
  check_matrix("predictions", predictions);
  check_dtype("predictions", predictions, DType::kF32);
  check_shape("labels", labels, predictions.rows, predictions.cols);
  check_dtype("labels", labels, DType::kF32);
  for (int64_t r = 0; r < labels.rows; ++r) {
    for (int64_t c = 0; c < labels.cols; ++c) {
      const float label = labels.f32()[r * labels.stride + c];
      STRAND_CHECK(std::isnan(label) || allowed(label), "label ", label, " of row ", r, ", column ", c);
    }
  }
}

namespace reference {

// loss and derivative: of (prediction, label), in double.
template <class Loss, class Derivative>
LossSum label_loss(Matrix predictions, ConstMatrix labels, bool want_gradient, const Loss& loss,
                   const Derivative& derivative) {
  LossSum sum;
  for (int64_t r = 0; r < predictions.rows; ++r) {
    for (int64_t c = 0; c < predictions.cols; ++c) {
      const double label = element(labels, r, c);
      const double x = element(predictions, r, c);
      const bool counted = !std::isnan(label);
      if (counted) {
        sum.loss += loss(x, label);
        ++sum.targets;
      }
      if (want_gradient) set_element(predictions, r, c, counted ? derivative(x, label) : 0);
    }
  }
  return sum;
}

}  // namespace reference
}  // namespace strand
