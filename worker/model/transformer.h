// One configured transformer with an explicit forward and backward: embeddings, blocks, final norm, head, loss. The
// whole model, or a run of its blocks as one stage of a pipeline has it: any cut gives the bits of the whole.
// Holds activations and no parameters. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ops/core/context.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/stage_cut.h"
#include "worker/model/block.h"
#include "worker/model/head.h"
#include "worker/model/input.h"
#include "worker/model/layout.h"

namespace strand {

// What the chunks of a stage can share: memory that is in use within a call only, and d_stream().
struct TransformerScratch {
  BlockScratch block;
  BlockActivations recomputed;  // with recompute only
  Buffer d_stream;              // fp32 [T, d]
};

struct TransformerOptions {
  DType dtype = DType::kF32;  // of matrix inputs and stored activations
  int64_t rows = 1;           // largest micro batch
  int64_t segment = 1;        // tokens a row
  uint64_t seed = 0;          // of dropout
  // Rows of logits that exist at a time; 0: by shape, so that they take at most 16 MiB (one chunk for a small
  // vocabulary).
  int64_t head_rows = 0;
  bool token_head = true;            // false: no logits over the vocabulary; another head reads hidden()
  std::optional<ModelRun> run = {};  // the blocks it has; none: all
  size_t slots = 1;                  // micro batches between their forward and the end of their backward at a time
  // Keeps the input of each block only; its forward runs again in the backward pass, with the same random numbers.
  bool recompute = false;
  // backward leaves the gradients of the blocks' linear layers to backward_weight. With recompute, which keeps nothing
  // for later, backward adds them at once all the same, and backward_weight has nothing to do.
  bool split_backward = false;
  // Of another one with the same config, dtype, rows and segment; null: its own.
  std::shared_ptr<TransformerScratch> scratch = nullptr;
};

enum class Mode { kTrain, kEvaluate };

// Called as soon as a micro batch adds nothing more to the gradients of a part of the model (model_part).
using PartDone = std::function<void(int64_t part)>;
// Called before a forward reads the first weight of a part, in rising part; returns when they can be read, or false:
// they will not come, and the forward is to be given up.
using PartNeeded = std::function<bool(int64_t part)>;

// Gradients and loss are sums over target tokens, divided by nobody here. Micro batches name the slot that keeps their
// activations (MicroBatch::slot): between forward and backward of one, others may go through their own slots. Each
// parameter is added to by loss, by backward or by backward_weight alone, so that its bits depend on the order of micro
// batches in each of them and on nothing else.
class Transformer {
 public:
  // `table`: where the parameters lie; of a run, its stage's local one (local_table).
  Transformer(const TransformerConfig& config, const std::vector<ParameterInfo>& table,
              const TransformerOptions& options);

  // Of a run without embeddings: fp32 [tokens, d], to be filled before forward with hidden(first block) of the run
  // before: its bits, not converted. Read again in backward.
  Matrix input(size_t slot, int64_t tokens);
  // Through all blocks and the final norm. Dropout only when training. `needed` may be null; it is asked for the output
  // part before the final norm, for what loss reads too. False when it said so: nothing of the slot is of use then.
  bool forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, Mode mode,
               const PartNeeded* needed = nullptr);

  // After forward: loss of the batch. With a gradient buffer also starts the backward pass, adding to the gradients of
  // the head and of the final norm.
  CrossEntropySum loss(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                       const Gradients* gradients);
  // Once after loss with the same gradients, no other micro batch's loss or backward between the two: adds to the
  // gradients of blocks and embeddings. Of a run without a head: once after d_stream() was filled. `done` may be null;
  // loss does not call it.
  void backward(const OpContext& context, const Weights& weights, const MicroBatch& batch, const Gradients& gradients,
                const PartDone* done = nullptr);
  // After backward, any time before the slot's next forward. Nothing unless defers_weights().
  void backward_weight(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                       const Gradients& gradients, const PartDone* done = nullptr);
  // fp32 [tokens, d]. Before backward the gradient of the last block's output, which loss leaves here and a run without
  // a head takes from the run behind; after backward, until the next loss or backward, of input(): what the run before
  // takes.
  Matrix d_stream(int64_t tokens) const { return scratch_->d_stream.view(tokens); }

  // After forward: logits fp32 [tokens, V] of the batch, for comparison with other programs.
  void logits(const OpContext& context, const Weights& weights, const MicroBatch& batch, Matrix out);
  // After forward, until the slot's next one: the final hidden states [tokens, d], of the activations' type: what the
  // head reads, behind the final norm where there is one. Rows of padding hold whatever came of them.
  ConstMatrix hidden(const MicroBatch& batch) const { return final_hidden(batch.slot); }
  ConstMatrix hidden() const { return final_hidden(0); }
  // The same, fp32 [tokens, d]: the input of block `layer` of the model; behind the run's last block, its output: of
  // the whole model before the final norm, of another run what the next one's input() takes.
  ConstMatrix hidden(int64_t layer, size_t slot = 0) const;
  // After forward, in place of loss: starts the backward pass from d_hidden, the gradient of hidden() [tokens, d], fp32
  // or of the activations' type. Rows of padding must be zero. Adds to the gradients of the final norm.
  void start_backward(const OpContext& context, const Weights& weights, const MicroBatch& batch, ConstMatrix d_hidden,
                      const Gradients& gradients);
  // That and backward.
  void backward_from_hidden(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                            ConstMatrix d_hidden, const Gradients& gradients);
  // Whether backward leaves anything to backward_weight.
  bool defers_weights() const { return options_.split_backward && !options_.recompute; }
  // At least so many slots. Those that are there keep what they hold.
  void reserve_slots(size_t slots);

  // Tied, of a run with the head in the stage that owns the embedding: adds the output use's gradient to the input
  // use's, once, when all lanes are summed. Else nothing.
  void fold_tied(const OpContext& context, const Gradients& gradients) const;

  const ModelLayout& layout() const { return layout_; }
  const ModelRun& run() const { return run_; }
  const std::shared_ptr<TransformerScratch>& scratch() const { return scratch_; }

 private:
  // What backward needs of one micro batch's forward.
  struct Slot {
    int64_t tokens = 0;                    // of the forward at hand
    double dropout = 0;                    // likewise
    std::vector<Buffer> stream;            // fp32 [T, d]: the input of each block, and the last block's output
    std::vector<BlockActivations> blocks;  // without recompute
    std::vector<BlockDeferred> deferred;   // with split_backward
    NormStatistics final_statistics;
    Buffer final_normed;    // a [T, d], with a final norm
    Rounded final_rounded;  // without one
  };
  Slot make_slot() const;
  Slot& slot_of(const MicroBatch& batch);
  ConstMatrix final_hidden(size_t slot) const;
  // `block` counts in the run.
  BlockContext block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                             size_t block) const;
  void block_forward_at(const OpContext& context, const Weights& weights, const MicroBatch& batch, size_t block);

  TransformerConfig config_;
  TransformerOptions options_;
  ModelRun run_;
  ModelLayout layout_;
  std::optional<InputEmbedding> input_;  // of the first run
  std::optional<TokenHead> head_;        // of the last run, with token_head only
  std::vector<Slot> slots_;
  std::shared_ptr<TransformerScratch> scratch_;
  std::vector<float> alibi_slopes_;
  Buffer d_hidden_;  // a [T, d], with a token head
  Buffer logits_;    // fp32 [head_rows, V], with a token head
};

}  // namespace strand
