#include "ops/swiglu/swiglu.h"

#include "ops/core/element.h"
#include "ops/swiglu/swiglu_backends.h"

namespace strand {

void swiglu_forward(const OpContext& context, ConstMatrix x, Matrix y) {
  check_matrix("y", y);
  check_shape("x", x, y.rows, 2 * y.cols);
  check_dtype("y", y, x.dtype);
  switch (context.backend) {
    case Backend::kReference: return reference::swiglu_forward(context, x, y);
    case Backend::kCpu: return cpu::swiglu_forward(context, x, y);
  }
}

void swiglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  check_matrix("d_y", d_y);
  check_shape("x", x, d_y.rows, 2 * d_y.cols);
  check_shape("d_x", d_x, x.rows, x.cols);
  check_dtype("d_y", d_y, x.dtype);
  check_dtype("d_x", d_x, x.dtype);
  switch (context.backend) {
    case Backend::kReference: return reference::swiglu_backward(context, x, d_y, d_x);
    case Backend::kCpu: return cpu::swiglu_backward(context, x, d_y, d_x);
  }
}

}  // namespace strand
