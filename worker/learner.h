// The model together with what it learns from: tokens of its own, or the labels of a task. Between the trainer, which
// knows rows, lanes and updates, and the model, this is the only place where pretraining and finetuning differ.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/loss_sum.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/model/heads/task_head.h"
#include "worker/model/layout.h"
#include "worker/model/transformer.h"

namespace strand {

class PreparedBatch;  // worker/trainer_impl.h

// Holds activations of one micro batch and no parameters. Losses are sums over targets or labels, divided by nobody.
class Learner {
 public:
  // `table`: job_parameter_table(spec).
  Learner(const JobSpec& spec, const std::vector<ParameterInfo>& table, DType dtype);

  // Forward and backward of one micro batch: its loss; adds to the gradients. A loss that is not finite is returned as
  // it is, with gradients that are worth nothing.
  LossSum learn(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                const Gradients& gradients);
  // Forward only, without dropout. A task's head also leaves its logits, fp32 [rows, outputs] or, for labels of tokens,
  // [rows * segment, outputs], when *logits is asked for.
  LossSum measure(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                  std::vector<float>* logits);
  // When all lanes are summed, once: what two uses of one parameter have collected apart.
  void fold(const OpContext& context, const Gradients& sum) const { model_.fold_tied(context, sum); }

  int64_t gradient_elements() const { return model_.layout().gradients; }
  // The head of a task; null when pretraining.
  const HeadSpec* head() const { return spec_ ? &*spec_ : nullptr; }

 private:
  std::optional<HeadSpec> spec_;
  Transformer model_;
  std::optional<TaskHead> head_;
  Buffer d_hidden_;  // of the activations' type [T, d], of a task only
};

}  // namespace strand
