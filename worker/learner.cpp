#include "worker/learner.h"

#include <algorithm>
#include <cmath>

#include "worker/trainer_impl.h"

namespace strand {
namespace {

std::optional<HeadSpec> head_spec(const JobSpec& spec) {
  if (spec.job.kind != "finetune") return std::nullopt;
  return head_of(spec.task, spec.model.config.causal);
}

MicroBatch rows_of(const PreparedBatch& batch, RunPlace at) {
  MicroBatch rows = batch.view();
  rows.slot = at.slot;
  return rows;
}

}  // namespace

Learner::Learner(const JobSpec& spec, const std::vector<ParameterInfo>& table, DType dtype)
    : Learner(spec, {whole_model(spec.model.config)}, table, {.dtype = dtype}) {}

Learner::Learner(const JobSpec& spec, const std::vector<ModelRun>& chunks, const std::vector<ParameterInfo>& table,
                 const LearnerOptions& options)
    : spec_(head_spec(spec)) {
  STRAND_CHECK(!chunks.empty() && (options.slots.empty() || options.slots.size() == chunks.size()), "chunks ",
               chunks.size(), " slots of ", options.slots.size());
  const int64_t rows = spec.train.micro_batch, segment = spec.data.segment;
  for (size_t c = 0; c < chunks.size(); ++c) {
    chunks_.emplace_back(spec.model.config, table,
                         TransformerOptions{.dtype = options.dtype,
                                            .rows = rows,
                                            .segment = segment,
                                            .seed = spec.train.seed,
                                            .token_head = !spec_.has_value(),
                                            .run = chunks[c],
                                            .slots = options.slots.empty() ? 1 : options.slots[c],
                                            .recompute = spec.parallel.recompute,
                                            .split_backward = options.split_backward,
                                            .scratch = c == 0 ? nullptr : chunks_.front().scratch()});
  }
  if (!spec_ || !chunks.back().has_output) return;
  head_.emplace(*spec_, spec.model.config, table,
                TaskHeadOptions{.dtype = options.dtype, .rows = rows, .segment = segment, .seed = spec.train.seed});
  d_hidden_ = Buffer(options.dtype, rows * segment, spec.model.config.hidden);
}

LossSum Learner::learn(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                       const Gradients& gradients) {
  forward(context, weights, batch, {}, Mode::kTrain);
  const LossSum loss = start_backward(context, weights, batch, {}, gradients);
  if (std::isfinite(loss.loss)) backward(context, weights, batch, {}, gradients);
  return loss;
}

LossSum Learner::measure(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                         std::vector<float>* logits) {
  forward(context, weights, batch, {}, Mode::kEvaluate);
  return loss(context, weights, batch, {}, logits);
}

bool Learner::forward(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                      Mode mode, const PartNeeded* needed) {
  return chunks_[at.chunk].forward(context, weights, rows_of(batch, at), mode, needed);
}

ConstMatrix Learner::output(RunPlace at) const {
  const Transformer& run = chunks_[at.chunk];
  return run.hidden(run.run().end_block(), at.slot);
}

LossSum Learner::start_backward(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                                RunPlace at, const Gradients& gradients) {
  Transformer& run = chunks_[at.chunk];
  const MicroBatch rows = rows_of(batch, at);
  if (!head_) return run.loss(context, weights, rows, &gradients);
  const HeadBatch labelled = batch.head_view();
  head_->forward(context, weights, labelled, run.hidden(rows), Mode::kTrain);
  const LossSum loss = head_->loss(context, labelled, /*want_gradient=*/true);
  const Matrix d_hidden = d_hidden_.view(rows.tokens());
  head_->backward(context, weights, labelled, run.hidden(rows), gradients, d_hidden);
  run.start_backward(context, weights, rows, d_hidden, gradients);
  return loss;
}

void Learner::backward(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                       const Gradients& gradients, const PartDone* done) {
  chunks_[at.chunk].backward(context, weights, rows_of(batch, at), gradients, done);
}

void Learner::backward_weight(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                              const Gradients& gradients, const PartDone* done) {
  chunks_[at.chunk].backward_weight(context, weights, rows_of(batch, at), gradients, done);
}

LossSum Learner::loss(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                      std::vector<float>* logits) {
  Transformer& run = chunks_[at.chunk];
  const MicroBatch rows = rows_of(batch, at);
  if (!head_) return run.loss(context, weights, rows, nullptr);
  const HeadBatch labelled = batch.head_view();
  head_->forward(context, weights, labelled, run.hidden(rows), Mode::kEvaluate);
  if (logits != nullptr) {
    const ConstMatrix out = head_->logits();
    logits->assign(out.f32(), out.f32() + out.rows * out.cols);
  }
  return head_->loss(context, labelled, /*want_gradient=*/false);
}

int64_t Learner::gradient_elements() const {
  int64_t most = 0;
  for (const Transformer& run : chunks_) most = std::max(most, run.layout().gradients);
  return most;
}

}  // namespace strand
