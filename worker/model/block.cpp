#include "worker/model/block.h"

#include <utility>

#include "ops/residual/residual.h"
#include "worker/model/branches.h"

namespace strand {

BlockActivations make_block_activations(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment) {
  const int64_t tokens = rows * segment, d = config.hidden;
  BlockActivations saved;
  if (config.norm_placement == NormPlacement::kPre) {
    saved.attention_normed = Buffer(dtype, tokens, d);
    saved.mlp_normed = Buffer(dtype, tokens, d);
  } else {
    saved.attention_input = Rounded(dtype, tokens, d);
    saved.mlp_input = Rounded(dtype, tokens, d);
    saved.attention_sum = Buffer(DType::kF32, tokens, d);
    saved.mlp_sum = Buffer(DType::kF32, tokens, d);
  }
  saved.qkv = Buffer(dtype, tokens, 3 * d);
  saved.attended = Buffer(dtype, tokens, d);
  saved.log_sum_exp = Buffer(DType::kF32, tokens * config.heads, 1);
  saved.x_mid = Buffer(DType::kF32, tokens, d);
  saved.up = Buffer(dtype, tokens, config.mlp_up_rows());
  saved.activated = Buffer(dtype, tokens, config.mlp_hidden);
  saved.attention_statistics = make_norm_statistics(tokens);
  saved.mlp_statistics = make_norm_statistics(tokens);
  return saved;
}

BlockScratch make_block_scratch(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment) {
  const int64_t tokens = rows * segment, d = config.hidden;
  BlockScratch scratch;
  scratch.branch = Buffer(dtype, tokens, d);
  scratch.d_input = Buffer(dtype, tokens, d);
  scratch.d_attended = Buffer(dtype, tokens, d);
  scratch.d_qkv = Buffer(dtype, tokens, 3 * d);
  scratch.d_up = Buffer(dtype, tokens, config.mlp_up_rows());
  scratch.d_activated = Buffer(dtype, tokens, config.mlp_hidden);
  if (config.norm_placement == NormPlacement::kPost) scratch.d_sum = Buffer(DType::kF32, tokens, d);
  return scratch;
}

BlockDeferred make_block_deferred(const TransformerConfig& config, DType dtype, int64_t rows, int64_t segment) {
  const int64_t tokens = rows * segment;
  return {config.attention ? Buffer(dtype, tokens, config.hidden) : Buffer(), Buffer(dtype, tokens, config.hidden)};
}

static void attend(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved) {
  if (block.attend != nullptr) return (*block.attend)(block, input, branch, saved);
  attention_branch_forward(block, input, branch, saved);
}

static void pre_norm_forward(const BlockContext& block, ConstMatrix x_in, Matrix x_out, BlockActivations& saved,
                             BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens();
  const Matrix branch = scratch.branch.view(tokens), x_mid = saved.x_mid.view(tokens);
  if (block.config.attention) {
    const Matrix normed = saved.attention_normed.view(tokens);
    norm_forward(block.ops, block.config, block.weights, block.slots.attention_norm, x_in, normed,
                 saved.attention_statistics);
    attend(block, normed, branch, saved);
    add_branch(block, 0, x_in, branch, x_mid);
  } else {
    copy(block.ops, x_in, x_mid);
  }
  const Matrix normed = saved.mlp_normed.view(tokens);
  norm_forward(block.ops, block.config, block.weights, block.slots.mlp_norm, x_mid, normed, saved.mlp_statistics);
  mlp_branch_forward(block, normed, branch, saved);
  add_branch(block, 1, x_mid, branch, x_out);
}

// What a branch reads: the normed stream, or the stream itself with norms behind the additions.
static ConstMatrix attention_input(const BlockContext& block, ConstMatrix x_in, const BlockActivations& saved) {
  const bool pre = block.config.norm_placement == NormPlacement::kPre;
  return pre ? ConstMatrix(saved.attention_normed.view(x_in.rows)) : saved.attention_input.kept(x_in);
}
static ConstMatrix mlp_input(const BlockContext& block, const BlockActivations& saved) {
  const int64_t tokens = block.batch.tokens();
  const bool pre = block.config.norm_placement == NormPlacement::kPre;
  return pre ? ConstMatrix(saved.mlp_normed.view(tokens)) : saved.mlp_input.kept(saved.x_mid.view(tokens));
}

// From the gradient of a branch's sum, d_sum, to that of its input, in scratch.d_input.
static void through_attention(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in,
                              ConstMatrix d_sum, BlockActivations& saved, BlockScratch& scratch,
                              BlockDeferred* deferred) {
  const Buffer& kept = deferred != nullptr ? deferred->d_attention : scratch.branch;
  const ConstMatrix d_branch = branch_gradient(block, 0, d_sum, kept.view(d_sum.rows), deferred != nullptr);
  attention_branch_backward(block, deferred != nullptr ? nullptr : &gradients, attention_input(block, x_in, saved),
                            d_branch, saved, scratch);
  if (deferred != nullptr) std::swap(saved.qkv, scratch.d_qkv);
}

static void through_mlp(const BlockContext& block, const Gradients& gradients, ConstMatrix d_sum,
                        BlockActivations& saved, BlockScratch& scratch, BlockDeferred* deferred) {
  const Buffer& kept = deferred != nullptr ? deferred->d_mlp : scratch.branch;
  const ConstMatrix d_branch = branch_gradient(block, 1, d_sum, kept.view(d_sum.rows), deferred != nullptr);
  mlp_branch_backward(block, deferred != nullptr ? nullptr : &gradients, mlp_input(block, saved), d_branch, saved,
                      scratch);
  if (deferred != nullptr) std::swap(saved.up, scratch.d_up);
}

static void pre_norm_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                              BlockActivations& saved, BlockScratch& scratch, BlockDeferred* deferred) {
  const int64_t tokens = block.batch.tokens();
  const Matrix d_input = scratch.d_input.view(tokens);
  through_mlp(block, gradients, d_x, saved, scratch, deferred);
  norm_backward(block.ops, block.config, block.weights, gradients, block.slots.mlp_norm, d_input,
                saved.x_mid.view(tokens), saved.mlp_statistics, d_x);
  if (!block.config.attention) return;
  through_attention(block, gradients, x_in, d_x, saved, scratch, deferred);
  norm_backward(block.ops, block.config, block.weights, gradients, block.slots.attention_norm, d_input, x_in,
                saved.attention_statistics, d_x);
}

