// Reductions with an order fixed by shape alone.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

constexpr int64_t kBlockElements = 65536;  // DESIGN section 5, Ranges: blocks start anew at each tensor

// out[c] += sum over rows of x[:, c] (fp32 or bf16 in, fp32 out), in fixed 256-row chunks added in order: bias
// gradients.
void sum_rows(const OpContext& context, ConstMatrix x, float* out);
// partial[i] = sum of squares, in double, of block i of x; n elements, ceil(n / kBlockElements) partials.
void sum_squares_by_block(const OpContext& context, const float* x, int64_t n, double* partial);
// into[i] += from[i]: adding lanes and gradients.
void add(const OpContext& context, const float* from, int64_t n, float* into);

}  // namespace strand
