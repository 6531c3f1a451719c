// Scaled dot-product attention, in blocks with online softmax (Dao et al., 2022): memory linear in sequence length.
//   out = softmax(scale * q k^T + bias + mask) v, per row of the batch and head.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

struct AttentionShape {
  int64_t batch = 0;
  int64_t sequence = 0;
  int64_t heads = 0;
  int64_t head_size = 0;  // any, also odd
  bool causal = true;
  float scale = 0;  // usually 1 / sqrt(head_size)
  // [batch]: keys at positions >= lengths[b] are masked; null = all real. Output rows of queries with no visible
  // key are zero, and so are their gradients.
  const int32_t* lengths = nullptr;
  // [heads]: ALiBi (Press et al., 2022), bias[i, j] = -slopes[head] * |i - j| for query i and key j, causal or not;
  // null = no bias. Constants of the model: they take no gradient.
  const float* slopes = nullptr;
};

// q, k, v, out: [batch * sequence, heads * head_size], fp32 or bf16 (all the same dtype). softmax and accumulation
// fp32. lse: fp32 [batch * heads * sequence], log-sum-exp of each query's scores (bias included), kept for the
// backward pass (-infinity where no key is visible).
void attention_forward(const OpContext& context, const AttentionShape& shape, ConstMatrix q, ConstMatrix k,
                       ConstMatrix v, Matrix out, float* lse);
// d_q, d_k, d_v are overwritten; same dtype as q.
void attention_backward(const OpContext& context, const AttentionShape& shape, ConstMatrix q, ConstMatrix k,
                        ConstMatrix v, ConstMatrix out, const float* lse, ConstMatrix d_out, Matrix d_q, Matrix d_k,
                        Matrix d_v);

}  // namespace strand
