// The model together with what it learns from: tokens of its own, or the labels of a task. Between the trainer, which
// knows rows, lanes and updates, and the model, this is the only place where pretraining and finetuning differ.
//
// It holds the whole model in one run of blocks, or the chunks of one stage of a pipeline (shared/plan/stage_cut.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/loss_sum.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/stage_cut.h"
#include "worker/model/heads/task_head.h"
#include "worker/model/layout.h"
#include "worker/model/transformer.h"

namespace strand {

class PreparedBatch;  // worker/trainer_impl.h

struct LearnerOptions {
  DType dtype = DType::kF32;
  std::vector<size_t> slots = {};  // of each chunk: micro batches in flight at a time; empty: one
  bool split_backward = false;     // TransformerOptions
};

// Which of a stage's chunks, and which of the chunk's slots holds the micro batch.
struct RunPlace {
  size_t chunk = 0, slot = 0;
};

// Holds activations and no parameters. Losses are sums over targets or labels, divided by nobody.
class Learner {
 public:
  // The whole model. `table`: job_parameter_table(spec).
  Learner(const JobSpec& spec, const std::vector<ParameterInfo>& table, DType dtype);
  // The chunks of a stage; `table`: its local_table.
  Learner(const JobSpec& spec, const std::vector<ModelRun>& chunks, const std::vector<ParameterInfo>& table,
          const LearnerOptions& options);

  // The whole model: forward and backward of one micro batch: its loss; adds to the gradients. A loss that is not
  // finite is returned as it is, with gradients that are worth nothing.
  LossSum learn(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                const Gradients& gradients);
  // Forward only, without dropout. A task's head also leaves its logits, fp32 [rows, outputs] or, for labels of tokens,
  // [rows * segment, outputs], when *logits is asked for.
  LossSum measure(const OpContext& context, const Weights& weights, const PreparedBatch& batch,
                  std::vector<float>* logits);

  // One run at a time, as a schedule has it; Transformer says what input, output and gradient are and when they live.
  // `batch` is the same in all calls for a micro batch; ids are read by the model's first run, targets and labels by
  // its last one.
  Matrix input(RunPlace at, int64_t tokens) { return chunks_[at.chunk].input(at.slot, tokens); }
  // `needed` and what is returned: as Transformer::forward.
  bool forward(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at, Mode mode,
               const PartNeeded* needed = nullptr);
  // After forward, until the slot's next one; not of the model's last run.
  ConstMatrix output(RunPlace at) const;
  // The gradient of the run's output, to be filled before backward of any but the last run; after backward that of its
  // input. One for all chunks.
  Matrix gradient(int64_t tokens) const { return chunks_.front().d_stream(tokens); }
  // Of the model's last run, before its backward: the loss, and the gradients of the head and of the final norm.
  LossSum start_backward(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                         const Gradients& gradients);
  // Of the run's blocks and embeddings. `done` may be null.
  void backward(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                const Gradients& gradients, const PartDone* done = nullptr);
  // Whether backward leaves anything to backward_weight.
  bool defers_weights() const { return chunks_.front().defers_weights(); }
  void backward_weight(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
                       const Gradients& gradients, const PartDone* done = nullptr);
  // In place of start_backward, of the model's last run: as measure().
  LossSum loss(const OpContext& context, const Weights& weights, const PreparedBatch& batch, RunPlace at,
               std::vector<float>* logits);

  // When all lanes are summed, once: what two uses of one parameter have collected apart, where both are here.
  void fold(const OpContext& context, const Gradients& sum) const { chunks_.back().fold_tied(context, sum); }

  // Transformer::reserve_slots.
  void reserve_slots(size_t chunk, size_t slots) { chunks_[chunk].reserve_slots(slots); }
  const ModelRun& run(size_t chunk) const { return chunks_[chunk].run(); }

  int64_t gradient_elements() const;  // Stage::gradient_elements
  // The head of a task; null when pretraining.
  const HeadSpec* head() const { return spec_ ? &*spec_ : nullptr; }

 private:
  std::optional<HeadSpec> spec_;
  std::vector<Transformer> chunks_;
  std::optional<TaskHead> head_;  // where the last run is
  Buffer d_hidden_;               // of the activations' type [T, d], with head_ only
};

}  // namespace strand
