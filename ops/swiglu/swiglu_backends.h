// The implementations swiglu.cpp chooses from. Arguments are as in swiglu.h and already checked.
#pragma once

#include "ops/swiglu/swiglu.h"

namespace strand::reference {
void swiglu_forward(const OpContext& context, ConstMatrix x, Matrix y);
void swiglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x);
}  // namespace strand::reference

namespace strand::cpu {
void swiglu_forward(const OpContext& context, ConstMatrix x, Matrix y);
void swiglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x);
}  // namespace strand::cpu
