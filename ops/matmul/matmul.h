// C = op(A) op(B) [+ bias] [+ C]: the matrix product of every linear layer.
#pragma once

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

struct MatmulArgs {
  ConstMatrix a;  // [m, k], or [k, m] when transpose_a
  ConstMatrix b;  // [k, n], or [n, k] when transpose_b
  Matrix c;       // [m, n]
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;      // C += ... ; C must be fp32
  const float* bias = nullptr;  // [n], added to every row; not with accumulate
};

// a and b have one dtype (fp32 or bf16); c is fp32, or bf16 when a and b are. Products are accumulated in fp32
// (double in the reference). Bits depend on shapes only, never on threads.
// Forward of a linear layer: y = x W^T (transpose_b); input gradient: dx = dy W; weight gradient: dW += dy^T x.
void matmul(const OpContext& context, const MatmulArgs& args);

}  // namespace strand
