// One addition of the lane tree (DESIGN section 5, bf16 mode).
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

// into[i] += from[i], n elements. kBf16: both are first rounded to bf16 (to nearest, ties to even); the sum is fp32.
// The same bits for any cut of the elements into calls.
void add_gradients(const OpContext& context, const float* from, int64_t n, float* into, GradientDtype dtype);

}  // namespace strand
