// The implementations rms_norm.cpp chooses from. Arguments are as in rms_norm.h and already checked.
#pragma once

#include "ops/rms_norm/rms_norm.h"

namespace strand::reference {
void rms_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd);
void rms_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd,
                       Matrix d_x, float* d_weight);
}  // namespace strand::reference

namespace strand::cpu {
void rms_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd);
void rms_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd,
                       Matrix d_x, float* d_weight);
}  // namespace strand::cpu
