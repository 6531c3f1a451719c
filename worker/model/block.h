// One transformer block, with its norms before the branches or after the additions:
//   pre:  x_mid = x_in + attention(norm(x_in));  x_out = x_mid + mlp(norm(x_mid))
//   post: x_mid = norm(x_in + attention(x_in));  x_out = norm(x_mid + mlp(x_mid))
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/buffer.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/micro_batch.h"

namespace strand {

// What backward needs of a block's forward. T = rows x segment tokens; "a" is the activations' type.
struct BlockActivations {
  Buffer attention_normed, mlp_normed;  // a [T, d]; pre only
  Rounded attention_input, mlp_input;   // of x_in and x_mid; post only
  Buffer attention_sum, mlp_sum;        // fp32 [T, d], before the norms; post only
  Buffer qkv, attended;                 // a [T, 3d] (q and k rotated), [T, d]
  Buffer log_sum_exp;                   // fp32 [rows * heads * segment]
  Buffer x_mid;                         // fp32 [T, d]
  Buffer up, activated;                 // a [T, 2m] or [T, m], [T, m]
  NormStatistics attention_statistics, mlp_statistics;
};
BlockActivations make_block_activations(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment);

// Scratch that all blocks share.
struct BlockScratch {
  Buffer branch;               // a [T, d]: a branch's output; in backward its gradient
  Buffer d_input, d_attended;  // a [T, d]
  Buffer d_qkv;                // a [T, 3d]
  Buffer d_up, d_activated;    // as up and activated
  Buffer d_sum;                // fp32 [T, d]; post only
};
BlockScratch make_block_scratch(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment);

struct BlockContext;
// An attention branch: from its input [T, d], of the activations' type, to its output in `branch`.
using Attend =
    std::function<void(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& activations)>;

// Gradients of the branches' outputs, kept from block_backward to block_backward_weight.
struct BlockDeferred {
  Buffer d_attention, d_mlp;  // a [T, d]
};
BlockDeferred make_block_deferred(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment);

// What a block computes with.
struct BlockContext {
  const OpContext& ops;
  const TransformerConfig& config;
  const BlockSlots& slots;
  const Weights& weights;
  const MicroBatch& batch;
  const float* alibi_slopes = nullptr;  // [heads], or null: no bias
  int64_t layer = 0;
  double dropout = 0;  // 0 when evaluating
  uint64_t seed = 0;
  const Attend* attend = nullptr;  // in a forward, in place of attention_branch_forward: null, except over a cache
};

void block_forward(const BlockContext& block, ConstMatrix x_in, Matrix x_out, BlockActivations& saved,
                   BlockScratch& scratch);
// d_x: in, the gradient of x_out; out, the gradient of x_in. Adds to the gradients of the block's parameters; with
// `deferred` of its norms only, and the linear layers' wait for block_backward_weight. Then saved.qkv and saved.up end
// as what their gradients need, in exchange for scratch of the same size.
void block_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                    BlockActivations& saved, BlockScratch& scratch, BlockDeferred* deferred);
// After block_backward with the same `deferred`: adds to the gradients of the block's linear layers. Each of them is
// touched by one of the two functions only, so their order among micro batches decides the bits, not when they run.
void block_backward_weight(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in,
                           const BlockActivations& saved, const BlockDeferred& deferred);

}  // namespace strand
