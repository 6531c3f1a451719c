// The implementations bce.cpp chooses from. Arguments are as in bce.h and already checked.
#pragma once

#include "ops/bce/bce.h"

namespace strand::reference {
LossSum bce(const OpContext& context, Matrix logits, ConstMatrix labels, bool want_gradient);
}  // namespace strand::reference

namespace strand::cpu {
LossSum bce(const OpContext& context, Matrix logits, ConstMatrix labels, bool want_gradient);
}  // namespace strand::cpu
