// The implementations pooling.cpp chooses from. Arguments are as in pooling.h and already checked.
#pragma once

#include "ops/pooling/pooling.h"

namespace strand {

// Matrix rows [first, first + count) take part in the pooling of a row. CLS and last are the mean of one token.
struct PooledTokens {
  int64_t first = 0;
  int64_t count = 0;
};

inline PooledTokens pooled_tokens(const PoolingShape& shape, int64_t row) {
  const int64_t begin = shape.begin == nullptr ? 0 : shape.begin[row];
  const int64_t end = shape.end == nullptr ? shape.segment : shape.end[row];
  const int64_t base = row * shape.segment;
  if (end <= begin) return {base, 0};
  switch (shape.kind) {
    case PoolingKind::kCls: return {base, 1};
    case PoolingKind::kLast: return {base + end - 1, 1};
    case PoolingKind::kMean:
    case PoolingKind::kMax: break;
  }
  return {base + begin, end - begin};
}

namespace reference {
void pooling_forward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, Matrix pooled);
void pooling_backward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, ConstMatrix d_pooled,
                      Matrix d_hidden);
}  // namespace reference
namespace cpu {
constexpr int64_t kTileColumns = 256;  // of one task
void pooling_forward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, Matrix pooled);
void pooling_backward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, ConstMatrix d_pooled,
                      Matrix d_hidden);
}  // namespace cpu

}  // namespace strand
