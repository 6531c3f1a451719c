// Conversions between fp32 and bf16, round to nearest even.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/dtype.h"

namespace strand {

void cast(const OpContext& context, const float* from, int64_t n, BFloat16* to);
void cast(const OpContext& context, const BFloat16* from, int64_t n, float* to);

}  // namespace strand
