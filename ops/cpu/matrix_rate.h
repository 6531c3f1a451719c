// What matrix products of this machine reach: the denominator of flops_utilization.
#pragma once

#include "ops/core/context.h"
#include "ops/core/dtype.h"

namespace strand {

// FLOP/s (2 m n k over time) of the best of several large products C = A B^T of this dtype on the context's threads.
// Takes about 0.3 s.
double measure_matrix_rate(const OpContext& context, DType dtype);

}  // namespace strand