static void post_norm_forward(const BlockContext& block, ConstMatrix x_in, Matrix x_out, BlockActivations& saved,
                              BlockScratch& scratch) {
  const int64_t tokens = block.batch.tokens();
  const Matrix branch = scratch.branch.view(tokens), x_mid = saved.x_mid.view(tokens);
  if (block.config.attention) {
    const Matrix sum = saved.attention_sum.view(tokens);
    attend(block, saved.attention_input.round(block.ops, x_in), branch, saved);
    add_branch(block, 0, x_in, branch, sum);
    norm_forward(block.ops, block.config, block.weights, block.slots.attention_norm, sum, x_mid,
                 saved.attention_statistics);
  } else {
    copy(block.ops, x_in, x_mid);
  }
  const Matrix sum = saved.mlp_sum.view(tokens);
  mlp_branch_forward(block, saved.mlp_input.round(block.ops, x_mid), branch, saved);
  add_branch(block, 1, x_mid, branch, sum);
  norm_forward(block.ops, block.config, block.weights, block.slots.mlp_norm, sum, x_out, saved.mlp_statistics);
}

// d_to = the gradient through a norm whose input was `sum`.
static void through_norm(const BlockContext& block, const Gradients& gradients, const AffineSlots& slots,
                         ConstMatrix d_from, ConstMatrix sum, const NormStatistics& statistics, Matrix d_to) {
  fill_zero(block.ops, d_to.f32(), d_to.rows * d_to.cols);
  norm_backward(block.ops, block.config, block.weights, gradients, slots, d_from, sum, statistics, d_to);
}

static void post_norm_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                               BlockActivations& saved, BlockScratch& scratch, BlockDeferred* deferred) {
  const int64_t tokens = block.batch.tokens();
  const Matrix d_input = scratch.d_input.view(tokens);
  const Matrix d_mid = scratch.d_sum.view(tokens);
  through_norm(block, gradients, block.slots.mlp_norm, d_x, saved.mlp_sum.view(tokens), saved.mlp_statistics, d_mid);
  through_mlp(block, gradients, d_mid, saved, scratch, deferred);
  residual_add(block.ops, d_input, d_mid);
  if (!block.config.attention) return copy(block.ops, d_mid, d_x);
  through_norm(block, gradients, block.slots.attention_norm, d_mid, saved.attention_sum.view(tokens),
               saved.attention_statistics, d_x);
  through_attention(block, gradients, x_in, d_x, saved, scratch, deferred);
  residual_add(block.ops, d_input, d_x);
}

void block_forward(const BlockContext& block, ConstMatrix x_in, Matrix x_out, BlockActivations& saved,
                   BlockScratch& scratch) {
  const bool pre = block.config.norm_placement == NormPlacement::kPre;
  (pre ? pre_norm_forward : post_norm_forward)(block, x_in, x_out, saved, scratch);
}

void block_backward(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in, Matrix d_x,
                    BlockActivations& saved, BlockScratch& scratch, BlockDeferred* deferred) {
  const bool pre = block.config.norm_placement == NormPlacement::kPre;
  (pre ? pre_norm_backward : post_norm_backward)(block, gradients, x_in, d_x, saved, scratch, deferred);
}

void block_backward_weight(const BlockContext& block, const Gradients& gradients, ConstMatrix x_in,
                           const BlockActivations& saved, const BlockDeferred& deferred) {
  const int64_t tokens = block.batch.tokens();
  mlp_branch_weights(block, gradients, mlp_input(block, saved), deferred.d_mlp.view(tokens),
                     saved.activated.view(tokens), saved.up.view(tokens));
  if (!block.config.attention) return;
  attention_branch_weights(block, gradients, attention_input(block, x_in, saved), deferred.d_attention.view(tokens),
                           saved.attended.view(tokens), saved.qkv.view(tokens));
}

}  // namespace strand
