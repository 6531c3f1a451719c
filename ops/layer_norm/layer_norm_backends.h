// The implementations layer_norm.cpp chooses from. Arguments are as in layer_norm.h and already checked.
#pragma once

#include "ops/layer_norm/layer_norm.h"

namespace strand::reference {
void layer_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, const float* bias, float eps,
                        Matrix y, float* mean, float* rstd);
void layer_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight,
                         const float* mean, const float* rstd, Matrix d_x, float* d_weight, float* d_bias);
}  // namespace strand::reference

namespace strand::cpu {
void layer_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, const float* bias, float eps,
                        Matrix y, float* mean, float* rstd);
void layer_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight,
                         const float* mean, const float* rstd, Matrix d_x, float* d_weight, float* d_bias);
}  // namespace strand::cpu
