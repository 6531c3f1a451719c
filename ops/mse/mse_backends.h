// The implementations mse.cpp chooses from. Arguments are as in mse.h and already checked.
#pragma once

#include "ops/mse/mse.h"

namespace strand::reference {
LossSum mse(const OpContext& context, Matrix predictions, ConstMatrix labels, bool want_gradient);
}  // namespace strand::reference

namespace strand::cpu {
LossSum mse(const OpContext& context, Matrix predictions, ConstMatrix labels, bool want_gradient);
}  // namespace strand::cpu
