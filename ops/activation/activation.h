// Pointwise activations: GELU (exact, by erf; or the tanh approximation), ReLU and tanh.
#pragma once

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

enum class Activation { kGelu, kGeluTanh, kRelu, kTanh };

// y = f(x); x and y [rows, cols] of one dtype. Arithmetic in fp32.
void activation_forward(const OpContext& context, Activation f, ConstMatrix x, Matrix y);
// d_x = f'(x) * d_y, overwritten.
void activation_backward(const OpContext& context, Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x);

}  // namespace strand
