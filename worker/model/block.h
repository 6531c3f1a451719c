// One pre-norm transformer block: x_mid = x_in + attention(norm(x_in)); x_out = x_mid + mlp(norm(x_mid)).
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/buffer.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"

namespace strand {

// The rows of one forward. Everything random about row i is keyed by row_numbers[i].
struct MicroBatch {
  int64_t rows = 0, segment = 0;
  const int32_t* ids = nullptr;          // [rows * segment]
  const int32_t* targets = nullptr;      // [rows * segment]; kIgnoredTarget where nothing is predicted
  const int64_t* row_numbers = nullptr;  // [rows]
  const int32_t* lengths = nullptr;      // [rows]; read by bidirectional attention only
  int64_t tokens() const { return rows * segment; }
};

// What backward needs of a block's forward. T = rows x segment tokens; "a" is the activations' type.
struct BlockActivations {
  Buffer attention_normed, qkv, attended;  // a [T, d], [T, 3d] (q and k rotated), [T, d]
  Buffer log_sum_exp;                      // fp32 [rows * heads * segment]
  Buffer x_mid;                            // fp32 [T, d]
  Buffer mlp_normed, up, activated;        // a [T, d], [T, 2m] or [T, m], [T, m]
  NormStatistics attention_statistics, mlp_statistics;
};
BlockActivations make_block_activations(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment);

// Scratch that all blocks share.
struct BlockScratch {
  Buffer branch;                // a [T, d]: a branch's output; in backward its gradient
  Buffer d_normed, d_attended;  // a [T, d]
  Buffer d_qkv;                 // a [T, 3d]
  Buffer d_up, d_activated;     // as up and activated
};
BlockScratch make_block_scratch(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment);

// What a block computes with.
struct BlockContext {
  const OpContext& ops;
  const TransformerConfig& config;
  const BlockSlots& slots;
  const Weights& weights;
  const MicroBatch& batch;
  int64_t layer = 0;
  double dropout = 0;  // 0 when evaluating
  uint64_t seed = 0;
};

void block_forward(const BlockContext& block, ConstMatrix x_in, Matrix x_out, BlockActivations& saved,
                   BlockScratch& scratch);
// d_x: in, the gradient of x_out; out, the gradient of x_in. Adds to the gradients of the block's parameters.
void block_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                    const BlockActivations& saved, BlockScratch& scratch);

// Dropout of one residual branch (0 attention, 1 MLP) of a layer; forward and backward alike.
void residual_dropout(const BlockContext& block, int branch, Matrix x);

}  // namespace strand
