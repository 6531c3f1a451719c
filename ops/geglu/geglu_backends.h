// The implementations geglu.cpp chooses from. Arguments are as in geglu.h and already checked.
#pragma once

#include "ops/geglu/geglu.h"

namespace strand::reference {
void geglu_forward(const OpContext& context, ConstMatrix x, Matrix y);
void geglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x);
}  // namespace strand::reference

namespace strand::cpu {
void geglu_forward(const OpContext& context, ConstMatrix x, Matrix y);
void geglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x);
}  // namespace strand::cpu
