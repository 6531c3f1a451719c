// The implementations cross_entropy.cpp chooses from. Arguments are as in cross_entropy.h and already checked.
#pragma once

#include "ops/cross_entropy/cross_entropy.h"

namespace strand::reference {
CrossEntropySum cross_entropy(const OpContext& context, Matrix logits, const int32_t* targets, bool want_gradient,
                              float* row_loss);
}  // namespace strand::reference

namespace strand::cpu {
CrossEntropySum cross_entropy(const OpContext& context, Matrix logits, const int32_t* targets, bool want_gradient,
                              float* row_loss);
}  // namespace strand::cpu
