#include "ops/rms_norm/rms_norm.h"

#include "ops/core/element.h"
#include "ops/rms_norm/rms_norm_backends.h"

namespace strand {

void rms_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd) {
  check_shape("y", y, x.rows, x.cols);
  check_matrix("x", x);
  check_dtype("x", x, DType::kF32);
  switch (context.backend) {
    case Backend::kReference: return reference::rms_norm_forward(context, x, weight, eps, y, rstd);
    case Backend::kCpu: return cpu::rms_norm_forward(context, x, weight, eps, y, rstd);
  }
}

void rms_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd,
                       Matrix d_x, float* d_weight) {
  check_matrix("x", x);
  check_shape("d_y", d_y, x.rows, x.cols);
  check_shape("d_x", d_x, x.rows, x.cols);
  check_dtype("x", x, DType::kF32);
  check_dtype("d_x", d_x, DType::kF32);
  switch (context.backend) {
    case Backend::kReference: return reference::rms_norm_backward(context, d_y, x, weight, rstd, d_x, d_weight);
    case Backend::kCpu: return cpu::rms_norm_backward(context, d_y, x, weight, rstd, d_x, d_weight);
  }
}

}  // namespace strand
