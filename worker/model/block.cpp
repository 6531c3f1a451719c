#include "worker/model/block.h"

#include <cmath>

#include "ops/activation/activation.h"
#include "ops/attention/attention.h"
#include "ops/cast/cast.h"
#include "ops/dropout/dropout.h"
#include "ops/residual/residual.h"
#include "ops/rope/rope.h"
#include "ops/swiglu/swiglu.h"

namespace strand {
namespace {

AttentionShape attention_shape(const BlockContext& block) {
  AttentionShape shape;
  shape.batch = block.batch.rows;
  shape.sequence = block.batch.segment;
  shape.heads = block.config.heads;
  shape.head_size = block.config.head_size();
  shape.causal = block.config.causal;
  shape.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_size));
  // Padding stands at the end of a row, where a causal query never looks.
  shape.lengths = block.config.causal ? nullptr : block.batch.lengths;
  return shape;
}

// Rotates the q and k parts of [T, 3d].
void rotate(const BlockContext& block, Matrix qkv, bool inverse) {
  if (block.config.positions != PositionKind::kRope) return;
  const int64_t d = block.config.hidden;
  for (int64_t part = 0; part < 2; ++part) {
    rope(block.ops, qkv.columns(part * d, d), block.batch.segment, block.config.heads, block.config.head_size(),
         block.config.rope_theta, inverse);
  }
}

Activation activation_of(MlpKind kind) {
  return kind == MlpKind::kGelu ? Activation::kGelu : Activation::kRelu;
}

// x_out = x + dropout(branch).
void add_branch(const BlockContext& block, int index, ConstMatrix x, Matrix branch, Matrix x_out) {
  residual_dropout(block, index, branch);
  copy(block.ops, x, x_out);
  residual_add(block.ops, branch, x_out);
}

// The gradient of a branch's output: d_x itself where nothing changes it, else a copy in scratch.
ConstMatrix branch_gradient(const BlockContext& block, int index, ConstMatrix d_x, Matrix scratch) {
  if (scratch.dtype == DType::kBF16) {
    cast(block.ops, d_x.f32(), d_x.rows * d_x.cols, scratch.bf16());
  } else if (block.dropout > 0) {
    copy(block.ops, d_x, scratch);
  } else {
    return d_x;
  }
  residual_dropout(block, index, scratch);
  return scratch;
}

void attention_branch_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                               const BlockActivations& saved, BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens(), d = block.config.hidden;
  const Matrix qkv = saved.qkv.view(tokens), d_qkv = scratch.d_qkv.view(tokens);
  const Matrix attended = saved.attended.view(tokens), d_attended = scratch.d_attended.view(tokens);
  const Matrix d_normed = scratch.d_normed.view(tokens);
  const ConstMatrix d_branch = branch_gradient(block, 0, d_x, scratch.branch.view(tokens));
  linear_backward(block.ops, block.weights, gradients, block.slots.out, attended, d_branch, d_attended);
  attention_backward(block.ops, attention_shape(block), qkv.columns(0, d), qkv.columns(d, d), qkv.columns(2 * d, d),
                     attended, saved.log_sum_exp.f32(), d_attended, d_qkv.columns(0, d), d_qkv.columns(d, d),
                     d_qkv.columns(2 * d, d));
  rotate(block, d_qkv, /*inverse=*/true);
  linear_backward(block.ops, block.weights, gradients, block.slots.qkv, saved.attention_normed.view(tokens), d_qkv,
                  d_normed);
  norm_backward(block.ops, block.config, block.weights, gradients, block.slots.attention_norm, d_normed, x_in,
                saved.attention_statistics, d_x);
}

void mlp_branch_backward(const BlockContext& block, const Gradients& gradients, Matrix d_x,
                         const BlockActivations& saved, BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens();
  const Matrix up = saved.up.view(tokens), d_up = scratch.d_up.view(tokens);
  const Matrix activated = saved.activated.view(tokens), d_activated = scratch.d_activated.view(tokens);
  const Matrix d_normed = scratch.d_normed.view(tokens);
  const ConstMatrix d_branch = branch_gradient(block, 1, d_x, scratch.branch.view(tokens));
  linear_backward(block.ops, block.weights, gradients, block.slots.down, activated, d_branch, d_activated);
  if (block.config.mlp == MlpKind::kSwiGlu) {
    swiglu_backward(block.ops, up, d_activated, d_up);
  } else {
    activation_backward(block.ops, activation_of(block.config.mlp), up, d_activated, d_up);
  }
  linear_backward(block.ops, block.weights, gradients, block.slots.up, saved.mlp_normed.view(tokens), d_up, d_normed);
  norm_backward(block.ops, block.config, block.weights, gradients, block.slots.mlp_norm, d_normed,
                saved.x_mid.view(tokens), saved.mlp_statistics, d_x);
}

}  // namespace

