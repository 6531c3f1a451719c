// Root-mean-square normalisation (Zhang and Sennrich, 2019): y = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + eps).
#pragma once

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// x fp32 [rows, d]; weight fp32 [d] or null; y fp32 or bf16; rstd fp32 [rows].
void rms_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd);
// d_x (fp32) += ...; d_weight (fp32 [d], may be null) += sums over rows in fixed 256-row chunks.
void rms_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd,
                       Matrix d_x, float* d_weight);

}  // namespace strand
