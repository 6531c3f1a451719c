// Pooling: one vector for each row of the batch, from the vectors of its tokens.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

enum class PoolingKind {
  kCls,   // token 0, whatever `begin` says
  kMean,  // over tokens [begin, end)
  kMax,   // largest of tokens [begin, end), column by column
  kLast,  // token end - 1
};

// Tokens [begin, end) of a row are real. `end` alone holds the rows' lengths; both together leave special tokens out of
// mean and maximum. Null: 0 and `segment`. A row without tokens (end <= begin) pools to zero and takes no gradient.
struct PoolingShape {
  PoolingKind kind = PoolingKind::kMean;
  int64_t rows = 0;
  int64_t segment = 0;             // tokens a row, below 2^24
  const int32_t* begin = nullptr;  // [rows], in [0, segment]
  const int32_t* end = nullptr;    // [rows], in [0, segment]
};

// hidden [rows * segment, d], fp32 or bf16; pooled fp32 [rows, d]. Means are sums of 256 tokens in fp32, added in order
// in double. A NaN among the tokens of a column is its maximum.
void pooling_forward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, Matrix pooled);
// d_hidden, of hidden's dtype, += the gradient. The maximum's goes to the first token that has it; hidden is read for
// the maximum only.
void pooling_backward(const OpContext& context, const PoolingShape& shape, ConstMatrix hidden, ConstMatrix d_pooled,
                      Matrix d_hidden);

}  // namespace strand
