// GEGLU (Shazeer, 2020) with the exact GELU: x = [linear | gate] along columns, as swiglu stores it; y = gelu(gate) *
// linear.
#pragma once

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// x [rows, 2h] fp32 or bf16; y [rows, h] of the same dtype. Arithmetic in fp32.
void geglu_forward(const OpContext& context, ConstMatrix x, Matrix y);
// d_x is overwritten; d_y, d_x of x's dtype.
void geglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x);

}  // namespace strand
