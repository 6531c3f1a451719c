#include "ops/core/gated.h"
#include "ops/core/gelu.h"
#include "ops/geglu/geglu_backends.h"

namespace strand::reference {

void geglu_forward(const OpContext&, ConstMatrix x, Matrix y) {
  gated_forward(x, y, gelu);
}

void geglu_backward(const OpContext&, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  gated_backward(x, d_y, d_x, gelu, gelu_derivative);
}

}  // namespace strand::reference
