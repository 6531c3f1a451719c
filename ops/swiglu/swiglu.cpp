#include "ops/swiglu/swiglu.h"

#include "ops/core/gated.h"
#include "ops/swiglu/swiglu_backends.h"

namespace strand {

void swiglu_forward(const OpContext& context, ConstMatrix x, Matrix y) {
  check_gated(x, y);
  switch (context.backend) {
    case Backend::kReference: return reference::swiglu_forward(context, x, y);
    case Backend::kCpu: return cpu::swiglu_forward(context, x, y);
  }
}

void swiglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  check_gated_backward(x, d_y, d_x);
  switch (context.backend) {
    case Backend::kReference: return reference::swiglu_backward(context, x, d_y, d_x);
    case Backend::kCpu: return cpu::swiglu_backward(context, x, d_y, d_x);
  }
}

}  // namespace strand
