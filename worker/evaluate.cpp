// A fixed set through the model, in the order of its rows: the loss over held-out tokens, each predicted once, or what
// a task's head says of every row.
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
    STRAND_TRY(t.take_fixed(source, RowSet::kHeldOut, row, static_cast<int64_t>(count)));
    const LossSum sum = t.learner.measure(t.context, t.weights(), t.batch, nullptr);
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

// Appends the rows of one micro batch. Labels of tokens: the tokens that have one.
static void append(const PreparedBatch& batch, const HeadSpec& head, const std::vector<float>& logits,
                   Predictions* all) {
  if (head.task != TaskKind::kClassifyTokens) {
    all->logits.insert(all->logits.end(), logits.begin(), logits.end());
    all->classes.insert(all->classes.end(), batch.classes().begin(), batch.classes().end());
    all->values.insert(all->values.end(), batch.values().begin(), batch.values().end());
    return;
  }
  for (size_t token = 0; token < batch.classes().size(); ++token) {
    if (batch.classes()[token] == kIgnoredTarget) continue;
    const auto first = logits.begin() + static_cast<int64_t>(token) * head.outputs;
    all->logits.insert(all->logits.end(), first, first + head.outputs);
    all->classes.push_back(batch.classes()[token]);
  }
}

Result<Predictions> Trainer::predict(BatchSource& source, RowSet set, uint64_t rows,
                                     const std::function<void(uint64_t done)>& progress) {
  Impl& t = *impl_;
  const HeadSpec* head = t.learner.head();
  if (head == nullptr) return internal_error("predict: a pretraining job has no task");
  Predictions result;
  result.outputs = head->outputs;
  double sum = 0;
  std::vector<float> logits;
  for (uint64_t row = 0; row < rows;) {
    const uint64_t count = std::min(static_cast<uint64_t>(t.spec.train.micro_batch), rows - row);
    STRAND_TRY(t.take_fixed(source, set, row, static_cast<int64_t>(count)));
    const LossSum loss = t.learner.measure(t.context, t.weights(), t.batch, &logits);
    sum += loss.loss;
    result.labels += loss.targets;
    append(t.batch, *head, logits, &result);
    row += count;
    if (progress) progress(row);
  }
  result.loss = result.labels > 0 ? sum / static_cast<double>(result.labels) : std::numeric_limits<double>::quiet_NaN();
  return result;
}

}  // namespace strand
