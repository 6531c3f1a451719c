// The first version calls the reference.
#include "ops/swiglu/swiglu_backends.h"

namespace strand::cpu {

void swiglu_forward(const OpContext& context, ConstMatrix x, Matrix y) {
  return reference::swiglu_forward(context, x, y);
}

void swiglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  return reference::swiglu_backward(context, x, d_y, d_x);
}

}  // namespace strand::cpu
