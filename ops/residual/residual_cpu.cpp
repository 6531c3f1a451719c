// The first version calls the reference.
#include "ops/residual/residual_backends.h"

namespace strand::cpu {

void residual_add(const OpContext& context, ConstMatrix y, Matrix x) {
  return reference::residual_add(context, y, x);
}

}  // namespace strand::cpu
