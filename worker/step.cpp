// The training step. One update of the weights from G = lanes x micro batches x rows of the run.
#include <cmath>

#include "worker/params/schedules.h"
#include "worker/trainer_impl.h"

namespace strand {

static Error not_finite(Step step, int64_t lane, int64_t micro, double loss) {
  return bad_input(concat("step ", step, ", lane ", lane, ", micro batch ", micro, ": the loss is ", loss,
                          "; nothing of this step was applied. Lower train.learning_rate or lengthen train.warmup"));
}

Result<StepResult> Trainer::step(BatchSource& source) {
  Impl& t = *impl_;
  const TrainSpec& train = t.spec.train;
  const Step step = t.shard.version() + 1;
  uint64_t row = next_row();
  LossSum total;
  StepResult result;

  t.lanes.reset();
  for (int64_t lane = 0; lane < train.lanes; ++lane) {
    const Gradients gradients{t.lanes.open_lane(t.context)};
    for (int64_t micro = 0; micro < train.micro_batches_per_lane; ++micro) {
      STRAND_TRY(t.take(source, row, train.micro_batch, &result.data_wait_nanoseconds));
      const LossSum loss = t.learner.learn(t.context, t.weights(), t.batch, gradients);
      if (!std::isfinite(loss.loss)) return not_finite(step, lane, micro, loss.loss);
      total.loss += loss.loss;
      total.targets += loss.targets;
      result.audit += t.batch.audit();
      result.tokens += t.learner.head() != nullptr ? t.batch.real_tokens() : loss.targets;
      row += static_cast<uint64_t>(train.micro_batch);
    }
    t.lanes.close_lane(t.context, lane);
  }
  if (total.targets == 0) return bad_input(concat("step ", step, ": its rows hold nothing to predict"));

  const Gradients sum{t.lanes.subtrees().front().sum->f32()};
  t.learner.fold(t.context, sum);
  t.shard.push({0, t.shard.elements()}, sum.f32);
  const double squared_norm = t.shard.squared_norm(t.context);
  if (!std::isfinite(squared_norm)) {
    return bad_input(concat("step ", step,
                            ": the gradient is not finite; nothing of this step was applied. Lower "
                            "train.learning_rate or lengthen train.warmup"));
  }
  result.learning_rate = learning_rate(train, step);
  t.shard.commit(t.context, squared_norm, total.targets, result.learning_rate);

  result.step = t.shard.version();
  result.loss = total.loss / static_cast<double>(total.targets);
  result.gradient_norm = std::sqrt(squared_norm) / static_cast<double>(total.targets);
  return result;
}

}  // namespace strand