BlockActivations make_block_activations(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment) {
  const int64_t tokens = rows * segment, d = config.hidden, m = config.mlp_hidden;
  BlockActivations saved;
  saved.attention_normed = Buffer(dtype, tokens, d);
  saved.qkv = Buffer(dtype, tokens, 3 * d);
  saved.attended = Buffer(dtype, tokens, d);
  saved.log_sum_exp = Buffer(DType::kF32, tokens * config.heads, 1);
  saved.x_mid = Buffer(DType::kF32, tokens, d);
  saved.mlp_normed = Buffer(dtype, tokens, d);
  saved.up = Buffer(dtype, tokens, config.mlp == MlpKind::kSwiGlu ? 2 * m : m);
  saved.activated = Buffer(dtype, tokens, m);
  saved.attention_statistics = make_norm_statistics(tokens);
  saved.mlp_statistics = make_norm_statistics(tokens);
  return saved;
}

BlockScratch make_block_scratch(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment) {
  const int64_t tokens = rows * segment, d = config.hidden, m = config.mlp_hidden;
  BlockScratch scratch;
  scratch.branch = Buffer(dtype, tokens, d);
  scratch.d_normed = Buffer(dtype, tokens, d);
  scratch.d_attended = Buffer(dtype, tokens, d);
  scratch.d_qkv = Buffer(dtype, tokens, 3 * d);
  scratch.d_up = Buffer(dtype, tokens, config.mlp == MlpKind::kSwiGlu ? 2 * m : m);
  scratch.d_activated = Buffer(dtype, tokens, m);
  return scratch;
}

void residual_dropout(const BlockContext& block, int branch, Matrix x) {
  if (block.dropout <= 0) return;
  dropout(block.ops,
          {.probability = static_cast<float>(block.dropout),
           .key = philox_key(block.seed, Purpose::kResidualDropout),
           .row_numbers = block.batch.row_numbers,
           .sequence = block.batch.segment,
           .layer = static_cast<uint32_t>(2 * block.layer + branch)},
          x);
}

static void attention_branch_forward(const BlockContext& block, ConstMatrix x_in, Matrix branch,
                                     BlockActivations& saved) {
  const int64_t tokens = block.batch.tokens(), d = block.config.hidden;
  const Matrix qkv = saved.qkv.view(tokens), attended = saved.attended.view(tokens);
  const Matrix normed = saved.attention_normed.view(tokens);
  norm_forward(block.ops, block.config, block.weights, block.slots.attention_norm, x_in, normed,
               saved.attention_statistics);
  linear_forward(block.ops, block.weights, block.slots.qkv, normed, qkv);
  rotate(block, qkv, /*inverse=*/false);
  attention_forward(block.ops, attention_shape(block), qkv.columns(0, d), qkv.columns(d, d), qkv.columns(2 * d, d),
                    attended, saved.log_sum_exp.f32());
  linear_forward(block.ops, block.weights, block.slots.out, attended, branch);
}

void block_forward(const BlockContext& block, ConstMatrix x_in, Matrix x_out, BlockActivations& saved,
                   BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens();
  const Matrix branch = scratch.branch.view(tokens), x_mid = saved.x_mid.view(tokens);
  if (block.config.attention) {
    attention_branch_forward(block, x_in, branch, saved);
    add_branch(block, 0, x_in, branch, x_mid);
  } else {
    copy(block.ops, x_in, x_mid);
  }

  const Matrix up = saved.up.view(tokens), activated = saved.activated.view(tokens);
  const Matrix mlp_normed = saved.mlp_normed.view(tokens);
  norm_forward(block.ops, block.config, block.weights, block.slots.mlp_norm, x_mid, mlp_normed, saved.mlp_statistics);
  linear_forward(block.ops, block.weights, block.slots.up, mlp_normed, up);
  if (block.config.mlp == MlpKind::kSwiGlu) {
    swiglu_forward(block.ops, up, activated);
  } else {
    activation_forward(block.ops, activation_of(block.config.mlp), up, activated);
  }
  linear_forward(block.ops, block.weights, block.slots.down, activated, branch);
  add_branch(block, 1, x_mid, branch, x_out);
}

void block_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                    const BlockActivations& saved, BlockScratch& scratch) {
  mlp_branch_backward(block, gradients, d_x, saved, scratch);
  if (block.config.attention) attention_branch_backward(block, gradients, x_in, d_x, saved, scratch);
}

}  // namespace strand
