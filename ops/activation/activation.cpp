#include "ops/activation/activation.h"

#include "ops/activation/activation_backends.h"
#include "ops/core/element.h"

namespace strand {

void activation_forward(const OpContext& context, Activation f, ConstMatrix x, Matrix y) {
  check_matrix("x", x);
  check_shape("y", y, x.rows, x.cols);
  check_dtype("y", y, x.dtype);
  switch (context.backend) {
    case Backend::kReference: return reference::activation_forward(context, f, x, y);
    case Backend::kCpu: return cpu::activation_forward(context, f, x, y);
  }
}

void activation_backward(const OpContext& context, Activation f, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  check_matrix("x", x);
  check_shape("d_y", d_y, x.rows, x.cols);
  check_shape("d_x", d_x, x.rows, x.cols);
  check_dtype("d_y", d_y, x.dtype);
  check_dtype("d_x", d_x, x.dtype);
  switch (context.backend) {
    case Backend::kReference: return reference::activation_backward(context, f, x, d_y, d_x);
    case Backend::kCpu: return cpu::activation_backward(context, f, x, d_y, d_x);
  }
}

}  // namespace strand
