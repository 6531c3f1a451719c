// The implementations residual.cpp chooses from. Arguments are as in residual.h and already checked.
#pragma once

#include "ops/residual/residual.h"

namespace strand::reference {
void residual_add(const OpContext& context, ConstMatrix y, Matrix x);
}  // namespace strand::reference

namespace strand::cpu {
void residual_add(const OpContext& context, ConstMatrix y, Matrix x);
}  // namespace strand::cpu
