// The rows of a loss in parallel, then their sum in order: for bce and mse.
#pragma once

#include "ops/core/loss_sum.h"
#include "ops/core/matrix.h"
#include "ops/cpu/chunks.h"

namespace strand::cpu {

// rows(predictions, labels, sums): the loss of each of these rows into sums[row].
template <class Rows>
LossSum label_loss(const OpContext& context, Matrix predictions, ConstMatrix labels, const Rows& rows) {
  auto* sums =
      static_cast<LossSum*>(context.workspace->scratch(0, static_cast<size_t>(predictions.rows) * sizeof(LossSum)));
  for_chunks(context, predictions.rows, rows_per_task(predictions.cols), [&](int64_t first, int64_t count, int64_t) {
    rows(predictions.row_range(first, count), labels.row_range(first, count), sums + first);
  });
  LossSum total;
  for (int64_t r = 0; r < predictions.rows; ++r) {
    total.loss += sums[r].loss;
    total.targets += sums[r].targets;
  }
  return total;
}

}  // namespace strand::cpu
