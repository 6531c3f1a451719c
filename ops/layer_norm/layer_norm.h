// Layer normalisation over the last dimension, biased variance (Ba et al., 2016):
//   y = (x - mean) * rstd * weight + bias,  rstd = 1 / sqrt(var + eps)
#pragma once

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// x fp32 [rows, d]; weight and bias fp32 [d] or null (no affine); y fp32 or bf16 [rows, d]; mean and rstd fp32 [rows].
void layer_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, const float* bias, float eps,
                        Matrix y, float* mean, float* rstd);
// d_x (fp32) += gradient through the norm; d_weight, d_bias (fp32 [d], may be null) += sums over rows in fixed
// 256-row chunks. d_y fp32 or bf16.
void layer_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight,
                         const float* mean, const float* rstd, Matrix d_x, float* d_weight, float* d_bias);

}  // namespace strand
