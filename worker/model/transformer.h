// One configured transformer with an explicit forward and backward: embeddings, blocks, final norm, head, loss.
// Holds activations of one micro batch and no parameters. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ops/core/context.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/model/block.h"
#include "worker/model/head.h"
#include "worker/model/input.h"
#include "worker/model/layout.h"

namespace strand {

struct TransformerOptions {
  DType dtype = DType::kF32;  // of matrix inputs and stored activations
  int64_t rows = 1;           // largest micro batch
  int64_t segment = 1;        // tokens a row
  uint64_t seed = 0;          // of dropout
  // Rows of logits that exist at a time; 0: by shape, so that they take at most 16 MiB (one chunk for a small
  // vocabulary).
  int64_t head_rows = 0;
  bool token_head = true;  // false: no logits over the vocabulary; another head reads hidden()
};

enum class Mode { kTrain, kEvaluate };

// Gradients and loss are sums over target tokens, divided by nobody here.
class Transformer {
 public:
  Transformer(const TransformerConfig& config, const std::vector<ParameterInfo>& table,
              const TransformerOptions& options);

  // Through all blocks and the final norm. Dropout only when training.
  void forward(const OpContext& context, const Weights& weights, const MicroBatch& batch, Mode mode);

  // After forward: loss of the batch. With a gradient buffer also starts the backward pass, adding to the gradients of
  // the head and of the final norm.
  CrossEntropySum loss(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                       const Gradients* gradients);
  // After loss with the same gradients: adds to the gradients of blocks and embeddings.
  void backward(const OpContext& context, const Weights& weights, const MicroBatch& batch, const Gradients& gradients);
  // After forward: logits fp32 [tokens, V] of the batch, for comparison with other programs.
  void logits(const OpContext& context, const Weights& weights, const MicroBatch& batch, Matrix out);

  // After forward, until the next one: the final hidden states [tokens, d], of the activations' type: what the head
  // reads, behind the final norm where there is one. Rows of padding hold whatever came of them.
  ConstMatrix hidden() const;
  // The same, fp32 [tokens, d]: the input of block `layer` in [0, layers); for `layers` the last block's output, before
  // the final norm.
  ConstMatrix hidden(int64_t layer) const;
  // After forward, in place of loss and backward: the whole backward pass from d_hidden, the gradient of hidden()
  // [tokens, d], fp32 or of the activations' type. Rows of padding must be zero. Adds to the gradients.
  void backward_from_hidden(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                            ConstMatrix d_hidden, const Gradients& gradients);

  // Tied: adds the output use's gradient to the input use's, once, when all lanes are summed. Else nothing.
  void fold_tied(const OpContext& context, const Gradients& gradients) const;

  const ModelLayout& layout() const { return layout_; }

 private:
  BlockContext block_context(const OpContext& context, const Weights& weights, const MicroBatch& batch,
                             int64_t layer) const;
  // From the gradient of hidden() to that of the last block's output, in d_stream_.
  void final_backward(const OpContext& context, const Weights& weights, ConstMatrix d_hidden,
                      const Gradients& gradients);

  TransformerConfig config_;
  TransformerOptions options_;
  ModelLayout layout_;
  InputEmbedding input_;
  std::optional<TokenHead> head_;  // with token_head only
  int64_t tokens_ = 0;             // of the forward at hand
  double dropout_ = 0;             // likewise
  std::vector<Buffer> stream_;     // fp32 [T, d]: the input of each block, and the last block's output
  std::vector<BlockActivations> blocks_;
  BlockScratch scratch_;
  std::vector<float> alibi_slopes_;
  NormStatistics final_statistics_;
  Buffer final_normed_;    // a [T, d], with a final norm
  Rounded final_rounded_;  // without one
  Buffer d_hidden_;        // a [T, d], with a token head
  Buffer d_stream_;        // fp32 [T, d]
  Buffer logits_;          // fp32 [head_rows, V], with a token head
};

}  // namespace strand
