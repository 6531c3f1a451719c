#include "worker/learner.h"

#include <cmath>

#include "worker/trainer_impl.h"

namespace strand {
namespace {

std::optional<HeadSpec> head_spec(const JobSpec& spec) {
  if (spec.job.kind != "finetune") return std::nullopt;
  return head_of(spec.task, spec.model.config.causal);
}

}  // namespace

Learner::Learner(const JobSpec& spec, const std::vector<ParameterInfo>& table, DType dtype)
    : spec_(head_spec(spec)),
      model_(spec.model.config, table,
             {.dtype = dtype,
              .rows = spec.train.micro_batch,
              .segment = spec.data.segment,
              .seed = spec.train.seed,
              .token_head = !spec_.has_value()}) {
  if (!spec_) return;
  const TaskHeadOptions options{
      .dtype = dtype, .rows = spec.train.micro_batch, .segment = spec.data.segment, .seed = spec.train.seed};
  head_.emplace(*spec_, spec.model.config, table, options);
  d_hidden_ = Buffer(dtype, spec.train.micro_batch * spec.data.segment, spec.model.config.hidden);
}

LossSum Learner::learn(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                       const Gradients& gradients) {
  const MicroBatch rows = batch.view();
  model_.forward(context, weights, rows, Mode::kTrain);
  if (!head_) {
    const LossSum loss = model_.loss(context, weights, rows, &gradients);
    if (std::isfinite(loss.loss)) model_.backward(context, weights, rows, gradients);
    return loss;
  }
  const HeadBatch labelled = batch.head_view();
  head_->forward(context, weights, labelled, model_.hidden(), Mode::kTrain);
  const LossSum loss = head_->loss(context, labelled, /*want_gradient=*/true);
  if (!std::isfinite(loss.loss)) return loss;
  const Matrix d_hidden = d_hidden_.view(rows.tokens());
  head_->backward(context, weights, labelled, model_.hidden(), gradients, d_hidden);
  model_.backward_from_hidden(context, weights, rows, d_hidden, gradients);
  return loss;
}

LossSum Learner::measure(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                         std::vector<float>* logits) {
  const MicroBatch rows = batch.view();
  model_.forward(context, weights, rows, Mode::kEvaluate);
  if (!head_) return model_.loss(context, weights, rows, nullptr);
  const HeadBatch labelled = batch.head_view();
  head_->forward(context, weights, labelled, model_.hidden(), Mode::kEvaluate);
  if (logits != nullptr) {
    const ConstMatrix out = head_->logits();
    logits->assign(out.f32(), out.f32() + out.rows * out.cols);
  }
  return head_->loss(context, labelled, /*want_gradient=*/false);
}

}  // namespace strand
