#include "ops/geglu/geglu.h"

#include "ops/core/gated.h"
#include "ops/geglu/geglu_backends.h"

namespace strand {

void geglu_forward(const OpContext& context, ConstMatrix x, Matrix y) {
  check_gated(x, y);
  switch (context.backend) {
    case Backend::kReference: return reference::geglu_forward(context, x, y);
    case Backend::kCpu: return cpu::geglu_forward(context, x, y);
  }
}

void geglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  check_gated_backward(x, d_y, d_x);
  switch (context.backend) {
    case Backend::kReference: return reference::geglu_backward(context, x, d_y, d_x);
    case Backend::kCpu: return cpu::geglu_backward(context, x, d_y, d_x);
  }
}

}  // namespace strand
