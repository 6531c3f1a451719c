// Loss over the held-out rows, in their order: each predicted token counts once.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "shared/job_spec/objective.h"
#include "worker/trainer_impl.h"

namespace strand {

Result<EvaluationResult> Trainer::evaluate(BatchSource& source, uint64_t rows,
                                           const std::function<void(uint64_t done)>& progress) {
  Impl& t = *impl_;
  EvaluationResult result;
  double nats = 0;
  for (uint64_t row = 0; row < rows;) {
    const uint64_t count = std::min(static_cast<uint64_t>(t.spec.train.micro_batch), rows - row);
    STRAND_ASSIGN(const MicroBatch batch, t.take_held_out(source, row, static_cast<int64_t>(count)));
    t.model.forward(t.context, t.weights(), batch, Mode::kEvaluate);
    const CrossEntropySum sum = t.model.loss(t.context, t.weights(), batch, nullptr);
    nats += sum.loss;
    result.tokens += sum.targets;
    for (const int32_t target : t.batch.targets()) {
      if (target != kIgnoredTarget) result.bases += t.token_bases[static_cast<size_t>(target)];
    }
    row += count;
    if (progress) progress(row);
  }
  if (result.tokens > 0) result.loss = nats / static_cast<double>(result.tokens);
  if (result.bases > 0) result.bits_per_base = nats / (std::numbers::ln2 * static_cast<double>(result.bases));
  if (masked_objective(t.spec)) result.bits_per_base = std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace strand
