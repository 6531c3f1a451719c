// The two branches of a block, from their input (normed or not) to their output: attention and MLP.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/model/block.h"

namespace strand {

// Slopes of ALiBi (Press et al., 2022) for any number of heads, as the authors' code and DNABERT-2 have them: with n
// the largest power of two up to `heads`, 2^(-8 i / n) for i = 1 .. n, then every second one of those for 2n heads.
std::vector<float> alibi_slopes(int64_t heads);

// input, branch: a [T, d].
void attention_branch_forward(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved);
void mlp_branch_forward(const BlockContext& block, ConstMatrix input, Matrix branch, BlockActivations& saved);
// d_branch: the gradient of the branch's output; that of its input is left in scratch.d_input, that of qkv (rotated
// back) or up in scratch.d_qkv or scratch.d_up. Add to the gradients of the branch's parameters, unless null: then
// *_branch_weights does it.
void attention_branch_backward(const BlockContext& block, const Gradients* gradients, ConstMatrix input,
                               ConstMatrix d_branch, const BlockActivations& saved, BlockScratch& scratch);
void mlp_branch_backward(const BlockContext& block, const Gradients* gradients, ConstMatrix input, ConstMatrix d_branch,
                         const BlockActivations& saved, BlockScratch& scratch);
void attention_branch_weights(const BlockContext& block, const Gradients& gradients, ConstMatrix input,
                              ConstMatrix d_branch, ConstMatrix attended, ConstMatrix d_qkv);
void mlp_branch_weights(const BlockContext& block, const Gradients& gradients, ConstMatrix input, ConstMatrix d_branch,
                        ConstMatrix activated, ConstMatrix d_up);

// x_out = x + dropout(branch). index: 0 attention, 1 MLP.
void add_branch(const BlockContext& block, int index, ConstMatrix x, Matrix branch, Matrix x_out);
// The gradient of a branch's output from that of the sum: d_x itself where nothing changes it, unless `keep`; else in
// `to`.
ConstMatrix branch_gradient(const BlockContext& block, int index, ConstMatrix d_x, Matrix to, bool keep);

}  // namespace strand
