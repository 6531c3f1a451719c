#include "ops/residual/residual.h"

#include "ops/core/element.h"
#include "ops/residual/residual_backends.h"

namespace strand {

void residual_add(const OpContext& context, ConstMatrix y, Matrix x) {
  check_matrix("y", y);
  check_shape("x", x, y.rows, y.cols);
  check_dtype("x", x, DType::kF32);
  switch (context.backend) {
    case Backend::kReference: return reference::residual_add(context, y, x);
    case Backend::kCpu: return cpu::residual_add(context, y, x);
  }
}

}  // namespace strand
