// The implementations dropout.cpp chooses from. Arguments are as in dropout.h and already checked.
#pragma once

#include "ops/dropout/dropout.h"

namespace strand::reference {
void dropout(const OpContext& context, const DropoutArgs& args, Matrix x);
}  // namespace strand::reference

namespace strand::cpu {
void dropout(const OpContext& context, const DropoutArgs& args, Matrix x);
}  // namespace strand::cpu
