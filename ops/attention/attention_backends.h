// The implementations attention.cpp chooses from. Arguments are as in attention.h and already checked.
#pragma once

#include <algorithm>

#include "ops/attention/attention.h"

namespace strand {

struct AttentionForwardArgs {
  AttentionShape shape;
  ConstMatrix q, k, v;
  Matrix out;
  float* lse = nullptr;
};

struct AttentionBackwardArgs {
  AttentionShape shape;
  ConstMatrix q, k, v, out;
  const float* lse = nullptr;
  ConstMatrix d_out;
  Matrix d_q, d_k, d_v;
};

// Keys [0, count) of this batch row exist.
inline int64_t attention_keys(const AttentionShape& shape, int64_t batch_row) {
  if (shape.lengths == nullptr) return shape.sequence;
  return std::clamp<int64_t>(shape.lengths[batch_row], 0, shape.sequence);
}
// Keys [0, count) are visible to this query.
inline int64_t visible_keys(const AttentionShape& shape, int64_t batch_row, int64_t query) {
  const int64_t keys = attention_keys(shape, batch_row);
  return shape.causal ? std::min(keys, query + 1) : keys;
}

namespace reference {
void attention_forward(const OpContext& context, const AttentionForwardArgs& args);
void attention_backward(const OpContext& context, const AttentionBackwardArgs& args);
}  // namespace reference
namespace cpu {
void attention_forward(const OpContext& context, const AttentionForwardArgs& args);
void attention_backward(const OpContext& context, const AttentionBackwardArgs& args);
}  // namespace cpu

}  // namespace strand
