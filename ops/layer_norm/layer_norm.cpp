#include "ops/layer_norm/layer_norm.h"

#include "ops/core/element.h"
#include "ops/layer_norm/layer_norm_backends.h"

namespace strand {

void layer_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, const float* bias, float eps,
                        Matrix y, float* mean, float* rstd) {
  check_shape("y", y, x.rows, x.cols);
  check_matrix("x", x);
  check_dtype("x", x, DType::kF32);
  switch (context.backend) {
    case Backend::kReference: return reference::layer_norm_forward(context, x, weight, bias, eps, y, mean, rstd);
    case Backend::kCpu: return cpu::layer_norm_forward(context, x, weight, bias, eps, y, mean, rstd);
  }
}

void layer_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight,
                         const float* mean, const float* rstd, Matrix d_x, float* d_weight, float* d_bias) {
  check_matrix("x", x);
  check_shape("d_y", d_y, x.rows, x.cols);
  check_shape("d_x", d_x, x.rows, x.cols);
  check_dtype("x", x, DType::kF32);
  check_dtype("d_x", d_x, DType::kF32);
  switch (context.backend) {
    case Backend::kReference:
      return reference::layer_norm_backward(context, d_y, x, weight, mean, rstd, d_x, d_weight, d_bias);
    case Backend::kCpu: return cpu::layer_norm_backward(context, d_y, x, weight, mean, rstd, d_x, d_weight, d_bias);
  }
}

}  // namespace strand
