// The implementations activation.cpp chooses from. Arguments are as in activation.h and already checked.
#pragma once

#include "ops/activation/activation.h"

namespace strand::reference {
void activation_forward(const OpContext& context, Activation f, ConstMatrix x, Matrix y);
void activation_backward(const OpContext& context, Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x);
}  // namespace strand::reference

namespace strand::cpu {
void activation_forward(const OpContext& context, Activation f, ConstMatrix x, Matrix y);
void activation_backward(const OpContext& context, Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x);
}  // namespace strand::cpu
