#include "worker/model/branches.h"

#include <bit>
#include <cmath>

#include "ops/activation/activation.h"
#include "ops/attention/attention.h"
#include "ops/cast/cast.h"
#include "ops/dropout/dropout.h"
#include "ops/geglu/geglu.h"
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
  shape.slopes = block.alibi_slopes;
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

void activate(const BlockContext& block, ConstMatrix up, Matrix activated) {
  switch (block.config.mlp) {
    case MlpKind::kSwiGlu: return swiglu_forward(block.ops, up, activated);
    case MlpKind::kGeGlu: return geglu_forward(block.ops, up, activated);
    case MlpKind::kGelu: return activation_forward(block.ops, Activation::kGelu, up, activated);
    case MlpKind::kRelu: return activation_forward(block.ops, Activation::kRelu, up, activated);
  }
}

void activate_backward(const BlockContext& block, ConstMatrix up, ConstMatrix d_activated, Matrix d_up) {
  switch (block.config.mlp) {
    case MlpKind::kSwiGlu: return swiglu_backward(block.ops, up, d_activated, d_up);
    case MlpKind::kGeGlu: return geglu_backward(block.ops, up, d_activated, d_up);
    case MlpKind::kGelu: return activation_backward(block.ops, Activation::kGelu, up, d_activated, d_up);
    case MlpKind::kRelu: return activation_backward(block.ops, Activation::kRelu, up, d_activated, d_up);
  }
}

// Of a branch's output, or of the MLP's inner activations; forward and backward alike.
void drop(const BlockContext& block, int branch, Matrix x) {
  if (block.dropout <= 0) return;
  dropout(block.ops,
          {.probability = static_cast<float>(block.dropout),
           .key = philox_key(block.seed, Purpose::kResidualDropout),
           .row_numbers = block.batch.row_numbers,
           .sequence = block.batch.segment,
           .layer = static_cast<uint32_t>(2 * block.layer + branch)},
          x);
}

bool drops_output(const BlockContext& block, int branch) {
  return block.dropout > 0 && !(branch == 1 && block.config.dropout_in_mlp);
}

}  // namespace

std::vector<float> alibi_slopes(int64_t heads) {
  const auto whole = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  const auto slope = [](int64_t i, int64_t n) {
    return static_cast<float>(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(n)));
  };
  std::vector<float> slopes;
  for (int64_t i = 1; i <= whole; ++i) slopes.push_back(slope(i, whole));
  for (int64_t i = 1; i <= heads - whole; ++i) slopes.push_back(slope(2 * i - 1, 2 * whole));
  return slopes;
}

void attention_branch_forward(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved) {
  const int64_t tokens = block.batch.tokens(), d = block.config.hidden;
  const Matrix qkv = saved.qkv.view(tokens), attended = saved.attended.view(tokens);
  linear_forward(block.ops, block.weights, block.slots.qkv, input, qkv);
  rotate(block, qkv, /*inverse=*/false);
  attention_forward(block.ops, attention_shape(block), qkv.columns(0, d), qkv.columns(d, d), qkv.columns(2 * d, d),
                    attended, saved.log_sum_exp.f32());
  linear_forward(block.ops, block.weights, block.slots.out, attended, branch);
}

void attention_branch_backward(const BlockContext& block, const Gradients* gradients, ConstMatrix input,
                               ConstMatrix d_branch, const BlockActivations& saved, BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens(), d = block.config.hidden;
  const Matrix qkv = saved.qkv.view(tokens), d_qkv = scratch.d_qkv.view(tokens);
  const Matrix attended = saved.attended.view(tokens), d_attended = scratch.d_attended.view(tokens);
  if (gradients != nullptr) linear_backward_weight(block.ops, *gradients, block.slots.out, attended, d_branch);
  linear_backward_input(block.ops, block.weights, block.slots.out, d_branch, d_attended);
  attention_backward(block.ops, attention_shape(block), qkv.columns(0, d), qkv.columns(d, d), qkv.columns(2 * d, d),
                     attended, saved.log_sum_exp.f32(), d_attended, d_qkv.columns(0, d), d_qkv.columns(d, d),
                     d_qkv.columns(2 * d, d));
  rotate(block, d_qkv, /*inverse=*/true);
  if (gradients != nullptr) linear_backward_weight(block.ops, *gradients, block.slots.qkv, input, d_qkv);
  linear_backward_input(block.ops, block.weights, block.slots.qkv, d_qkv, scratch.d_input.view(tokens));
}

void attention_branch_weights(const BlockContext& block, const Gradients& gradients, ConstMatrix input,
                              ConstMatrix d_branch, ConstMatrix attended, ConstMatrix d_qkv) {
  linear_backward_weight(block.ops, gradients, block.slots.out, attended, d_branch);
  linear_backward_weight(block.ops, gradients, block.slots.qkv, input, d_qkv);
}

void mlp_branch_forward(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved) {
  const int64_t tokens = block.batch.tokens();
  const Matrix up = saved.up.view(tokens), activated = saved.activated.view(tokens);
  linear_forward(block.ops, block.weights, block.slots.up, input, up);
  activate(block, up, activated);
  if (block.config.dropout_in_mlp) drop(block, 1, activated);
  linear_forward(block.ops, block.weights, block.slots.down, activated, branch);
}

void mlp_branch_backward(const BlockContext& block, const Gradients* gradients, ConstMatrix input, ConstMatrix d_branch,
                         const BlockActivations& saved, BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens();
  const Matrix up = saved.up.view(tokens), d_up = scratch.d_up.view(tokens);
  const Matrix activated = saved.activated.view(tokens), d_activated = scratch.d_activated.view(tokens);
  if (gradients != nullptr) linear_backward_weight(block.ops, *gradients, block.slots.down, activated, d_branch);
  linear_backward_input(block.ops, block.weights, block.slots.down, d_branch, d_activated);
  if (block.config.dropout_in_mlp) drop(block, 1, d_activated);
  activate_backward(block, up, d_activated, d_up);
  if (gradients != nullptr) linear_backward_weight(block.ops, *gradients, block.slots.up, input, d_up);
  linear_backward_input(block.ops, block.weights, block.slots.up, d_up, scratch.d_input.view(tokens));
}

void mlp_branch_weights(const BlockContext& block, const Gradients& gradients, ConstMatrix input, ConstMatrix d_branch,
                        ConstMatrix activated, ConstMatrix d_up) {
  linear_backward_weight(block.ops, gradients, block.slots.down, activated, d_branch);
  linear_backward_weight(block.ops, gradients, block.slots.up, input, d_up);
}

void add_branch(const BlockContext& block, int index, ConstMatrix x, Matrix branch, Matrix x_out) {
  if (drops_output(block, index)) drop(block, index, branch);
  copy(block.ops, x, x_out);
  residual_add(block.ops, branch, x_out);
}

ConstMatrix branch_gradient(const BlockContext& block, int index, ConstMatrix d_x, Matrix to, bool keep) {
  const bool drops = drops_output(block, index);
  if (to.dtype == DType::kBF16) {
    cast(block.ops, d_x.f32(), d_x.rows * d_x.cols, to.bf16());
  } else if (drops || keep) {
    copy(block.ops, d_x, to);
  } else {
    return d_x;
  }
  if (drops) drop(block, index, to);
  return to;
}

}  // namespace strand
