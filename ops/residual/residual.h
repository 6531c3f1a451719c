// Residual stream: x += y. x is fp32 always (DESIGN section 5, bf16 mode).
#pragma once

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// x fp32 [rows, d] += y (fp32 or bf16). Its gradient is a copy, so there is no backward op.
void residual_add(const OpContext& context, ConstMatrix y, Matrix x);

}  // namespace strand
